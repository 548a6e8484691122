import type Hypercore from 'hypercore'
import { limits } from '../../../protocol/index.ts'
import { isTimeout } from './deadline.ts'

/** Entries asked for at a time; what comes beyond the first that is too long is at most this much. */
const windowEntries = 512

/** Why a pull ended before it had everything. */
export type PullStop = 'timeout' | 'aborted' | 'bytes' | 'oversized' | 'fork' | 'conflict' | 'broken'

export interface PullLimits {
  /** Bytes of entries taken in this pull. */
  readonly bytesMax: number
  /** Ends the pull; a reason named `TimeoutError` counts as a timeout. */
  readonly signal: AbortSignal
  /** Hears of the bytes of each entry that came. */
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** Bytes of the whole log, fetched or not, from which on nothing more of it is taken. */
  readonly logBytesMax?: number | undefined
  /** Takes all that the owner signed, not only the length asked for. */
  readonly isAll?: boolean
  /** The store takes no more writes: the disk is full, or worse. */
  readonly onFailure: (cause: Error) => void
}

/**
 * Downloads the entries of an active core up to a length, in order and from any peer. Everything that arrives was
 * signed by the owner of the log, who may still be hostile: so bytes, time and the size of an entry are bounded.
 *
 * @returns what ended it early, nothing when all is here. Never rejects.
 */
export async function pullBlocks(
  core: Hypercore,
  toLength: number,
  { bytesMax, signal, isAll = false, onFailure, onBytes, logBytesMax }: PullLimits,
): Promise<PullStop | undefined> {
  const watch = new PullWatch(core, { bytesMax, signal, onBytes, logBytesMax })
  try {
    while (!watch.stop && core.length < toLength) await watch.change()
    let end = toLength
    while (!watch.stop && core.contiguousLength < end) {
      const start = core.contiguousLength
      if (isAll) end = Math.max(end, core.length)
      const range = core.download({ start, end: Math.min(start + windowEntries, end), linear: true })
      await Promise.race([range.done().catch(() => undefined), watch.ended])
      if (watch.stop || core.contiguousLength === start) {
        range.destroy()
        if (!watch.stop) await watch.change()
      }
      if (isAll) end = Math.max(end, core.length)
    }
    return watch.stop
  } finally {
    watch.close()
    if (watch.failure) onFailure(watch.failure)
  }
}

/** What happens to a core while it is pulled. */
class PullWatch {
  readonly ended: Promise<void>
  /** Why the store broke, when it did. */
  failure: Error | undefined
  readonly #core: Hypercore
  readonly #signal: AbortSignal
  readonly #bytesMax: number
  readonly #logBytesMax: number
  readonly #onBytes: ((bytes: number) => void) | undefined
  readonly #wakers = new Set<() => void>()
  #stop: PullStop | undefined
  #bytes = 0
  #end: () => void = () => undefined

  constructor(core: Hypercore, options: Omit<PullLimits, 'isAll' | 'onFailure'>) {
    const { bytesMax, signal, onBytes, logBytesMax = Infinity } = options
    this.#core = core
    this.#bytesMax = bytesMax
    this.#logBytesMax = logBytesMax
    this.#onBytes = onBytes
    this.#signal = signal
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    core.on('download', this.#onDownload)
    core.on('append', this.#onAppend)
    core.on('conflict', this.#onConflict)
    core.on('close', this.#onClose)
    core.on('verification-error', this.#onVerificationError)
    signal.addEventListener('abort', this.#onAbort)
    if (signal.aborted) this.#onAbort()
    else this.#onAppend()
  }

  get stop(): PullStop | undefined {
    return this.#stop
  }

  /** Until something was appended or downloaded, or the pull ended. */
  async change(): Promise<void> {
    if (this.#stop) return
    await new Promise<void>((resolve) => {
      this.#wakers.add(resolve)
    })
  }

  close(): void {
    const core = this.#core
    core.off('download', this.#onDownload)
    core.off('append', this.#onAppend)
    core.off('conflict', this.#onConflict)
    core.off('close', this.#onClose)
    core.off('verification-error', this.#onVerificationError)
    this.#signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onDownload = (_index: number, byteLength: number): void => {
    this.#bytes += byteLength
    this.#onBytes?.(byteLength)
    if (byteLength > limits.logEntryBytesMax) this.#finish('oversized')
    else if (this.#bytes > this.#bytesMax) this.#finish('bytes')
    else this.#wake()
  }

  /** The signed tree tells how many bytes all entries have, before one of them has come. */
  readonly #onAppend = (): void => {
    const { byteLength, length } = this.#core
    if (byteLength > length * limits.logEntryBytesMax) this.#finish('oversized')
    else if (byteLength > this.#logBytesMax) this.#finish('bytes')
    else this.#wake()
  }

  readonly #onConflict = (): void => this.#finish('conflict')
  readonly #onClose = (): void => this.#finish('broken')

  /** Hypercore reports a failed write as if the peer had sent something wrong; only its own errors have a code. */
  readonly #onVerificationError = (error: Error & { readonly code?: unknown }): void => {
    if (error.code !== undefined) return
    this.failure = error
    this.#finish('broken')
  }

  readonly #onAbort = (): void => {
    if (!isTimeout(this.#signal)) this.#finish('aborted')
    // A peer may say of any log that it was truncated, so this proves nothing; but nothing else is to be had.
    else this.#finish(isForkedAtAll(this.#core) ? 'fork' : 'timeout')
  }

  #finish(stop: PullStop): void {
    this.#stop ??= stop
    this.#end()
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#wakers) resolve()
    this.#wakers.clear()
  }
}

const isForkedAtAll = ({ peers, fork }: Hypercore): boolean =>
  peers.length > 0 && peers.every(({ remoteFork }) => remoteFork !== fork)
