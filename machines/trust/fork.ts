import type { FraudProof, Head } from '../../protocol/trust/index.ts'

/** Two logs of one length under one name. */
export type ForkProof = Extract<FraudProof, { kind: 'fork' }>

/** A proof names its heads in the order of their hashes, so that whoever finds a fork finds the same proof. */
const toFork = (a: Head, b: Head): ForkProof =>
  a.treeHash < b.treeHash ? { kind: 'fork', a, b } : { kind: 'fork', a: b, b: a }

/**
 * A fork among some heads of one account, if there is one. Hypercore finds a fork only once one branch is longer than the
 * other; here two heads of equal length are enough. Signatures are the caller's to check.
 */
export function findFork(heads: readonly Head[]): ForkProof | undefined {
  const seen = new Map<number, Head>()
  for (const head of heads) {
    const known = seen.get(head.length)
    if (known !== undefined && known.treeHash !== head.treeHash) return toFork(known, head)
    seen.set(head.length, head)
  }
  return undefined
}
