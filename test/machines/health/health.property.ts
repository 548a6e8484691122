import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { healthStates, type HealthState } from '../../../protocol/index.ts'
import {
  hysteresis,
  smoothed,
  toHealth,
  toScore,
  toState,
  type Reading,
} from '../../../machines/health/health.ts'

const share = fc.double({ min: 0, max: 1, noNaN: true })
const reading = fc.record({ cpu: share, memory: share, load: share, queue: share })

describe('health', () => {
  it('does not flap: noise within the hysteresis changes the state once at most', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 100, noNaN: true }),
        fc.array(fc.double({ min: -0.499, max: 0.499, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(undefined, ...healthStates),
        (score, noise, start) => {
          let state: HealthState | undefined = start
          let changes = 0
          for (const part of noise) {
            const next = toState(score + part * 2 * hysteresis, state)
            if (state !== undefined && next !== state) changes++
            state = next
          }
          // Out of a state where the score never was, there may be a first step and one that corrects it.
          expect(changes).toBeLessThanOrEqual(start === undefined ? 1 : 2)
        },
      ),
    )
  })

  it('follows a load that stays, within a few samples', () => {
    fc.assert(
      fc.property(reading, reading, (before, after) => {
        let past = smoothed(undefined, before)
        for (let second = 0; second < 8; second++) past = smoothed(past, after)
        expect(Math.abs(toScore(past) - toScore(after))).toBeLessThan(1)
      }),
    )
  })

  it('never calls a busier machine healthier', () => {
    fc.assert(
      fc.property(reading, reading, (one, other) => {
        const busier: Reading = {
          cpu: Math.max(one.cpu, other.cpu),
          memory: Math.max(one.memory, other.memory),
          load: Math.max(one.load, other.load),
          queue: Math.max(one.queue, other.queue),
        }
        const health = toHealth(one, undefined)
        const worse = toHealth(busier, undefined)
        expect(worse.score).toBeLessThanOrEqual(health.score)
        expect(worse.capacityShare).toBeLessThanOrEqual(health.capacityShare)
      }),
    )
  })
})
