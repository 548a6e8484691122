import { type BanRecord, Books } from '../../actors/trust/books.ts'
import { toBanRef } from '../../actors/trust/gossip/holdings.ts'
import type { PeerAllowances } from '../../actors/trust/gossip/peer-allowances.ts'
import { HeadTable, type TableDigest, toHeadHash } from '../../machines/trust/head-table.ts'
import type { TrustParams } from '../../machines/trust/index.ts'
import type { BanRef } from '../../protocol/messages/scores.ts'
import type { Head, TrustSigner } from '../../protocol/trust/index.ts'
import type { NodeStrategy } from './options.ts'
import type { SimLog } from './sim-log.ts'

/** An account as everybody knows it. */
export interface SimAccount {
  readonly index: number
  readonly signer: TrustSigner
  /** Range of account ids that the digests compare apart. */
  readonly range: number
  /** One; two for an account that forks. */
  readonly logs: SimLog[]
  /** Epochs by which its clock is ahead. */
  readonly skewEpochs: number
}

/** The same head is in many tables, and is hashed once. */
const headHashes = new WeakMap<Head, Buffer>()

function toHashOnce(head: Head): Buffer {
  const known = headHashes.get(head)
  if (known) return known
  const hash = toHeadHash(head)
  headHashes.set(head, hash)
  return hash
}

export interface SimNodeInput {
  readonly index: number
  readonly strategy: NodeStrategy | undefined
  readonly accounts: readonly SimAccount[]
  readonly params: TrustParams
}

/** What one node knows: heads, how far it read, and whom it bans. */
export class SimNode {
  readonly index: number
  readonly strategy: NodeStrategy | undefined
  readonly books: Books
  readonly heads: (Head | undefined)[]
  readonly read: number[]
  readonly readLogs: (SimLog | undefined)[]
  /** Open connections, by node. */
  readonly links = new Set<number>()
  /** What each peer may still send; made when somebody floods. */
  readonly allowances = new Map<number, { readonly theirs: PeerAllowances; violations: number }>()
  readonly asked = new Set<string>()
  readonly spread = new Set<string>()
  isOnline = true
  readonly #accounts: readonly SimAccount[]
  readonly #table = new HeadTable()
  #proven: ReadonlyMap<string, BanRef> | undefined
  #bansKey: string | undefined

  constructor(input: SimNodeInput) {
    const { index, strategy, accounts, params } = input
    this.index = index
    this.strategy = strategy
    this.books = new Books(params, () => 0)
    this.heads = Array.from({ length: accounts.length })
    this.read = accounts.map(() => 0)
    this.readLogs = Array.from({ length: accounts.length })
    this.#accounts = accounts
  }

  get isHonest(): boolean {
    return this.strategy === undefined
  }

  /** Answers questions and passes things on. */
  get isHelpful(): boolean {
    return this.strategy !== 'black-holes'
  }

  get digest(): TableDigest {
    return this.#table.digest()
  }

  /** Entries in the table: accounts of which a head is known. */
  get known(): number {
    return this.#table.size
  }

  /** Accounts against whom a proof goes round, and since when. */
  get proven(): ReadonlyMap<string, BanRef> {
    if (this.#proven) return this.#proven
    const refs = this.books.proofs.map(toBanRef)
    this.#proven = new Map(refs.map((ref) => [ref.accountId, ref]))
    return this.#proven
  }

  /** Equal for nodes with the same proofs. */
  get bansKey(): string {
    this.#bansKey ??= [...this.proven.values()]
      .map(({ accountId, epoch }) => `${accountId}${epoch}`)
      .toSorted()
      .join()
    return this.#bansKey
  }

  takeHead(account: number, head: Head): void {
    if (!this.proven.has(head.accountId)) this.#table.raise(head, toHashOnce)
    this.heads[account] = head
  }

  /** @returns whether that is news */
  ban(record: BanRecord): boolean {
    if (!this.books.ban(record)) return false
    if (record.proof) {
      // Nobody needs more of the account, and of a fork everybody may hold another branch.
      this.#table.delete(record.accountId)
      this.#proven = undefined
      this.#bansKey = undefined
    }
    return true
  }

  /** The product's `Holdings` leaves out those against whom a proof goes round. */
  isExcluded(account: number): boolean {
    return this.proven.has(this.#accounts[account]?.signer.id ?? '')
  }
}

/** Whether a message does anything there. */
export const hears = (node: SimNode): boolean => node.isOnline && node.isHelpful

export const isAhead = (a: Head, b: Head): boolean =>
  a.length > b.length || (a.length === b.length && a.treeHash !== b.treeHash)
