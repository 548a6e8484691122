import { describe, expect, it } from 'vitest'
import { createEffortState, stepEffort } from '../../../machines/trust/effort.ts'
import type { EffortState } from '../../../machines/trust/effort.ts'
import { params } from './receipt-rig.ts'

/** Looks at the queue once a second. */
function watch(state: EffortState, fullness: number, fromMs: number, seconds: number): EffortState {
  let next = state
  for (let second = 0; second <= seconds; second += 1)
    next = stepEffort(next, fullness, fromMs + second * 1_000, params)
  return next
}

describe('the effort asked for', () => {
  it('is nothing at first and in a quiet mesh', () => {
    expect(watch(createEffortState(0), 0, 0, 600).bits).toBe(0)
    expect(watch(createEffortState(0), 0.8, 0, 600).bits).toBe(0)
  })

  it('rises by one bit for every five seconds of a full queue, up to a bound', () => {
    expect(watch(createEffortState(0), 0.81, 0, 4).bits).toBe(0)
    expect(watch(createEffortState(0), 0.81, 0, 5).bits).toBe(1)
    expect(watch(createEffortState(0), 1, 0, 20).bits).toBe(4)
    expect(watch(createEffortState(0), 1, 0, 3_600).bits).toBe(params.effortBitsMax)
  })

  it('stays while the queue is between the thresholds and falls as fast as it rose', () => {
    const high = watch(createEffortState(0), 1, 0, 20)
    expect(watch(high, 0.65, 21_000, 600).bits).toBe(4)
    expect(watch(high, 0.49, 21_000, 10).bits).toBe(2)
    expect(watch(high, 0.49, 21_000, 600).bits).toBe(0)
  })

  it('counts a full queue from anew after it was not', () => {
    const nearly = watch(createEffortState(0), 1, 0, 4)
    const broken = stepEffort(nearly, 0.7, 4_500, params)
    expect(watch(broken, 1, 5_000, 4).bits).toBe(0)
  })

  it('rises by no more than one bit for a look that comes late, and falls by all the time passed', () => {
    const full = stepEffort(createEffortState(0), 1, 0, params)
    expect(stepEffort(full, 1, 60_000, params).bits).toBe(1)
    const empty = stepEffort({ ...full, bits: 9 }, 0, 1_000, params)
    expect(stepEffort(empty, 0, 21_000, params).bits).toBe(5)
  })

  it('is not stuck by a clock that was set back', () => {
    const full = watch(createEffortState(1_000_000), 1, 1_000_000, 10)
    expect(watch(full, 1, 0, 5).bits).toBe(full.bits + 1)
  })
})
