import {
  createArrivals,
  createReal,
  etaErrors,
  quantile,
  simulate,
} from '../machines/scheduling/simulation.ts'

export interface Calibration {
  readonly slots: number
  readonly load: number
  readonly promises: number
  /** Quantiles of (actual − promised) / actual: above zero, it took longer than promised. */
  readonly p10: number
  readonly p50: number
  readonly p90: number
  readonly within25: number
  readonly within50: number
}

/** What promises were worth, over seeded workloads in simulated time. */
export function calibrate(slots: number, load: number, requests = 4_000): Calibration {
  const errors = [1, 2, 3].flatMap((seed) => {
    const mix = [1, 1, 2, 3, 5, 12]
    const arrivals = createArrivals({ seed, load, slots, requests, mix, cancelShare: 0.1 })
    return etaErrors(simulate(arrivals, createReal(slots, 100)))
  })
  const within = (part: number): number =>
    errors.filter((error) => Math.abs(error) <= part).length / errors.length
  return {
    slots,
    load,
    promises: errors.length,
    p10: quantile(errors, 0.1),
    p50: quantile(errors, 0.5),
    p90: quantile(errors, 0.9),
    within25: within(0.25),
    within50: within(0.5),
  }
}
