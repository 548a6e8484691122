import type { Tier } from '../../api/types.ts'

/** Points from which each tier begins, the highest first. */
const tiers: readonly (readonly [Tier, number])[] = [
  ['master', 10_000],
  ['diamond', 4_000],
  ['platinum', 1_500],
  ['gold', 500],
  ['silver', 100],
  ['bronze', 0],
]

/** The tier above, and how much of the way there is done: 0 to 1. Undefined at the top. */
export function nextTier(
  score: number,
): { readonly tier: Tier; readonly points: number; readonly share: number } | undefined {
  const index = tiers.findIndex(([, points]) => score >= points)
  const [from, next] = [tiers[index]?.[1] ?? 0, tiers[index - 1]]
  if (!next) return undefined
  const [tier, points] = next
  return { tier, points, share: (score - from) / (points - from) }
}
