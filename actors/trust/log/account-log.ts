import { setImmediate } from 'node:timers/promises'
import type Hypercore from 'hypercore'
import { limits, QMeshError } from '../../../protocol/index.ts'
import { isTimeout, startDeadline } from './deadline.ts'
import type { LogAccess } from './log-access.ts'
import { type LogCounter, type LogMark, MarkKeeper } from './log-counter.ts'
import { pullBlocks } from './pull.ts'
import { readSlices } from './read-slices.ts'
import { flushWal } from './wal.ts'

/** Entries that may wait to be written; more is refused. */
const waitingMax = 10_000
/** Entries written at once. */
const batchMax = 512
const catchUpTimeoutMs = 60_000

/**
 * `ready`: takes entries. `behind`: entries that were acknowledged, or that peers hold, are missing here; appending
 * would fork the log, so `catchUp` or `adopt` come first. `forked`: two histories of it exist; only the operator can
 * decide what to do.
 */
export type LogState = 'ready' | 'behind' | 'forked'

/** Two histories of the own log. */
export interface OwnFork {
  readonly length: number
  /** Tree hashes over the first `length` entries, 64 hex characters. */
  readonly ours: string
  readonly theirs: string
}

export type CatchUpOutcome =
  /** The log holds all that the peers hold, and takes entries. */
  | { readonly kind: 'current'; readonly length: number }
  /** Some of it came; the log stays `behind`. */
  | {
      readonly kind: 'partial'
      readonly reason: 'timeout' | 'aborted' | 'oversized' | 'broken'
      readonly length: number
    }
  | ({ readonly kind: 'forked' } & OwnFork)

interface Job {
  readonly entries: readonly Uint8Array[]
  readonly resolve: (length: number) => void
  readonly reject: (error: QMeshError) => void
}

/** This node's own log: entries are appended in the order in which they were asked for, many at a time. */
export class AccountLog {
  /** Public key of the signer, 64 hex characters. */
  readonly logKey: string
  readonly #access: LogAccess
  readonly #keyPair: Hypercore.KeyPair
  readonly #keeper: MarkKeeper
  readonly #waiting: Job[] = []
  #waitingEntries = 0
  #writing: Promise<void> | undefined
  /** What touches the end of the log does so one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #state: LogState = 'ready'
  #fork: OwnFork | undefined
  #length = 0
  /** The store failed in the middle of an append: what it holds is to be looked at before the next one. */
  #isUnsure = false
  #isClosed = false

  private constructor(access: LogAccess, keyPair: Hypercore.KeyPair, counter: LogCounter) {
    this.#access = access
    this.#keyPair = keyPair
    this.#keeper = new MarkKeeper(counter)
    this.logKey = keyPair.publicKey.toString('hex')
  }

