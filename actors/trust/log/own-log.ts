import { applyEntry, type TrustParams } from '../../../machines/trust/index.ts'
import { type QMeshError, toQMeshError } from '../../../protocol/index.ts'
import {
  decodeEntry,
  encodeEntry,
  type Head,
  headFormat,
  type IdentityCard,
  isHeadValid,
  type LogEntry,
  type PaidEntry,
  type Receipt,
  toReceiptId,
  type TrustSigner,
} from '../../../protocol/trust/index.ts'
import type { AccountLog } from './account-log.ts'
import type { Account } from '../books.ts'

/** An entry before it has its place, which decides its epoch. */
export type NewEntry = Exclude<LogEntry, { type: 'card' | 'unknown' }>

export interface OwnLogPorts {
  readonly signer: TrustSigner
  readonly params: TrustParams
  readonly epochNow: () => number
  /** Makes the account's card: its stamp may take long. */
  readonly makeCard: (signal: AbortSignal) => Promise<IdentityCard>
  /** Whether the card in the log is to be replaced; absent, it never is. */
  readonly isCardOld?: (card: IdentityCard) => boolean
  /** The log is longer now. */
  readonly onGrown: (head: Head) => void
  /** A receipt of it, and a payment. */
  readonly onReceipt: (receipt: Receipt) => void
  readonly onPaid?: (entry: PaidEntry) => void
  /** Entries that this node had lost, as after restoring a backup, came back from its peers. */
  readonly onRestored: (entries: number) => void
  /** It cannot be written now, or never again. Said once for each reason. */
  readonly onProblem: (error: QMeshError) => void
  /** All that waited is in the log. */
  readonly onSettled?: () => void
}

/** Entries that wait while the log is not open yet, or cannot be written; the oldest are given up first. */
const waitingMax = 10_000
/** Entries written at once. */
const batchMax = 256
/** Heads of peers that are being compared with it; each may take a minute, and what is left out comes again. */
const comparingMax = 16

/**
 * This node's own log: what is to be kept goes in, one thing after the other, and nothing before it is sure that no
 * peer holds a longer log of this account.
 */
export class OwnLog {
  readonly #ports: OwnLogPorts
  readonly #log: AccountLog
  readonly #account: Account
  readonly #stop = new AbortController()
  readonly #waiting: NewEntry[] = []
  /** What is being written. */
  #batch: readonly NewEntry[] = []
  #isChecked = false
  #writing: Promise<void> | undefined
  #reading: Promise<void> = Promise.resolve()
  #problem: string | undefined
  /** Heads, by length and hash, that are being compared with the log. */
  readonly #comparing = new Set<string>()
  #head: Head | undefined

  constructor(log: AccountLog, account: Account, ports: OwnLogPorts) {
    this.#log = log
    this.#account = account
    this.#ports = ports
  }

  /** What others may check; undefined for an empty log. */
  get head(): Head | undefined {
    return this.#head
  }

