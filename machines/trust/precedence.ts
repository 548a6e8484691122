import { entryOf, tiers, tierTerms, waitStepMs, type Precedence } from '../scheduling/tiers.ts'
import { ceilDiv, floorDiv } from './fixed.ts'
import type { TrustParams } from './params.ts'

/**
 * What a score, in whole points, gives an account in a queue: its tier, and a wait that becomes shorter with every few
 * points. It falls in a straight line from the wait at the bound of its tier to that at the next, and is rounded up to a
 * multiple of `waitStepMs`: so it reaches the next tier's wait at that tier's bound and not before.
 */
export function toPrecedence(score: number, params: TrustParams): Precedence {
  const points = params.tierBasis === 'daily' ? floorDiv(score, params.tierDailyDivisor) : score
  const { tierThresholds } = params
  // Thresholds go up from silver, tiers go down from master; bronze has none.
  const passed = tierThresholds.filter((threshold) => points >= threshold).length
  const tier = tiers[tiers.length - 1 - passed] ?? 'bronze'
  const above = tiers[tiers.length - 2 - passed]
  const next = tierThresholds[passed]
  if (above === undefined || next === undefined) return entryOf(tier)
  const from = tierThresholds[passed - 1] ?? 0
  const atNextMs = tierTerms[above].waitMs
  const gainMs = tierTerms[tier].waitMs - atNextMs
  const steps = ceilDiv(gainMs * (next - points), waitStepMs * (next - from))
  return { tier, waitMs: atNextMs + steps * waitStepMs }
}
