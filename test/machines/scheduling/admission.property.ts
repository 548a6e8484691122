// What has to hold depends on what was decided.
/* oxlint-disable vitest/no-conditional-expect */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { admit, bronzeReserve } from '../../../machines/scheduling/admission.ts'
import { bronzeRank, tiers } from '../../../machines/scheduling/tiers.ts'

/** Newcomers one after the other, with places freed in between: the queue's occupancy after each. */
const arrivals = fc.array(
  fc.record({
    rank: fc.nat(tiers.length - 1),
    leaves: fc.option(fc.nat(tiers.length - 1), { nil: undefined, freq: 3 }),
  }),
  { minLength: 1, maxLength: 120 },
)

describe('admission', () => {
  it('never fills over capacity, always leaves Bronze its tenth, and displaces only lower tiers', () => {
    fc.assert(
      fc.property(fc.nat(40), arrivals, (capacity, newcomers) => {
        const waiting = tiers.map(() => 0)
        const change = (rank: number, by: number): void => {
          waiting[rank] = Math.max(0, (waiting[rank] ?? 0) + by)
        }
        const reserve = bronzeReserve(capacity)
        for (const { rank, leaves } of newcomers) {
          if (leaves !== undefined) change(leaves, -1)
          const total = waiting.reduce((sum, count) => sum + count, 0)
          const admission = admit(rank, { capacity, waiting })
          if (admission.kind === 'refuse') {
            // Nobody is turned away while there is a place that is theirs to take.
            const bronze = waiting[bronzeRank] ?? 0
            const held = rank === bronzeRank ? 0 : Math.max(0, reserve - bronze)
            expect(total + held).toBeGreaterThanOrEqual(capacity)
          } else {
            change(rank, 1)
            if (admission.kind === 'displace') {
              expect(admission.rank).toBeGreaterThan(rank)
              for (let lower = admission.rank + 1; lower <= bronzeRank; lower++) {
                expect(waiting[lower]).toBeLessThanOrEqual(lower === bronzeRank ? reserve : 0)
              }
              change(admission.rank, -1)
            }
          }
          const after = waiting.reduce((sum, count) => sum + count, 0)
          expect(after).toBeLessThanOrEqual(capacity)
          // Whatever the others do, so many Bronze can wait as the reserve holds.
          expect(after - (waiting[bronzeRank] ?? 0)).toBeLessThanOrEqual(capacity - reserve)
        }
      }),
    )
  })
})
