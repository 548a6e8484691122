import type { ModelHash } from '../../protocol/index.ts'

/** How fast a model answered on this machine. */
export interface MeasuredSpeed {
  readonly hash: ModelHash
  readonly id: string
  /** Of its file. */
  readonly bytes: number
  /** Tokens of an answer a second, its prompt's time included. */
  readonly tokensPerSecond: number
}

export interface Speed {
  readonly tokensPerSecond: number
  /** Id of the model that it was taken from; null: it was measured. */
  readonly likeId: string | null
}

/** Share of the newest answer: a few answers later what came before counts for little. */
const newestShare = 0.2
/** Tokens below which an answer tells more of its prompt than of the model. */
export const tokensMin = 16
/** How many times larger or smaller a model may be to say something of another. */
const likeFactor = 2

/** The speed after one more answer; undefined for one that tells nothing. */
export function afterAnswer(before: number | undefined, tokens: number, ms: number): number | undefined {
  if (tokens < tokensMin || ms <= 0) return undefined
  const newest = (1_000 * tokens) / ms
  return before === undefined ? newest : before + newestShare * (newest - before)
}

/**
 * How fast a model is, or is likely to be: as it was measured, or as the one of the nearest size was. Each token reads
 * the whole file from memory, so that half the size is about twice the speed. Undefined where nothing similar ran.
 */
export function speedOf(
  { hash, bytes }: { readonly hash: ModelHash | null; readonly bytes: number | null },
  measured: readonly MeasuredSpeed[],
): Speed | undefined {
  const same = measured.find((one) => one.hash === hash)
  if (same) return { tokensPerSecond: same.tokensPerSecond, likeId: null }
  if (bytes === null || bytes <= 0) return undefined
  const apart = (one: MeasuredSpeed): number => Math.abs(Math.log(one.bytes / bytes))
  const [nearest] = measured
    .filter((one) => apart(one) <= Math.log(likeFactor))
    .toSorted((a, b) => apart(a) - apart(b))
  return nearest && { tokensPerSecond: (nearest.tokensPerSecond * nearest.bytes) / bytes, likeId: nearest.id }
}
