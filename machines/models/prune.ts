import type { ModelHash } from '../../protocol/index.ts'

/** What decides whether a stored model may go. */
export interface PruneCandidate {
  readonly hash: ModelHash
  /** Bytes that are gained by removing it. */
  readonly bytes: number
  readonly isPinned: boolean
  /** Lies where its owner has it: removing it gains nothing. */
  readonly isReference: boolean
  readonly usedAtMs: number
}

export interface PruneLimits {
  /** Bytes that the store may take. */
  readonly limitBytes: number
  /** Models that are loaded, served or about to be: they stay, however long ago they were used. */
  readonly keep: ReadonlySet<ModelHash>
}

/**
 * The models to remove, least recently used first and no more than needed. Pinned, kept and referenced ones are never
 * among them, so that a store may stay above its limit.
 */
export function choosePruned<Model extends PruneCandidate>(
  models: readonly Model[],
  { limitBytes, keep }: PruneLimits,
): readonly Model[] {
  const own = models.filter(({ isReference }) => !isReference)
  let excess = own.reduce((sum, { bytes }) => sum + bytes, 0) - limitBytes
  const removable = own
    .filter(({ hash, isPinned }) => !isPinned && !keep.has(hash))
    // Of two that were used at the same time, the larger one: fewer have to go.
    .toSorted((a, b) => a.usedAtMs - b.usedAtMs || b.bytes - a.bytes || (a.hash < b.hash ? -1 : 1))
  const pruned: Model[] = []
  for (const model of removable) {
    if (excess <= 0) break
    pruned.push(model)
    excess -= model.bytes
  }
  return pruned
}
