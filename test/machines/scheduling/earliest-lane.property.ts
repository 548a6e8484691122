import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EarliestLane } from '../../../machines/scheduling/earliest-lane.ts'
import { laneCount } from '../../../machines/scheduling/tiers.ts'

/** Heads that come, change and go; few deadlines, so that many are equal. */
const changes = fc.array(
  fc.tuple(fc.nat(laneCount - 1), fc.oneof(fc.nat(3), fc.constant<number>(Infinity))),
  { maxLength: 200, size: 'max' },
)

describe('the earliest lane', () => {
  it('is the highest of those with the earliest head, and a copy goes its own way', () => {
    fc.assert(
      fc.property(changes, (sets) => {
        const lanes = new EarliestLane(laneCount)
        const dues = Array.from({ length: laneCount }, () => Infinity)
        for (const [lane, dueMs] of sets) {
          lanes.set(lane, dueMs)
          dues[lane] = dueMs
          const earliestMs = Math.min(...dues)
          if (earliestMs === Infinity) continue
          expect(lanes.first).toBe(dues.lastIndexOf(earliestMs))
          const copy = new EarliestLane(lanes)
          copy.set(copy.first, Infinity)
          expect(lanes.first).toBe(dues.lastIndexOf(earliestMs))
        }
      }),
    )
  })
})
