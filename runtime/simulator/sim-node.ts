import { type BanRecord, Books } from '../../actors/trust/books.ts'
import { toBanRef } from '../../actors/trust/gossip/holdings.ts'
import type { PeerAllowances } from '../../actors/trust/gossip/peer-allowances.ts'
import { LengthTable, type TableDigest } from '../../machines/trust/anti-entropy.ts'
import type { TrustParams } from '../../machines/trust/index.ts'
import type { BanRef } from '../../protocol/messages/scores.ts'
import { hash256, type Head, type TrustSigner } from '../../protocol/trust/index.ts'
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

/** The digest of an entry, with the tree hash in it as in the product's `Holdings`; the same head is hashed once. */
const headHashes = new WeakMap<Head, Buffer>()

function toHeadHash(head: Head): Buffer {
  const known = headHashes.get(head)
  if (known) return known
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.length)
  const hash = hash256(Buffer.from(head.accountId, 'hex'), length, Buffer.from(head.treeHash, 'hex'))
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
  readonly #indexOf: ReadonlyMap<string, number>
  #table: LengthTable
  #next: Head | undefined
  #isStale = false
  #proven: ReadonlyMap<string, BanRef> | undefined
  #bansKey: string | undefined

  constructor(input: SimNodeInput, indexOf: ReadonlyMap<string, number>) {
    const { index, strategy, accounts, params } = input
    this.index = index
    this.strategy = strategy
    this.books = new Books(params, () => 0)
    this.heads = Array.from({ length: accounts.length })
    this.read = accounts.map(() => 0)
    this.readLogs = Array.from({ length: accounts.length })
    this.#accounts = accounts
    this.#indexOf = indexOf
    this.#table = this.#createTable()
  }

  get isHonest(): boolean {
    return this.strategy === undefined
  }

  /** Answers questions and passes things on. */
  get isHelpful(): boolean {
    return this.strategy !== 'black-holes'
  }

  get digest(): TableDigest {
    if (this.#isStale) this.#rebuild()
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
    this.#next = head
    if (!this.#isStale && !this.proven.has(head.accountId))
      this.#table.raise({ accountId: head.accountId, length: head.length })
    this.heads[account] = head
    this.#next = undefined
  }

  /** @returns whether that is news */
  ban(record: BanRecord): boolean {
    if (!this.books.ban(record)) return false
    if (record.proof) {
      // Nobody needs more of the account, and of a fork everybody may hold another branch.
      this.#isStale = true
      this.#proven = undefined
      this.#bansKey = undefined
    }
    return true
  }

  /** The product's `Holdings` leaves out those against whom a proof goes round. */
  isExcluded(account: number): boolean {
    return this.proven.has(this.#accounts[account]?.signer.id ?? '')
  }

  #rebuild(): void {
    this.#isStale = false
    this.#table = this.#createTable()
    for (const head of this.heads) {
      if (!head || this.proven.has(head.accountId)) continue
      this.#next = head
      this.#table.raise({ accountId: head.accountId, length: head.length })
    }
    this.#next = undefined
  }

  #createTable(): LengthTable {
    return new LengthTable([], ({ accountId, length }) => {
      const known = this.heads[this.#indexOf.get(accountId) ?? -1]
      const head = known?.length === length ? known : this.#next
      return head ? toHeadHash(head) : Buffer.alloc(32)
    })
  }
}

/** Whether a message does anything there. */
export const hears = (node: SimNode): boolean => node.isOnline && node.isHelpful

export const isAhead = (a: Head, b: Head): boolean =>
  a.length > b.length || (a.length === b.length && a.treeHash !== b.treeHash)
