import { expect, it } from 'vitest'
import { toTrustTier } from '../../../machines/trust/tier.ts'
import { params } from './receipt-rig.ts'

const thresholds = [
  [0, 'bronze'],
  [99, 'bronze'],
  [100, 'silver'],
  [499, 'silver'],
  [500, 'gold'],
  [1_500, 'platinum'],
  [4_000, 'diamond'],
  [9_999, 'diamond'],
  [10_000, 'master'],
  [1_000_000, 'master'],
] as const

it.each(thresholds)('puts %d points into %s', (score, tier) => {
  expect(toTrustTier(score, params)).toBe(tier)
})

it.each(thresholds)('puts %d points a day into %s where tiers go by the day', (score, tier) => {
  expect(toTrustTier(score * 44 + 43, { ...params, tierBasis: 'daily' })).toBe(tier)
})
