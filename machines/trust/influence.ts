import { asserted, floorDiv, medianOf, mulQ, ONE } from './fixed.ts'

/**
 * How much each of some reporters counts, in Q16.16: four fifths of the cube of a reputation, and never more than twice
 * the median of the group, so that nobody dominates it however good a name it has.
 *
 * @param reputations Q16.16, 0 to ONE
 */
export function toInfluences(reputations: readonly number[]): number[] {
  if (reputations.length === 0) return []
  const raw = reputations.map((reputation) => {
    if (asserted(reputation) > ONE)
      throw new RangeError(`Expected a reputation of at most ${ONE}, got ${reputation}`)
    return floorDiv(4 * mulQ(mulQ(reputation, reputation), reputation), 5)
  })
  const most = 2 * medianOf(raw)
  return raw.map((influence) => Math.min(influence, most))
}
