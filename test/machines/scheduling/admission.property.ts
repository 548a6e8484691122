// What has to hold depends on what was decided.
/* oxlint-disable vitest/no-conditional-expect */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { admit } from '../../../machines/scheduling/admission.ts'
import { bronzeRank, tiers } from '../../../machines/scheduling/tiers.ts'

/** Newcomers one after the other, with places freed in between: the queue's occupancy after each. */
const arrivals = fc.array(
  fc.record({
    rank: fc.nat(tiers.length - 1),
    leaves: fc.option(fc.nat(tiers.length - 1), { nil: undefined, freq: 3 }),
  }),
  { minLength: 1, maxLength: 120, size: 'max' },
)

describe('admission', () => {
  it('never fills over capacity, always leaves Bronze its tenth, and displaces only lower tiers', () => {
    fc.assert(
      fc.property(fc.nat(40), arrivals, (capacity, newcomers) => {
        const waiting = tiers.map(() => 0)
        const change = (rank: number, by: number): void => {
          waiting[rank] = Math.max(0, (waiting[rank] ?? 0) + by)
        }
        // A tenth, and one at least where there are two places.
        const reserve = capacity < 2 ? 0 : Math.max(1, Math.floor(capacity / 10))
        for (const { rank, leaves } of newcomers) {
          if (leaves !== undefined) change(leaves, -1)
          const total = waiting.reduce((sum, count) => sum + count, 0)
          const admission = admit(rank, { capacity, waiting })
          if (admission.kind === 'refuse') {
            // Nobody is turned away while there is a place that is theirs to take.
            const bronze = waiting[bronzeRank] ?? 0
            const held = rank === bronzeRank ? 0 : Math.max(0, reserve - bronze)
            assert(total + held >= capacity)
          } else {
            change(rank, 1)
            if (admission.kind === 'displace') {
              assert(admission.rank > rank)
              for (let lower = admission.rank + 1; lower <= bronzeRank; lower++) {
                assert((waiting[lower] ?? 0) <= (lower === bronzeRank ? reserve : 0))
              }
              change(admission.rank, -1)
            }
          }
          const after = waiting.reduce((sum, count) => sum + count, 0)
          assert(after <= capacity)
          // Whatever the others do, so many Bronze can wait as the reserve holds.
          assert(after - (waiting[bronzeRank] ?? 0) <= capacity - reserve)
        }
      }),
    )
  })
})
