import {
  type AccountState,
  applyEntry,
  createAccountState,
  type FoldContext,
} from '../../machines/trust/index.ts'
import { type BanRecord, Books } from '../../actors/trust/books.ts'
import type { PeerId } from '../../protocol/index.ts'
import { encodeEntry, type FraudProof, hash256, type LogEntry } from '../../protocol/trust/index.ts'
import type { Notary } from './notary.ts'

export type SimEntry = Exclude<LogEntry, { type: 'unknown' }>

/** A promise made twice, of which the other half stands in another log. */
export interface Conflict {
  readonly index: number
  readonly other: SimLog
  readonly otherIndex: number
  readonly proof: FraudProof
}

/**
 * One account's log, or one branch of it. A chain of hashes stands for Hypercore's tree. What an entry proves and what
 * a beginning of the log folds to depends on nothing but the log, so it is computed once and not by every reader.
 */
export class SimLog {
  readonly accountId: PeerId
  readonly entries: SimEntry[] = []
  /** By length − 1, and the bytes of all entries up to there. */
  readonly treeHashes: string[] = []
  readonly bytes: number[] = []
  readonly conflicts: Conflict[] = []
  readonly #notary: Notary
  readonly #context: FoldContext
  readonly #judge: Books
  readonly #state: AccountState
  /** Why everybody who reads that far bans the account. */
  broken: { readonly length: number; readonly record: BanRecord } | undefined

  constructor(accountId: PeerId, notary: Notary, context: FoldContext) {
    this.accountId = accountId
    this.#notary = notary
    this.#context = context
    this.#judge = new Books(context.params, () => 0)
    this.#state = createAccountState(accountId)
  }

  get length(): number {
    return this.entries.length
  }

  get state(): AccountState {
    return this.#state
  }

  append(entry: SimEntry): void {
    const bytes = encodeEntry(entry)
    const before = Buffer.from(this.treeHashes.at(-1) ?? '', 'hex')
    this.entries.push(entry)
    this.treeHashes.push(hash256(before, bytes).toString('hex'))
    this.bytes.push((this.bytes.at(-1) ?? 0) + bytes.length)
    // Whoever reads stops where no honest node goes on.
    if (this.broken) return
    const wrong = this.#findForgery(entry)
    if (wrong === undefined) applyEntry(this.#state, entry, this.#context)
    const record =
      wrong === undefined
        ? this.#judge.toLogBan(toAccount(this.#state))
        : { accountId: this.accountId, reason: wrong, epoch: this.#state.lastEpoch }
    if (record) this.broken = { length: this.length, record }
  }

  /** A second log that begins like this one. */
  branch(length: number): SimLog {
    const other = new SimLog(this.accountId, this.#notary, this.#context)
    for (const entry of this.entries.slice(0, length)) other.append(entry)
    return other
  }

  /** What the first entries fold to. */
  stateAt(length: number): AccountState {
    if (length >= this.length) return this.#state
    const state = createAccountState(this.accountId)
    for (const entry of this.entries.slice(0, length)) applyEntry(state, entry, this.#context)
    return state
  }

  #findForgery(entry: SimEntry): string | undefined {
    // A receipt of another worker is a fault of the log with a name of its own.
    if (entry.type !== 'receipt' || entry.receipt.offer.workerId !== this.accountId) return undefined
    return this.#notary.checkReceipt(entry.receipt)
  }
}

const toAccount = (state: AccountState) => ({
  id: state.accountId,
  card: undefined,
  head: undefined,
  state,
  treeHash: undefined,
})
