import type { NoiseStream } from 'hyperswarm'
import { isStampEnough, toInputDigest, type TrustParams } from '../../machines/trust/index.ts'
import type { Tier } from '../../machines/scheduling/index.ts'
import { type PeerId, QMeshError, toQMeshError } from '../../protocol/index.ts'
import {
  cardFormat,
  cardRoles,
  checkProof,
  decodeEntry,
  type FraudProof,
  type Head,
  type IdentityCard,
  isCardValid,
  isHeadValid,
  isStatementValid,
  type LogEntry,
  type NetworkId,
  type Offer,
  type Receipt,
  type ScoreStatement,
  scoreStatementFormat,
  toReceiptId,
  type TrustSigner,
} from '../../protocol/trust/index.ts'
import type { AccountCache } from './account-cache.ts'
import type { AccountLog } from './account-log.ts'
import { type Account, type BanRecord, Books } from './books.ts'
import type { Funds } from './deals.ts'
import { toEpoch } from './epoch.ts'
import type { GossipLedger, Learned } from './gossip/gossip.port.ts'
import { type Broken, LogReader } from './log-reader.ts'
import type { LogStore } from './log-store.ts'
import { OfferMemory } from './offer-memory.ts'
import { type NewEntry, OwnLog } from './own-log.ts'
import { hashStamp, makeStamp } from './stamp.ts'

export interface LedgerOptions {
  readonly signer: TrustSigner
  readonly params: TrustParams
  readonly store: LogStore
  readonly log: AccountLog
  /** Absent: every log is read anew at every start. */
  readonly cache?: AccountCache | undefined
  /** Public keys for the card, in hex. */
  readonly keys: { readonly log: string; readonly vrf: string }
  readonly roles: readonly (keyof typeof cardRoles)[]
  readonly name: string
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  readonly onBanned: (record: BanRecord) => void
  /** Something to pass on: the own log grew, or a contradiction was found. */
  readonly onNews: (news: {
    readonly head?: Head
    readonly proof?: FraudProof
    /** Words of somebody's that do not fit its log, for others to compare with what they hold. */
    readonly suspects?: readonly Head[]
    readonly statement?: ScoreStatement
  }) => void
  /** So many entries that the own log had lost came back from peers. */
  readonly onRestored: (entries: number) => void
  /** Scores may have changed. */
  readonly onChanged: () => void
  /** Once an epoch. */
  readonly onSweep: () => void
  readonly onProblem: (error: QMeshError) => void
}

/** The node's view of who did what: its own log, the logs of the accounts it hears of, and who is banned for what. */
export class Ledger implements GossipLedger {
  readonly ownId: PeerId
  readonly books: Books
  readonly #options: LedgerOptions
  readonly #own: OwnLog
  readonly #ownAccount: Account
  readonly #reader: LogReader
  readonly #offers: OfferMemory
  readonly #stamping = new Map<PeerId, Promise<Learned>>()
  /** Accounts whose logs are being read. */
  readonly #following = new Set<PeerId>()
  /** The latest head of each account that fitted its log. */
  readonly #fitting = new Map<PeerId, Head>()
  /** Peers have shown a proof against this node itself. */
  #isAccused = false
  /** When each account last had another card: it may change once an epoch. */
  readonly #recarded = new Map<PeerId, number>()

