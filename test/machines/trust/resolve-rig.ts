import type { Head, ScoreStatement } from '../../../protocol/trust/index.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import type { ResolveInput } from '../../../machines/trust/resolve.ts'
import { accountOf, bytes } from './receipt-rig.ts'

export const accountId = accountOf(0xacc)
export const epoch = 1_000
/** The number of the node itself among the witnesses. */
export const self = 77

export const witness = (n: number): string => accountOf(n)

/** What a witness says. Digests are single letters here. */
export const says = (n: number, inputDigest: string, values: readonly number[]): ScoreStatement => ({
  accountId,
  epoch,
  inputDigest,
  values,
  signerId: witness(n),
  signature: bytes(n, 64),
})

export const headOf = (length: number, treeHash: string): Head => ({
  accountId,
  epoch,
  length,
  treeHash,
  signature: bytes(length, 64),
})

/** Nine witnesses, 1 to 9, of the same influence unless told otherwise. */
export const rig = (
  input: Partial<ResolveInput>,
  influences: Readonly<Record<number, number>> = {},
): ResolveInput => ({
  accountId,
  epoch,
  asked: Array.from({ length: 9 }, (_, index) => ({
    witnessId: witness(index + 1),
    influence: influences[index + 1] ?? ONE,
  })),
  statements: [],
  exchanges: 0,
  regime: 'calm',
  ...input,
})
