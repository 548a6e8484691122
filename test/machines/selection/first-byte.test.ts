import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FirstByteTimes } from '../../../machines/selection/first-byte.ts'

const recorded = (samples: readonly number[]): FirstByteTimes => {
  const times = new FirstByteTimes()
  for (const ms of samples) times.record(ms)
  return times
}

describe('first byte times', () => {
  it('say nothing before the twentieth', () => {
    const times = recorded(Array.from({ length: 19 }, () => 5))
    expect(times.p95Ms).toBeUndefined()
    times.record(5)
    expect(times.p95Ms).toBe(5)
  })

  it('learn nothing from nonsense', () => {
    const times = recorded([Number.NaN, -1, Infinity])
    expect(times.size).toBe(0)
  })

  it('follow when the waits change, and forget what is long past', () => {
    const times = recorded(Array.from({ length: 1_000 }, () => 100))
    for (let sample = 0; sample < 256; sample++) times.record(300)
    expect(times.p95Ms).toBe(300)
    for (let sample = 0; sample < 256; sample++) times.record(100)
    expect(times.p95Ms).toBe(100)
  })

  it('give the 95th of a hundred of the last 256, whatever came before', () => {
    const ms = fc.oneof(fc.nat(60_000), fc.double({ min: 0, max: 1e9, noNaN: true }))
    fc.assert(
      fc.property(fc.array(ms, { minLength: 20, maxLength: 600 }), (samples) => {
        const times = recorded(samples)
        const sorted = samples.slice(-256).toSorted((a, b) => a - b)
        expect(times.size).toBe(sorted.length)
        expect(times.p95Ms).toBe(sorted[Math.ceil(0.95 * sorted.length) - 1])
      }),
    )
  })
})