  private constructor(options: LedgerOptions, own: Account, books: Books) {
    const { signer, params, log, store, wallMs } = options
    this.#options = options
    this.ownId = signer.id
    this.books = books
    this.#ownAccount = own
    this.#offers = new OfferMemory(signer.networkId)
    this.#own = new OwnLog(log, own, {
      signer,
      params,
      epochNow: () => toEpoch(wallMs(), params),
      makeCard: (signal) => this.#makeCard(signal),
      onGrown: (head) => {
        options.onNews({ head })
        options.onChanged()
      },
      onOffer: (offer) => this.#spent(offer),
      onRestored: options.onRestored,
      onProblem: options.onProblem,
    })
    this.#reader = new LogReader({
      params,
      networkId: signer.networkId,
      store,
      onBroken: (found) => this.#broken(found),
      onOffer: (offer) => this.#spent(offer),
      onCard: (card) => this.#compareCards(card),
    })
  }

  /** Reads the own log. Rejects when the store cannot be read. */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const { signer, params, wallMs } = options
    const books = new Books(params, () => toEpoch(wallMs(), params))
    const own = books.open(signer.id)
    if (!own) throw new Error('an empty book has room')
    const ledger = new Ledger(options, own, books)
    await ledger.#own.open()
    await ledger.#restore()
    return ledger
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
    return { balance, line, headLength: length, headHash: treeHash.slice(0, 32) }
  }

  tierOf(accountId: PeerId): Tier {
    return this.books.tierOf(accountId)
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
    const { signer, params } = this.#options
    if (card.accountId === signer.id) return 'known'
    const known = this.books.get(card.accountId)?.card
    if (known && known.seq > card.seq) return 'known'
    if (known && cardFormat.toHash(known, signer.networkId) === cardFormat.toHash(card, signer.networkId)) {
      return 'known'
    }
    if (!isCardValid(card, signer.networkId)) return 'invalid'
    if (known && isContradicted(known, card)) return this.learnProof({ kind: 'two-cards', a: known, b: card })
    if (this.#isFuture(card.createdEpoch)) return 'later'
    // Every card is passed on by everybody, so nobody may have a new one at any moment.
    if (known && this.#recarded.get(card.accountId) === this.epoch) return 'later'
    if (params.stampBits === 0 || known?.stampNonce === card.stampNonce) return this.#takeCard(card)
    // A stamp's check takes 64 MiB and a tenth of a second: once for each account, however many peers tell of it.
    const checking = this.#stamping.get(card.accountId) ?? this.#checkStamp(card)
    this.#stamping.set(card.accountId, checking)
    return checking.finally(() => this.#stamping.delete(card.accountId))
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
    if (known && known.length > head.length) return this.#compareWithPast(account, head)
    if (known?.length === head.length && known.treeHash === head.treeHash) return 'known'
    if (!isHeadValid(head, networkId)) return 'invalid'
    if (known?.length === head.length) return this.learnProof({ kind: 'fork', a: known, b: head })
    // A ban is dated by what proves it: nobody may date that after the receipts it would void.
    if (this.#isFuture(head.epoch)) return 'later'
    account.head = head
    return 'new'
  }

  learnProof(proof: FraudProof): Learned {
    const found = checkProof(proof, this.#options.signer.networkId)
    if (!found) return 'invalid'
    if (found.guilty === this.ownId) {
      if (!this.#isAccused) this.#options.onProblem(new QMeshError('QM_LOG_FORKED', ownFault(proof.kind)))
      this.#isAccused = true
      return 'known'
    }
    const reason = banReasons[proof.kind]
    return this.#ban({ accountId: found.guilty, reason, epoch: found.epoch, proof }) ? 'new' : 'known'
  }

  learnStatement(statement: ScoreStatement): Learned {
    if (!isStatementValid(statement, this.#options.signer.networkId)) return 'invalid'
    const own = this.statementOf(statement.accountId, statement.epoch)
    if (!own || own.inputDigest !== statement.inputDigest) return 'later'
    if (own.values.join() === statement.values.join()) return 'known'
    // From the same inputs it states another result: whoever has them can see that it lies.
    const reason = `It stated a false score of the account ${statement.accountId}.`
    const { signerId, epoch } = statement
    if (!this.#ban({ accountId: signerId, reason, epoch, isLocal: true })) return 'known'
    this.#options.onNews({ statement })
    return 'new'
  }

  statementOf(accountId: PeerId, epoch: number): ScoreStatement | undefined {
    const account = this.books.get(accountId)
    const { signer } = this.#options
    // A past epoch would need the log as it was then, a future one is nobody's to judge.
    if (!account?.treeHash || epoch !== this.epoch) return undefined
    const { state, treeHash } = account
    const inputDigest = toInputDigest({
      accountId,
      epoch,
      length: state.length,
      treeHash,
      banRoot: this.books.bans.root,
      networkId: signer.networkId,
    })
    const { values } = this.books.score(account)
    return scoreStatementFormat.sign(signer, { accountId, epoch, inputDigest, values, signerId: signer.id })
  }

  heardOwnHead(head: Head): void {
    void this.#own.heard(head)
  }

  replicate(stream: NoiseStream): () => void {
    return this.#options.store.replicate(stream)
  }

  /** Resolves at once: a log that nobody has must not keep the others waiting. */
  catchUp(): Promise<void> {
    for (const account of this.books.accounts()) if (this.#isBehind(account)) void this.#follow(account)
    return Promise.resolve()
  }

  get networkId(): NetworkId {
    return this.#options.signer.networkId
  }

  /** The last entries of the part of a log that was read, oldest first. */
  async entriesOf(
    { id, card, state }: Account,
    last: number,
  ): Promise<{ readonly index: number; readonly entry: LogEntry }[]> {
    const { store, log } = this.#options
    const from = Math.max(0, state.length - last)
    const source = id === this.ownId ? log : card && store.remote(card.logKey)
    const entries: { index: number; entry: LogEntry }[] = []
    if (!source) return entries
    for await (const slice of source.read(from, state.length)) {
      for (const bytes of slice) entries.push({ index: from + entries.length, entry: decodeEntry(bytes) })
    }
    return entries
  }

  /** Once an epoch: things that could not be written are tried again, and the books are kept. */
  sweep(): void {
    this.#options.onSweep()
    this.#own.retry()
    void this.catchUp()
    for (const [id, epoch] of this.#recarded) if (epoch < this.epoch) this.#recarded.delete(id)
    void this.#keep()
  }

  /** Writes what waits and closes the store. */
  async close(): Promise<void> {
    await this.#reader.close()
    await this.#own.close()
    await this.#keep()
    await this.#options.cache?.close()
    await this.#options.store.close()
  }

  /** What the own log has not taken: kept elsewhere over a stop, it is not lost. */
  unwritten(): readonly NewEntry[] {
    return this.#own.waiting
  }

  async #restore(): Promise<void> {
    const { cache, store, onBanned } = this.#options
    try {
      await cache?.load(this.books)
      for (const account of this.books.accounts()) {
        const { id, card, state } = account
        if (id !== this.ownId && card)
          account.treeHash = await store.remote(card.logKey).treeHash(state.length)
      }
    } catch (error) {
      // The index is a cache: without it the logs are read again.
      this.#options.onProblem(toQMeshError(error, 'QM_LOG_DAMAGED'))
    }
    for (const record of this.books.banRecords) onBanned(record)
  }

  async #keep(): Promise<void> {
    await this.#options.cache
      ?.save(this.books)
      .catch((error: unknown) => this.#options.onProblem(toQMeshError(error, 'QM_LOG_DAMAGED')))
  }

  #isBehind({ id, head, state }: Account): boolean {
    return id !== this.ownId && (head?.length ?? 0) > state.length && !this.books.isBanned(id)
  }

  /** Reads on as long as there is more and it comes. Never rejects. */
  async #follow(account: Account): Promise<void> {
    const { id, state } = account
    if (this.#following.has(id)) return
    this.#following.add(id)
    for (let before = -1; before < state.length && this.#isBehind(account);) {
      before = state.length
      await this.#reader.read(account)
      if (state.length > before) this.#hasRead(account)
    }
    this.#following.delete(id)
  }

  #hasRead(account: Account): void {
    const { head, treeHash, state } = account
    if (head?.length === state.length && head.treeHash === treeHash) this.#fitting.set(account.id, head)
    const ban = this.books.toLogBan(account)
    if (ban) this.#ban(ban)
    this.#options.onChanged()
  }

  /** An older head that is not the beginning of the newer one is a fork, too. */
  #compareWithPast(account: Account, head: Head): Learned {
    if (account.card) void this.#compare(account, account.card, head).catch(() => undefined)
    return 'known'
  }

  async #compare({ id }: Account, { logKey }: IdentityCard, head: Head): Promise<void> {
    const { store, signer } = this.#options
    const ours = await store.remote(logKey).treeHash(head.length)
    if (ours === undefined || ours === head.treeHash || !isHeadValid(head, signer.networkId)) return
    const reason = 'It signed for another history of its log.'
    if (this.#ban({ accountId: id, reason, epoch: head.epoch, isLocal: true }))
      this.#options.onNews({ suspects: [head] })
  }

  #broken({ accountId, reason, epoch, isEvident }: Broken): void {
    const { head } = this.books.get(accountId) ?? {}
    if (!this.#ban({ accountId, reason, epoch, isLocal: !isEvident }) || isEvident) return
    // Others may hold only one of the two histories: with both heads they find the contradiction themselves.
    this.#options.onNews({ suspects: [this.#fitting.get(accountId), head].flatMap((one) => one ?? []) })
  }

  /** Two histories of a log were seen, not necessarily while it was read. */
  conflicted(logKey: string): void {
    if (logKey === this.#options.keys.log) {
      void this.#own.conflicted()
      return
    }
    const epoch = this.epoch
    const reason = 'Its log cannot be true: two histories of it exist.'
    for (const { id: accountId, card } of this.books.accounts()) {
      if (card?.logKey === logKey) this.#broken({ accountId, reason, epoch, isEvident: false })
    }
  }

  #compareCards(card: IdentityCard): void {
    const known = this.books.get(card.accountId)?.card
    if (known && isContradicted(known, card)) this.#found({ kind: 'two-cards', a: known, b: card })
  }

  /** Clocks differ, but not by more than this. */
  #isFuture(epoch: number): boolean {
    return epoch > this.epoch + this.books.params.clockSkewEpochs
  }

  async #checkStamp(card: IdentityCard): Promise<Learned> {
    const { params } = this.#options
    const hash = await hashStamp(card.accountId, card.stampNonce, params.stampMemoryKb).catch(() => undefined)
    // Too many wait, or the memory for it is not to be had: a round brings the card again.
    if (!hash) return 'later'
    return isStampEnough(hash, params.stampBits) ? this.#takeCard(card) : 'invalid'
  }

  #takeCard(card: IdentityCard): Learned {
    const account = this.books.open(card.accountId)
    if (!account) return 'later'
    if (account.card) this.#recarded.set(card.accountId, this.epoch)
    account.card = card
    return 'new'
  }

  #spent(offer: Offer): void {
    const other = this.#offers.remember(offer)
    if (other) this.#found({ kind: 'double-spend', a: other, b: offer })
  }

  #found(proof: FraudProof): void {
    if (this.learnProof(proof) === 'new') this.#options.onNews({ proof })
  }

  #ban(record: BanRecord): boolean {
    if (record.accountId === this.ownId || !this.books.ban(record)) return false
    this.#options.onBanned(record)
    this.#options.onChanged()
    return true
  }

  async #makeCard(signal: AbortSignal): Promise<IdentityCard> {
    const { signer, params, keys, roles, name } = this.#options
    const { stampBits: bits, stampMemoryKb: memoryKb } = params
    const stampNonce = bits === 0 ? 0 : await makeStamp(signer.id, { bits, memoryKb }, signal)
    return cardFormat.sign(signer, {
      accountId: signer.id,
      logKey: keys.log,
      vrfKey: keys.vrf,
      roles: roles.reduce((all, role) => all | cardRoles[role], 0),
      createdEpoch: this.epoch,
      seq: 0,
      name,
      stampNonce,
    })
  }
}

/** No honest account signs both: the number is taken, or the log, whose key never changes, would be another one. */
const isContradicted = (a: IdentityCard, b: IdentityCard): boolean =>
  (a.seq === b.seq || a.logKey !== b.logKey) && a.signature !== b.signature

const ownFault = (kind: FraudProof['kind']): string =>
  `Peers hold proof against this node and ban it: ${banReasons[kind]} That happens when a data directory was copied and both copies ran. Stop one of them, and start again with new keys.`

const banReasons: Readonly<Record<FraudProof['kind'], string>> = {
  fork: 'It signed for two different logs of the same length.',
  'two-cards': 'It signed two different cards with the same number.',
  'double-spend': 'It made the same promise to pay twice.',
  'two-scores': 'It stated two different scores from the same log.',
}
