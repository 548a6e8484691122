import { describe, expect, it } from 'vitest'
import { smoothed, toCapacity, toHealth, toScore, toState } from '../../../machines/health/health.ts'

const at = (busy: number) => ({ cpu: busy, memory: busy, load: busy, queue: busy })

describe('health', () => {
  it('weighs processor 30, memory 30, load 20 and queue 20', () => {
    expect(toScore(at(0))).toBeCloseTo(100)
    expect(toScore({ ...at(0), cpu: 1 })).toBeCloseTo(70)
    expect(toScore({ ...at(0), memory: 1 })).toBeCloseTo(70)
    expect(toScore({ ...at(0), load: 1 })).toBeCloseTo(80)
    expect(toScore({ ...at(0), queue: 1 })).toBeCloseTo(80)
    expect(toScore(at(1))).toBeCloseTo(0)
  })

  it('takes nonsense for busy, and never leaves 0 to 100', () => {
    expect(toScore(at(Number.NaN))).toBeCloseTo(0)
    expect(toScore(at(17))).toBeCloseTo(0)
    expect(toScore(at(-3))).toBeCloseTo(100)
  })

  it.each([
    [100, 'idle', 1],
    [80, 'idle', 1],
    [79, 'light', 0.8],
    [60, 'light', 0.8],
    [59, 'moderate', 0.6],
    [40, 'moderate', 0.6],
    [39, 'busy', 0.4],
    [20, 'busy', 0.4],
    [19, 'overloaded', 0],
    [0, 'overloaded', 0],
  ] as const)('calls %d %s and gives it %d of the capacity', (score, state, capacityShare) => {
    const health = toHealth(at(1 - score / 100), undefined)
    expect(health).toEqual({ score, state, capacityShare })
  })

  it('changes the state only when the score is clearly in another', () => {
    expect(toState(79, 'idle')).toBe('idle')
    expect(toState(76.9, 'idle')).toBe('light')
    expect(toState(81, 'light')).toBe('light')
    expect(toState(83, 'light')).toBe('idle')
    // A long fall is believed at once, up to the last boundary that was clearly crossed.
    expect(toState(5, 'idle')).toBe('overloaded')
    expect(toState(19, 'idle')).toBe('busy')
    expect(toState(95, 'overloaded')).toBe('idle')
    expect(toState(81, 'overloaded')).toBe('light')
  })

  it('halves a spike every sample and starts at the first', () => {
    const first = smoothed(undefined, at(0))
    const spike = smoothed(first, at(1))
    expect(first).toEqual(at(0))
    expect(spike).toEqual(at(0.5))
    expect(smoothed(spike, at(0))).toEqual(at(0.25))
  })

  it('leaves a queue at least one place while anything is accepted', () => {
    expect(toCapacity(100, { capacityShare: 0.4 })).toBe(40)
    expect(toCapacity(2, { capacityShare: 0.4 })).toBe(1)
    expect(toCapacity(100, { capacityShare: 0 })).toBe(0)
  })
})
