import type { PeerId } from '../../protocol/index.ts'
import type { FraudProof, Head } from '../../protocol/trust/index.ts'

/** Two logs of one length under one name. */
export type ForkProof = Extract<FraudProof, { kind: 'fork' }>

export type HeadNews =
  /** The longest of this account so far. */
  | { readonly kind: 'new' }
  | { readonly kind: 'known' }
  /** Shorter than the longest, and nothing speaks against it. */
  | { readonly kind: 'older' }
  | ForkProof

/** Heads kept of one account. */
export const headsPerAccount = 64

/** Milestones of one account: the heads seen by length. */
type Heads = Map<number, Head>

/**
 * The heads that accounts announced, to catch one that tells two stories. Hypercore finds a fork only once one branch is
 * longer than the other; here two heads of equal length are enough.
 *
 * Signatures are the caller's to check. Of each account the longest 64 heads are kept, which for a log that grows are the
 * last 64: whoever replays old heads cannot push the recent ones out. Of accounts, `max` are kept, the ones heard of last.
 */
export class HeadTable {
  readonly #max: number
  readonly #accounts = new Map<PeerId, Heads>()

  /** @param max accounts, at least 1 */
  constructor(max: number) {
    if (!Number.isSafeInteger(max) || max < 1)
      throw new RangeError(`Expected room for at least 1 account, got ${max}`)
    this.#max = max
  }

  /** Accounts. */
  get size(): number {
    return this.#accounts.size
  }

  add(head: Head): HeadNews {
    const heads = this.#touch(head.accountId)
    const known = heads.get(head.length)
    if (known !== undefined) return known.treeHash === head.treeHash ? { kind: 'known' } : toFork(known, head)
    const longest = Math.max(0, ...heads.keys())
    heads.set(head.length, head)
    if (heads.size > headsPerAccount) heads.delete(Math.min(...heads.keys()))
    return { kind: heads.size === 1 || head.length > longest ? 'new' : 'older' }
  }

  /** The longest head of an account. */
  longest(accountId: PeerId): Head | undefined {
    const heads = this.#accounts.get(accountId)
    return heads?.get(Math.max(...heads.keys()))
  }

  at(accountId: PeerId, length: number): Head | undefined {
    return this.#accounts.get(accountId)?.get(length)
  }

  forget(accountId: PeerId): void {
    this.#accounts.delete(accountId)
  }

  /** The heads of an account, which becomes the one heard of last. */
  #touch(accountId: PeerId): Heads {
    const heads = this.#accounts.get(accountId) ?? new Map<number, Head>()
    this.#accounts.delete(accountId)
    this.#accounts.set(accountId, heads)
    if (this.#accounts.size > this.#max) {
      const [stalest] = this.#accounts.keys()
      if (stalest !== undefined) this.#accounts.delete(stalest)
    }
    return heads
  }
}

/** A proof names its heads in the order of their hashes, so that whoever finds a fork finds the same proof. */
const toFork = (a: Head, b: Head): ForkProof =>
  a.treeHash < b.treeHash ? { kind: 'fork', a, b } : { kind: 'fork', a: b, b: a }

/** A fork among some heads of one account, if there is one. */
export function findFork(heads: readonly Head[]): ForkProof | undefined {
  const seen = new Map<number, Head>()
  for (const head of heads) {
    const known = seen.get(head.length)
    if (known !== undefined && known.treeHash !== head.treeHash) return toFork(known, head)
    seen.set(head.length, head)
  }
  return undefined
}
