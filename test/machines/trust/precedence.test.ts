import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headStartMsMax, rankOfWait, tiers, tierTerms } from '../../../machines/scheduling/tiers.ts'
import { toPrecedence } from '../../../machines/trust/precedence.ts'
import { params } from './receipt-rig.ts'

const scores = [
  [0, 'bronze', 5_000],
  [3, 'bronze', 5_000],
  [4, 'bronze', 4_900],
  [30, 'bronze', 4_100],
  [32, 'bronze', 4_100],
  [50, 'bronze', 3_500],
  [99, 'bronze', 2_100],
  [100, 'silver', 2_000],
  [140, 'silver', 1_900],
  [300, 'silver', 1_500],
  [499, 'silver', 1_100],
  [500, 'gold', 1_000],
  [1_499, 'gold', 600],
  [1_500, 'platinum', 500],
  [2_750, 'platinum', 300],
  [3_999, 'platinum', 200],
  [4_000, 'diamond', 100],
  [9_999, 'diamond', 100],
  [10_000, 'master', 0],
  [1_000_000, 'master', 0],
] as const

it.each(scores)('gives %d points %s and %d ms', (score, tier, waitMs) => {
  expect(toPrecedence(score, params)).toEqual({ tier, waitMs })
})

it.each(scores)('gives %d points a day %s and %d ms where tiers go by the day', (score, tier, waitMs) => {
  const daily = { ...params, tierBasis: 'daily' } as const
  expect(toPrecedence(score * 44 + 43, daily)).toEqual({ tier, waitMs })
})

describe('whatever the bounds of a mesh are', () => {
  const bounds = fc
    .uniqueArray(fc.integer({ min: 1, max: 20_000 }), { minLength: 5, maxLength: 5 })
    .map((thresholds) => ({ ...params, tierThresholds: thresholds.toSorted((a, b) => a - b) }))
  const score = fc.oneof(fc.nat(200), fc.nat(25_000), fc.maxSafeNat())

  it('more points never wait longer, and everybody waits in a lane of the own tier', () => {
    fc.assert(
      fc.property(bounds, score, score, (mesh, one, other) => {
        const [less, more] = [Math.min(one, other), Math.max(one, other)].map((points) =>
          toPrecedence(points, mesh),
        )
        expect(more?.waitMs).toBeLessThanOrEqual(less?.waitMs ?? 0)
        for (const { tier, waitMs } of [less, more].flatMap((precedence) => precedence ?? [])) {
          expect(waitMs % 100).toBe(0)
          expect(waitMs).toBeGreaterThanOrEqual(0)
          expect(waitMs).toBeLessThanOrEqual(headStartMsMax)
          expect(rankOfWait(waitMs)).toBe(tierTerms[tier].rank)
        }
      }),
    )
  })

  it('at the bound of a tier its own wait begins, and a point before it does not', () => {
    fc.assert(
      fc.property(bounds, (mesh) => {
        for (const [index, bound] of mesh.tierThresholds.entries()) {
          const tier = tiers[tiers.length - 2 - index] ?? 'master'
          const { waitMs } = tierTerms[tier]
          expect(toPrecedence(bound, mesh)).toEqual({ tier, waitMs })
          expect(toPrecedence(bound - 1, mesh).waitMs).toBeGreaterThan(waitMs)
        }
      }),
    )
  })
})