  /**
   * Opens the log and compares it with what the counter says was acknowledged.
   *
   * @throws QMeshError `QM_LOG_DAMAGED`
   */
  static async open(access: LogAccess, keyPair: Hypercore.KeyPair, counter: LogCounter): Promise<AccountLog> {
    const log = new AccountLog(access, keyPair, counter)
    await log.#keeper.load()
    await access.use(log.logKey, (core) => log.#inspect(core))
    return log
  }

  get state(): LogState {
    return this.#access.conflictOf(this.logKey) ? 'forked' : this.#state
  }

  /** Both histories, once the state is `forked` and both were seen. */
  get fork(): OwnFork | undefined {
    return this.#fork ?? this.#access.conflictOf(this.logKey)
  }

  /** Entries that were acknowledged and are here. */
  get length(): number {
    return this.#length
  }

  /** What was acknowledged, here or before a backup was restored; nothing for a new log. */
  get acknowledged(): LogMark | undefined {
    return this.#keeper.mark
  }

  /**
   * Appends entries and waits until they are on the disk. What is asked for while the disk is busy is written
   * together. After a rejection with `QM_LOG_DAMAGED` the entries may still be in the log: read on from the length
   * before, and do not append the same again blindly. A later append tries to open the store again.
   *
   * @param entries at most `limits.logEntryBytesMax` bytes each; kept until written, so do not change them.
   * @returns the length of the log with the last of them.
   * @throws QMeshError `QM_LOG_FORKED` unless the state is `ready`, `QM_LOG_DAMAGED` when it cannot be written,
   *   `QM_EVIDENCE_INVALID` for an entry that is empty or too long, `QM_NODE_STOPPED`, `QM_QUEUE_FULL`
   */
  append(entries: readonly Uint8Array[]): Promise<number> {
    const refusal = this.#checkAppend(entries)
    if (refusal) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entries, resolve, reject })
      this.#waitingEntries += entries.length
      this.#writing ??= this.#write()
    })
  }

  /** Entries `from` (included) to `to` (excluded) in slices of at most 64, as far as they are here. */
  read(from: number, to: number): AsyncGenerator<Uint8Array[], void> {
    return readSlices(this.#access, this.logKey, from, to)
  }

  /** 64 hex characters over the first `length` entries; nothing when they are not here. */
  treeHash(length: number): Promise<string | undefined> {
    return this.#access.use(this.logKey, async (core) =>
      length > core.contiguousLength ? undefined : toHash(core, length),
    )
  }

  /**
   * Compares the log with a head that peers hold of it, and gets from them what is missing here. Appending waits
   * meanwhile.
   *
   * @param head signed by this account at some time, so its owner believed in it.
   * @throws QMeshError `QM_LOG_DAMAGED`, `QM_NODE_STOPPED`
   */
  async catchUp(
    head: LogMark,
    options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
  ): Promise<CatchUpOutcome> {
    return this.#inTurn(() => this.#catchUp(head, options))
  }

  /**
   * Takes the log as it is here for the whole of it, although more was once acknowledged: for when those entries are
   * lost and no peer has seen them. If one has, the next append forks the log and gets the account banned.
   *
   * @throws QMeshError `QM_LOG_FORKED` when the log is forked, `QM_LOG_DAMAGED`
   */
  async adopt(): Promise<void> {
    await this.#inTurn(() =>
      this.#access.use(this.logKey, async (core) => {
        if (this.state === 'forked' || core.contiguousLength < core.length) throw this.#toForked()
        await this.#take(core)
      }),
    )
  }

  /** What was asked for is written or rejected first. Never rejects; twice is fine. */
  async close(): Promise<void> {
    this.#isClosed = true
    while (this.#writing) await this.#writing
    await this.#turn
    await this.#keeper.close()
  }

  #checkAppend(entries: readonly Uint8Array[]): QMeshError | undefined {
    if (this.#isClosed) return new QMeshError('QM_NODE_STOPPED', 'The log was closed.')
    if (this.state !== 'ready') return this.#toForked()
    if (this.#waitingEntries + entries.length > waitingMax) {
      return new QMeshError('QM_QUEUE_FULL', `${waitingMax} entries already wait to be written to the log.`)
    }
    for (const { byteLength } of entries) {
      if (byteLength === 0 || byteLength > limits.logEntryBytesMax) {
        const wanted = `1 to ${limits.logEntryBytesMax} bytes`
        return new QMeshError(
          'QM_EVIDENCE_INVALID',
          `A log entry has ${byteLength} bytes instead of ${wanted}.`,
        )
      }
    }
    return undefined
  }

  async #write(): Promise<void> {
    // Whoever else is about to append in this turn of the event loop comes along.
    await setImmediate()
    while (this.#waiting.length > 0) {
      const jobs = this.#takeJobs()
      const blocks = jobs.flatMap(({ entries }) => entries)
      try {
        const length = await this.#inTurn(() =>
          this.#access.use(this.logKey, (core) => this.#appendTo(core, blocks)),
        )
        let end = length - blocks.length
        for (const { entries, resolve } of jobs) resolve((end += entries.length))
      } catch (error) {
        const reason = error instanceof QMeshError ? error : await this.#access.fail(error)
        for (const { reject } of jobs) reject(reason)
      }
    }
    // In the same turn as the look at the queue, or what is asked for in between would wait for ever.
    this.#writing = undefined
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    this.#turn = result.catch(() => undefined)
    return result
  }

  #takeJobs(): Job[] {
    let count = 0
    let entries = 0
    for (const job of this.#waiting) {
      if (count > 0 && entries + job.entries.length > batchMax) break
      count++
      entries += job.entries.length
    }
    this.#waitingEntries -= entries
    return this.#waiting.splice(0, count)
  }

  async #appendTo(core: Hypercore, blocks: readonly Uint8Array[]): Promise<number> {
    if (this.#isUnsure) await this.#inspect(core)
    // A peer showed us more of our own log than we have: appending now would leave a gap.
    if (core.length !== this.#length) this.#state = 'behind'
    if (this.state !== 'ready') throw this.#toForked()
    try {
      if (blocks.length > 0) {
        await core.append(blocks, { keyPair: this.#keyPair })
        await flushWal(this.#access.folder)
      }
      this.#length = core.length
      this.#keeper.keep({ length: core.length, treeHash: await toHash(core, core.length) })
    } catch (error) {
      this.#isUnsure = true
      throw await this.#access.fail(error)
    }
    return this.#length
  }

  /** Finds out what the log is like here, after opening it. */
  async #inspect(core: Hypercore): Promise<void> {
    const { mark } = this.#keeper
    this.#isUnsure = false
    this.#length = core.contiguousLength
    if (core.fork !== 0) {
      this.#state = 'forked'
      return
    }
    if (core.contiguousLength < core.length || (mark && mark.length > core.length)) {
      this.#state = 'behind'
      return
    }
    if (mark && (await toHash(core, mark.length)) !== mark.treeHash) {
      this.#setForked(mark.length, await toHash(core, mark.length), mark.treeHash)
      return
    }
    await this.#take(core)
  }

  async #take(core: Hypercore): Promise<void> {
    const { length } = core
    this.#length = length
    this.#state = 'ready'
    const treeHash = await toHash(core, length)
    if (length > 0 || this.#keeper.mark) this.#keeper.keep({ length, treeHash })
  }

  async #catchUp(
    head: LogMark,
    options: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
  ): Promise<CatchUpOutcome> {
    if (this.state === 'forked') return this.#forkedOutcome()
    // Said before waiting for a turn to pull: until that is over nothing may be appended, whether the turn comes or not.
    if (head.length > this.#length) this.#state = 'behind'
    const deadline = startDeadline(options.timeoutMs ?? catchUpTimeoutMs, options.signal)
    const { signal } = deadline
    try {
      const outcome = await this.#access.pulling(this.logKey, signal, (core) =>
        this.#follow(core, head, signal),
      )
      if (outcome) return outcome
      return { kind: 'partial', reason: isTimeout(signal) ? 'timeout' : 'aborted', length: this.#length }
    } finally {
      deadline.release()
    }
  }

  async #follow(core: Hypercore, head: LogMark, signal: AbortSignal): Promise<CatchUpOutcome> {
    const isHere = core.contiguousLength >= head.length && core.contiguousLength === core.length
    if (!isHere) {
      this.#state = 'behind'
      const stop = await pullBlocks(core, head.length, {
        bytesMax: Number.POSITIVE_INFINITY,
        signal,
        isAll: true,
        onFailure: (cause) => void this.#access.fail(cause),
      })
      if (stop === 'conflict') return this.#afterConflict()
      this.#length = core.contiguousLength
      if (stop) {
        const reason = stop === 'bytes' || stop === 'fork' ? 'timeout' : stop
        return { kind: 'partial', reason, length: core.contiguousLength }
      }
      await flushWal(this.#access.folder)
    }
    const ours = await toHash(core, head.length)
    if (ours !== head.treeHash) {
      this.#setForked(head.length, ours, head.treeHash)
      return this.#forkedOutcome()
    }
    await this.#inspect(core)
    if (this.state === 'forked') return this.#forkedOutcome()
    // Peers hold no more than this, but more was acknowledged once.
    if (this.state === 'behind') return { kind: 'partial', reason: 'timeout', length: this.#length }
    return { kind: 'current', length: this.#length }
  }

  /** What the store finds out about a conflict comes a moment after the conflict. */
  async #afterConflict(): Promise<CatchUpOutcome> {
    this.#state = 'forked'
    while (!this.#access.conflictOf(this.logKey)) await setImmediate()
    return this.#forkedOutcome()
  }

  #setForked(length: number, ours: string, theirs: string): void {
    this.#state = 'forked'
    this.#fork = { length, ours, theirs }
  }

  #forkedOutcome(): CatchUpOutcome {
    const { length, ours, theirs } = this.fork ?? { length: this.#length, ours: '', theirs: '' }
    return { kind: 'forked', length, ours, theirs }
  }

  #toForked(): QMeshError {
    const { folder } = this.#access
    return new QMeshError(
      'QM_LOG_FORKED',
      this.state === 'behind'
        ? `The log in ${folder} holds ${this.#length} entries and lacks some that it held before, as after restoring a backup. It takes no more until the node got them back from its peers: keep it connected. If no peer has them, stop the node and run "qmesh-node keys adopt".`
        : `Two histories of the log in ${folder} exist, as when a data directory was copied and both copies ran. Keep the folder that worked last, or start with new keys.`,
    )
  }
}

const toHash = async (core: Hypercore, length: number): Promise<string> =>
  (await core.treeHash(length)).toString('hex')
