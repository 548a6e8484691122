import type Hypercore from 'hypercore'
import { limits } from '../../../protocol/index.ts'
import { startDeadline } from './deadline.ts'
import type { LogAccess, LogConflict } from './log-access.ts'
import { pullBlocks, type PullLimits } from './pull.ts'
import { readSlices } from './read-slices.ts'

const timeoutMsDefault = 30_000
const bytesMaxDefault = 64 * 1024 * 1024

export interface PullOptions {
  readonly signal?: AbortSignal
  /** Milliseconds from its turn on, for which it waits until `signal`; 30 s unless told. */
  readonly timeoutMs?: number
  /** Bytes of entries taken in this pull; 64 MiB unless told. What was taken stays, a next pull goes on there. */
  readonly bytesMax?: number
  /** Bytes of the whole log from which on nothing more of it is taken; no bound unless told. */
  readonly logBytesMax?: number
  /** Hears of the bytes of each entry that came. */
  readonly onBytes?: (bytes: number) => void
}

/** `partial`: may be tried again. `refused`: the owner of the log broke a rule, or no peer has a log that did not. */
export type PullOutcome =
  | { readonly kind: 'complete'; readonly length: number; readonly treeHash: string }
  | {
      readonly kind: 'partial'
      readonly reason: 'timeout' | 'aborted' | 'bytes' | 'broken'
      readonly length: number
    }
  | {
      readonly kind: 'refused'
      /** `fork`: every peer says that the owner truncated the log; a lone peer can say so without proof. */
      readonly reason: 'oversized' | 'fork' | 'conflict'
      readonly length: number
    }

/** Another account's log, as far as we hold it. Cheap to make: it opens nothing until it is used. */
export class RemoteLog {
  /** Public key of its signer, 64 hex characters. */
  readonly logKey: string
  readonly #access: LogAccess

  constructor(access: LogAccess, logKey: string) {
    this.#access = access
    this.logKey = logKey
  }

  /** Two signed trees that were seen of this log since the store was opened. */
  get conflict(): LogConflict | undefined {
    return this.#access.conflictOf(this.logKey)
  }

  /** Entries here, without a gap. */
  async length(): Promise<number> {
    if (!(await this.#access.has(this.logKey))) return 0
    return this.#access.use(this.logKey, async (core) => core.contiguousLength)
  }

  /** 64 hex characters over the first `length` entries, to compare with a signed head; nothing when they are not here. */
  async treeHash(length: number): Promise<string | undefined> {
    if (!(await this.#access.has(this.logKey))) return undefined
    return this.#access.use(this.logKey, async (core) =>
      length > core.contiguousLength ? undefined : (await core.treeHash(length)).toString('hex'),
    )
  }

  /** Entries `from` (included) to `to` (excluded) in slices of at most 64, as far as they are here. */
  read(from: number, to: number): AsyncGenerator<Uint8Array[], void> {
    return readSlices(this.#access, this.logKey, from, to)
  }

  /**
   * Gets the first `toLength` entries, if they are not here, from whoever is connected or connects meanwhile.
   *
   * @throws QMeshError `QM_LOG_DAMAGED` when the store is broken, `QM_NODE_STOPPED` when it was closed
   */
  async pull(toLength: number, options: PullOptions = {}): Promise<PullOutcome> {
    const { timeoutMs = timeoutMsDefault, bytesMax = bytesMaxDefault, logBytesMax, onBytes } = options
    const refusal = this.#access.refusalOf(this.logKey)
    if (refusal) return { kind: 'refused', reason: refusal, length: await this.length() }
    const held = await this.#held(toLength)
    if (held) return held
    const pulled = await this.#access.pulling(this.logKey, options.signal, async (core) => {
      const { signal, release } = startDeadline(timeoutMs, options.signal)
      try {
        return await this.#pull(core, toLength, { bytesMax, signal, logBytesMax, onBytes })
      } finally {
        release()
      }
    })
    return pulled ?? { kind: 'partial', reason: 'aborted', length: await this.length() }
  }

  /** Frees the space of the entries; they can be pulled again. */
  async forget(): Promise<void> {
    if (!(await this.#access.has(this.logKey))) return
    await this.#access.use(this.logKey, clear)
  }

  async #held(toLength: number): Promise<PullOutcome | undefined> {
    if (!(await this.#access.has(this.logKey))) return undefined
    return this.#access.use(this.logKey, async (core) => {
      const length = core.contiguousLength
      if (core.fork !== 0 || length < toLength) return undefined
      return { kind: 'complete', length, treeHash: await toHash(core, toLength) }
    })
  }

  async #pull(
    core: Hypercore,
    toLength: number,
    bounds: Omit<PullLimits, 'isAll' | 'onFailure'>,
  ): Promise<PullOutcome> {
    if (core.fork !== 0) return { kind: 'refused', reason: 'fork', length: core.contiguousLength }
    const onFailure = (cause: Error): void => void this.#access.fail(cause)
    const stop = await pullBlocks(core, toLength, { ...bounds, onFailure })
    const length = core.contiguousLength
    switch (stop) {
      case undefined:
        return { kind: 'complete', length, treeHash: await toHash(core, toLength) }
      case 'oversized':
        this.#access.refuse(this.logKey, stop)
        await clear(core)
        return { kind: 'refused', reason: stop, length: 0 }
      case 'fork':
      case 'conflict':
        return { kind: 'refused', reason: stop, length }
      default:
        return { kind: 'partial', reason: stop, length }
    }
  }
}

/** All that may be here: how many entries there are is its owner's word, and Hypercore's work grows with the number. */
const clear = async (core: Hypercore): Promise<void> => {
  if (core.length > 0) await core.clear(0, Math.min(core.length, limits.pullEntriesMax))
}

const toHash = async (core: Hypercore, length: number): Promise<string> =>
  (await core.treeHash(length)).toString('hex')
