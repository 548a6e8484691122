import type { NoiseStream } from 'hyperswarm'
import type { Precedence } from '../../machines/scheduling/index.ts'
import { type PeerId, toQMeshError } from '../../protocol/index.ts'
import {
  type FraudProof,
  type Head,
  type IdentityCard,
  isHeadValid,
  type NetworkId,
  type Receipt,
  type ScoreStatement,
  toReceiptId,
} from '../../protocol/trust/index.ts'
import { type Account, type BanRecord, Books } from './books.ts'
import { Cards } from './cards.ts'
import type { Funds } from './dealing/deals.ts'
import { Court } from './court.ts'
import { toEpoch } from './epoch.ts'
import type { GossipLedger, KnownBan, Learned } from './gossip/gossip.port.ts'
import { LogFollower } from './log/log-follower.ts'
import type { LedgerOptions } from './ledger-options.ts'
import { type PlacedEntry, readLast } from './log/read-last.ts'
import { type NewEntry, OwnLog } from './log/own-log.ts'
import { Spending } from './dealing/spending.ts'
import { Statements } from './statements.ts'
import { Unwritten } from './log/unwritten.ts'

/** The node's view of who did what: its own log, the logs of the accounts it hears of, and who is banned for what. */
export class Ledger implements GossipLedger {
  readonly ownId: PeerId
  readonly books: Books
  readonly #options: LedgerOptions
  readonly #own: OwnLog
  readonly #ownAccount: Account
  readonly #follower: LogFollower
  readonly #cards: Cards
  readonly #court: Court
  readonly #statements: Statements
  /** What clients promised and paid. */
  readonly spending: Spending
  readonly #unwritten: Unwritten

