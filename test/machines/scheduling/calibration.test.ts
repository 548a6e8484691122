import { describe, expect, it } from 'vitest'
import { createArrivals, createReal, etaErrors, quantile, simulate } from './simulation.ts'

describe('forecast', () => {
  const workloads = [1, 4, 8].flatMap((slots) => [0.8, 1, 2].map((load) => ({ slots, load })))

  it.each(workloads)('is wrong by less than a quarter in the median: $slots slots, $load× load', (worker) => {
    const errors = [11, 12].flatMap((seed) => {
      const mix = [1, 1, 2, 3, 5, 12]
      const arrivals = createArrivals({ ...worker, seed, requests: 2_000, mix, cancelShare: 0.1 })
      return etaErrors(simulate(arrivals, createReal(worker.slots, 100)))
    })
    expect(errors.length).toBeGreaterThan(300)
    expect(Math.abs(quantile(errors, 0.5))).toBeLessThan(0.25)
  })
})
