import { limits, type PeerId } from '../../../protocol/index.ts'

/** What may still be fetched of one log. */
export interface PullAllowance {
  /** The length up to which it may be fetched. */
  readonly toLength: number
  readonly bytes: number
}

export type PullBounds = Pick<
  typeof limits,
  'pullEntriesPerEpochMax' | 'pullBytesPerEpochMax' | 'pullEntriesMax' | 'pullBytesMax' | 'logsBytesMax'
>

interface Used {
  readonly epoch: number
  entries: number
  bytes: number
}

/** Bytes that the store keeps of an entry besides what is in it: hashes of the tree, and where it is. Measured: 120. */
const entryBytes = 128

/**
 * How much of each account's log this node fetches: a log is its owner's word and costs it nothing, so nobody may keep
 * a node reading, or fill its disk. What was used in an epoch is forgotten with it.
 */
export class PullQuota {
  readonly bounds: Readonly<Record<keyof PullBounds, number>>
  readonly #epochNow: () => number
  readonly #used = new Map<PeerId, Used>()
  /** Bytes of all logs: as last measured, and what came since. */
  #logsBytes = 0

  constructor(epochNow: () => number, bounds: Partial<Record<keyof PullBounds, number>> = {}) {
    this.bounds = { ...limits, ...bounds }
    this.#epochNow = epochNow
  }

  /**
   * @param held entries that are here
   * @returns undefined when there is nothing to fetch: the log is too long, the epoch's share is used up, or there is no
   *   room at all
   */
  allow(accountId: PeerId, held: number, headLength: number): PullAllowance | undefined {
    // Read in part it could never be compared with its head.
    const { pullEntriesMax, pullEntriesPerEpochMax, pullBytesPerEpochMax } = this.bounds
    if (headLength > pullEntriesMax || this.isFull) return undefined
    const { entries, bytes } = this.#of(accountId)
    const toLength = Math.min(headLength, held + pullEntriesPerEpochMax - entries)
    const bytesLeft = pullBytesPerEpochMax - bytes
    return toLength > held && bytesLeft > 0 ? { toLength, bytes: bytesLeft } : undefined
  }

  used(accountId: PeerId, entries: number, bytes: number): void {
    const used = this.#of(accountId)
    used.entries += entries
    used.bytes += bytes
    this.#logsBytes += bytes + entries * entryBytes
  }

  /** All logs together take twice the bound: nothing more is fetched of any. */
  get isFull(): boolean {
    return this.#logsBytes >= 2 * this.bounds.logsBytesMax
  }

  /** @param bytes that all logs take on the disk now */
  measured(bytes: number): void {
    this.#logsBytes = bytes
  }

  /**
   * Bytes that the entries of one log may come to. While there is room that is `pullBytesMax`; then an equal share, so that
   * accounts with long logs, which cost their owners little, leave room for the others. Logs of accounts that the books
   * forgot have room, too: at twice the bound nobody gets more.
   *
   * @param entries that it has: small ones take more room than what is in them
   */
  logBytesMax(accounts: number, entries: number): number {
    const { pullBytesMax, logsBytesMax } = this.bounds
    if (this.#logsBytes < logsBytesMax) return pullBytesMax
    if (this.isFull) return 0
    const share = Math.floor(logsBytesMax / Math.max(1, accounts))
    return Math.max(0, Math.min(pullBytesMax, share - entries * entryBytes))
  }

  #of(accountId: PeerId): Used {
    const epoch = this.#epochNow()
    for (const [id, used] of this.#used) {
      // In the order of epochs, so little more than what goes is looked at.
      if (used.epoch === epoch) break
      this.#used.delete(id)
    }
    const known = this.#used.get(accountId)
    if (known) return known
    const used = { epoch, entries: 0, bytes: 0 }
    this.#used.set(accountId, used)
    return used
  }
}