  private constructor(options: LedgerOptions, own: Account, books: Books) {
    const { signer, params, log, store, wallMs, onNews } = options
    this.#options = options
    this.ownId = signer.id
    this.books = books
    this.#ownAccount = own
    this.#court = new Court({
      ownId: signer.id,
      networkId: signer.networkId,
      books,
      onBanned: (record) => this.#cutOff(record),
      onFound: (proof) => onNews({ proof }),
      onAccused: options.onAccused,
    })
    const ban = (record: BanRecord): boolean => this.#court.ban(record)
    const found = (proof: FraudProof): void => this.#court.found(proof)
    this.spending = new Spending({
      ownId: signer.id,
      networkId: signer.networkId,
      books,
      onDoubleSpend: found,
      onLost: (entry) => this.#own.append(entry),
    })
    this.#statements = new Statements({ signer, books, ban, onLie: (statement) => onNews({ statement }) })
    this.#own = new OwnLog(log, own, {
      signer,
      params,
      epochNow: () => toEpoch(wallMs(), params),
      makeCard: (signal) => this.#cards.make(options, signal),
      isCardOld: (card) => this.#cards.isOld(card, options),
      onGrown: (head) => {
        onNews({ head })
        options.onChanged()
      },
      onReceipt: (receipt) => this.spending.received(receipt),
      onPaid: (entry) => this.spending.paid(signer.id, entry),
      onSettled: () => void this.#unwritten.keep(),
      onRestored: options.onRestored,
      onProblem: options.onProblem,
    })
    this.#unwritten = new Unwritten(options.unwritten, () => this.#own.waiting)
    this.#cards = new Cards({ signer, params, books, onContradiction: (proof) => this.#court.convict(proof) })
    this.#follower = new LogFollower({
      ownId: signer.id,
      ownLogKey: options.keys.log,
      networkId: signer.networkId,
      params,
      books,
      store,
      ban,
      onSuspects: (suspects) => onNews({ suspects }),
      onReceipt: (receipt) => this.spending.received(receipt),
      onPaid: (clientId, entry) => this.spending.paid(clientId, entry),
      onCard: (card) => {
        const proof = this.#cards.compare(card)
        if (proof) found(proof)
      },
      onRead: options.onChanged,
      onRoom: (isFull) => options.onRoom?.(isFull),
    })
  }

  /** Reads the own log. Rejects when the store cannot be read; the cache is closed then. */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const { signer, params, wallMs } = options
    const books = new Books(
      params,
      () => toEpoch(wallMs(), params),
      (account) => void ledger.#follower.drop(account),
    )
    const own = books.open(signer.id)
    if (!own) throw new Error('an empty book has room')
    const ledger = new Ledger(options, own, books)
    try {
      // The own log last: its receipts are compared with what clients are known to have paid.
      await ledger.#restore()
      await ledger.#own.open()
      for (const entry of await ledger.#unwritten.load()) ledger.append(entry)
      return ledger
    } catch (error) {
      await options.cache?.close()
      throw error
    }
  }

  get networkId(): NetworkId {
    return this.#options.signer.networkId
  }

  get epoch(): number {
    return this.books.epoch
  }

  /** No peer holds more of the own log than this node: it may grow. */
  checked(): void {
    this.#own.checked()
  }

  /** Keeps something in the own log, as soon as that can be written. */
  append(entry: NewEntry): void {
    this.#own.append(entry)
  }

  isFiled(receiptId: string): boolean {
    return this.#ownAccount.state.seenReceipts.has(receiptId)
  }

  /** Receipts go into the log while they are in time. */
  file(receipt: Receipt): void {
    const { params } = this.books
    if (this.epoch > receipt.offer.epoch + params.filingEpochs) return
    if (this.isFiled(toReceiptId(receipt.offer, this.#options.signer.networkId))) return
    this.append({ type: 'receipt', epoch: this.epoch, receipt })
  }

  /** What this node may spend. */
  funds(): Funds {
    const { balance, line } = this.books.credit(this.#ownAccount)
    const { length, treeHash } = this.#own.head ?? { length: 0, treeHash: '00'.repeat(32) }
    const { owed, spentSeq } = this.#own
    return { balance: balance - owed, line, headLength: length, headHash: treeHash.slice(0, 32), spentSeq }
  }

  precedenceOf(accountId: PeerId): Precedence {
    return this.books.precedenceOf(accountId)
  }

  lengths(): ReadonlyMap<PeerId, number> {
    const lengths = new Map<PeerId, number>()
    for (const { id, head } of this.books.accounts()) if (head) lengths.set(id, head.length)
    return lengths
  }

  headOf(accountId: PeerId): Head | undefined {
    return this.books.get(accountId)?.head
  }

  cardOf(accountId: PeerId): IdentityCard | undefined {
    return this.books.get(accountId)?.card
  }

  proofs(): readonly FraudProof[] {
    return this.books.proofs
  }

  async learnCard(card: IdentityCard): Promise<Learned> {
    const learned = await this.#cards.learn(card)
    if (learned === 'new') this.#court.introduced(card.accountId)
    return learned
  }

  learnHead(head: Head): Learned {
    const { networkId } = this.#options.signer
    if (head.accountId === this.ownId) {
      this.heardOwnHead(head)
      return 'known'
    }
    const account = this.books.get(head.accountId)
    if (!account?.card) return 'later'
    const known = account.head
    if (known && known.length > head.length) {
      this.#follower.compareWithPast(account, head)
      return 'known'
    }
    if (known?.length === head.length && known.treeHash === head.treeHash) return 'known'
    if (!isHeadValid(head, networkId)) return 'invalid'
    if (known?.length === head.length) return this.#court.convict({ kind: 'fork', a: known, b: head })
    // Where its log is what bans it, that part has to stay to be had by those who come later.
    if (this.books.bans.has(head.accountId)) return 'known'
    // Clocks differ, but not by more than this.
    if (head.epoch > this.epoch + this.books.params.clockSkewEpochs) return 'later'
    account.head = head
    return 'new'
  }

  banned(): ReadonlyMap<PeerId, KnownBan> {
    return this.#court.banned()
  }

  learnProof(proof: FraudProof): Learned {
    return this.#court.learn(proof)
  }

  learnStatement(statement: ScoreStatement): Learned {
    return this.#statements.learn(statement)
  }

  statementOf(accountId: PeerId, epoch: number): ScoreStatement | undefined {
    return this.#statements.of(accountId, epoch)
  }

  heardOwnHead(head: Head): void {
    void this.#own.heard(head)
  }

  replicate(stream: NoiseStream): () => void {
    return this.#options.store.replicate(stream)
  }

  /** Resolves at once: a log that nobody has must not keep the others waiting. */
  catchUp(): Promise<void> {
    this.#follower.catchUp()
    return Promise.resolve()
  }

  /** The last entries of the part of a log that was read, oldest first. */
  entriesOf({ id, card, state }: Account, last: number): Promise<PlacedEntry[]> {
    const { store, log } = this.#options
    return readLast(id === this.ownId ? log : card && store.remote(card.logKey), state.length, last)
  }

  /** Once an epoch: things that could not be written are tried again, and the books are kept. */
  sweep(): void {
    this.#options.onSweep()
    this.#own.retry()
    void this.catchUp()
    this.#cards.sweep()
    this.#follower.sweep()
    this.spending.sweep()
    void this.#keep({ isLast: false })
    void this.#unwritten.keep()
  }

  /** Writes what waits and closes the store. */
  async close(): Promise<void> {
    await this.#follower.close()
    await this.#own.close()
    await this.#unwritten.keep()
    await this.#keep({ isLast: true })
    await this.#options.cache?.close()
    await this.#options.store.close()
  }

  async #restore(): Promise<void> {
    const { cache, store } = this.#options
    try {
      await cache?.load(this.books, (logKey, length) => store.remote(logKey).treeHash(length))
    } catch (error) {
      // The index is a cache: without it the logs are read again.
      this.#options.onProblem(toQMeshError(error, 'QM_LOG_DAMAGED'))
    }
    for (const record of this.books.banRecords) this.#cutOff(record)
  }

  #cutOff(record: BanRecord): void {
    this.#options.onBanned(record)
    this.#options.onChanged()
    void this.#follower.forget(record)
  }

  async #keep(options: { readonly isLast: boolean }): Promise<void> {
    await this.#options.cache
      ?.save(this.books, options)
      .catch((error: unknown) => this.#options.onProblem(toQMeshError(error, 'QM_LOG_DAMAGED')))
  }

  /** Two histories of a log were seen, not necessarily while it was read. */
  conflicted(logKey: string): void {
    if (logKey === this.#options.keys.log) void this.#own.conflicted()
    else this.#follower.conflicted(logKey)
  }
}
