import { tiers } from '../scheduling/tiers.ts'
import type { Tier } from '../scheduling/tiers.ts'
import { floorDiv } from './fixed.ts'
import type { TrustParams } from './params.ts'

/** The tier that a score, in whole points, puts an account into. */
export function toTrustTier(score: number, params: TrustParams): Tier {
  const points = params.tierBasis === 'daily' ? floorDiv(score, params.tierDailyDivisor) : score
  // Thresholds go up from silver, tiers go down from master; bronze has none.
  const passed = params.tierThresholds.filter((threshold) => points >= threshold).length
  return tiers[tiers.length - 1 - passed] ?? 'bronze'
}