  /** What is not written yet, or not known to be. */
  get waiting(): readonly NewEntry[] {
    return [...this.#batch, ...this.#waiting]
  }

  /** Milli-credits of payments that are not in the log yet: they are spent all the same. */
  get owed(): number {
    const { seenSpends } = this.#account.state
    return this.waiting.reduce(
      (sum, entry) => (entry.type === 'paid' && !seenSpends.has(entry.spendSeq) ? sum + entry.amount : sum),
      0,
    )
  }

  /** The highest spend number in the log and on the way into it; 0 for none. */
  get spentSeq(): number {
    return this.waiting.reduce(
      (highest, entry) => (entry.type === 'paid' ? Math.max(highest, entry.spendSeq) : highest),
      this.#account.state.spentSeq,
    )
  }

  /** Folds what the log holds. */
  async open(): Promise<void> {
    await this.#readOn()
  }

  /** Peers were asked what they hold of it: it may grow from now on. */
  checked(): void {
    this.#isChecked = true
    if (this.#log.state !== 'ready') void this.#tellState()
    this.#write()
  }

  /** After a failed write the next one is tried when something new comes, or now. */
  retry(): void {
    this.#write()
  }

  append(entry: NewEntry): void {
    this.#waiting.push(entry)
    if (this.#waiting.length > waitingMax) this.#waiting.shift()
    this.#write()
  }

  /** A peer holds this much of it: after a restored backup that may be more than there is here. */
  async heard(head: Head): Promise<void> {
    const { signer } = this.#ports
    const name = `${head.length} ${head.treeHash}`
    if (this.#comparing.has(name) || this.#comparing.size >= comparingMax) return
    if (head.accountId !== signer.id || !isHeadValid(head, signer.networkId)) return
    this.#comparing.add(name)
    const before = this.#account.state.length
    try {
      if (head.length <= this.#log.length && this.#log.state === 'ready') {
        // Two histories of the same length would show here; a longer one of ours would have them as its beginning.
        const ours = await this.#log.treeHash(head.length)
        if (ours === head.treeHash) return
      }
      const outcome = await this.#log.catchUp(head, { signal: this.#stop.signal })
      if (outcome.kind === 'current') {
        this.#problem = undefined
        await this.#readOn()
        const restored = this.#account.state.length - before
        if (restored > 0) this.#ports.onRestored(restored)
      } else await this.#tellState()
    } catch (error) {
      this.#report(error)
    } finally {
      this.#comparing.delete(name)
    }
    this.#write()
  }

  /** A peer showed another history of it. */
  conflicted(): Promise<void> {
    return this.#tellState()
  }

  /** What waits is written, if it can be. */
  async close(): Promise<void> {
    this.#stop.abort()
    // A write that ends starts the next one while there is something to write.
    while (this.#writing) await this.#writing
  }

  /** The log itself knows best why it takes nothing: an empty append asks it. */
  async #tellState(): Promise<void> {
    await this.#log.append([]).catch((error: unknown) => this.#report(error))
  }

  #write(): void {
    if (!this.#isChecked || this.#log.state !== 'ready') return
    if (this.#waiting.length === 0 && !this.#isCardOld()) return
    this.#writing ??= this.#writeAll().then(
      () => {
        this.#writing = undefined
        // What came between the last look and this moment.
        this.#write()
      },
      (error: unknown) => {
        this.#writing = undefined
        this.#report(error)
      },
    )
  }

  async #writeAll(): Promise<void> {
    // After a failed write nobody knows how much of it arrived: the log is asked, and what it holds is not written again.
    await this.#append([])
    if (this.#account.state.card === null || this.#isCardOld()) await this.#introduce()
    while (this.#waiting.length > 0) {
      this.#batch = this.#waiting.splice(0, batchMax)
      const names = new Set<string>()
      const entries = this.#batch
        .filter((entry) => this.#isWanted(entry) && isFirst(names, this.#toName(entry)))
        .map((entry) => this.#dated(entry))
      try {
        if (entries.length > 0) await this.#append(entries)
      } catch (error) {
        this.#waiting.unshift(...this.#batch)
        throw error
      } finally {
        this.#batch = []
      }
    }
    this.#problem = undefined
    this.#ports.onSettled?.()
  }

  /** An entry that is there already, or comes too late, would be a fault for everybody to see. */
  #isWanted(entry: NewEntry): boolean {
    const { params, signer, epochNow } = this.#ports
    const { seenReceipts, seenSpends } = this.#account.state
    if (entry.type === 'paid') return !seenSpends.has(entry.spendSeq)
    const { offer } = entry.receipt
    return (
      !seenReceipts.has(toReceiptId(offer, signer.networkId)) &&
      epochNow() <= offer.epoch + params.filingEpochs
    )
  }

  #toName(entry: NewEntry): string {
    if (entry.type === 'paid') return `paid ${entry.spendSeq}`
    return `receipt ${toReceiptId(entry.receipt.offer, this.#ports.signer.networkId)}`
  }

  #isCardOld(): boolean {
    const { card } = this.#account
    return card !== undefined && this.#ports.isCardOld?.(card) === true
  }

  async #introduce(): Promise<void> {
    const card = await this.#ports.makeCard(this.#stop.signal)
    await this.#append([{ type: 'card', card }])
  }

  async #append(entries: readonly Exclude<LogEntry, { type: 'unknown' }>[]): Promise<void> {
    await this.#log.append(entries.map(encodeEntry))
    await this.#readOn()
  }

  /** A log's clock never goes back, even if the machine's does. */
  #dated(entry: NewEntry): NewEntry {
    return { ...entry, epoch: Math.max(entry.epoch, this.#ports.epochNow(), this.#account.state.lastEpoch) }
  }

  /** What is in the log, and only that, counts. One reading at a time, or an entry would count twice. */
  #readOn(): Promise<void> {
    const reading = this.#reading.then(() => this.#readAll())
    this.#reading = reading.catch(() => undefined)
    return reading
  }

  async #readAll(): Promise<void> {
    const { params, signer, epochNow } = this.#ports
    const { state } = this.#account
    if (state.length < this.#log.length) this.#account.treeHash = undefined
    for await (const slice of this.#log.read(state.length, this.#log.length)) {
      for (const bytes of slice) {
        const entry = decodeEntry(bytes)
        applyEntry(state, entry, { params, networkId: signer.networkId })
        if (entry.type === 'card') this.#account.card = entry.card
        if (entry.type === 'receipt') this.#ports.onReceipt(entry.receipt)
        if (entry.type === 'paid') this.#ports.onPaid?.(entry)
      }
    }
    if (state.length === (this.#head?.length ?? 0)) return
    const treeHash = await this.#log.treeHash(state.length)
    if (treeHash === undefined) return
    const head = headFormat.sign(signer, {
      accountId: signer.id,
      epoch: epochNow(),
      length: state.length,
      treeHash,
    })
    this.#head = head
    this.#account.head = head
    this.#account.treeHash = treeHash
    this.#ports.onGrown(head)
  }

  #report(error: unknown): void {
    if (this.#stop.signal.aborted) return
    const reason = toQMeshError(error, 'QM_LOG_DAMAGED')
    if (reason.message === this.#problem) return
    this.#problem = reason.message
    this.#ports.onProblem(reason)
  }
}

function isFirst(names: Set<string>, name: string): boolean {
  if (names.has(name)) return false
  names.add(name)
  return true
}
