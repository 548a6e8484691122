/**
 * What is known against a source. `suspect`: it gave a part of a file that was wrong, and so did others; it is asked
 * once more, for all of it.
 */
export type SourceStanding = 'fresh' | 'spent' | 'suspect' | 'excluded'

/** The source to ask next: those not asked yet in their order, then suspects; undefined when none is left. */
export function nextSource(standings: readonly SourceStanding[]): number | undefined {
  const fresh = standings.indexOf('fresh')
  if (fresh !== -1) return fresh
  const suspect = standings.indexOf('suspect')
  return suspect === -1 ? undefined : suspect
}

/**
 * What is known after a whole file was wrong. The only one that gave unproven bytes of it gave the wrong ones. Of
 * several one did: each gets another chance, for all of the file, unless it had that already.
 */
export function blame(
  standings: readonly SourceStanding[],
  culprits: readonly number[],
): readonly SourceStanding[] {
  return standings.map((standing, source) => {
    if (!culprits.includes(source)) return standing === 'spent' ? 'fresh' : standing
    return culprits.length === 1 || standing === 'suspect' ? 'excluded' : 'suspect'
  })
}
