import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds of the cap that may be used at once after a rest. */
const burstMs = 250

/**
 * Bytes a second, for all that share it: whoever comes pays for what it takes by waiting before the next. Without a cap
 * nobody waits.
 */
export class RateLimit {
  #bytesPerSecond: number
  readonly #now: () => number
  /** When everything that was taken is paid for. */
  #paidAtMs = -Infinity

  /** @param bytesPerSecond 0 for no cap */
  constructor(bytesPerSecond = 0, now: () => number = () => performance.now()) {
    this.#bytesPerSecond = bytesPerSecond
    this.#now = now
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond
  }

  set bytesPerSecond(value: number) {
    this.#bytesPerSecond = value
    this.#paidAtMs = -Infinity
  }

  /** Milliseconds to wait before these bytes may go; they count as taken. */
  reserve(bytes: number): number {
    if (this.#bytesPerSecond <= 0) return 0
    const nowMs = this.#now()
    const startMs = Math.max(this.#paidAtMs, nowMs - burstMs)
    this.#paidAtMs = startMs + (1_000 * bytes) / this.#bytesPerSecond
    return Math.max(0, Math.ceil(startMs - nowMs))
  }

  /** Resolves when these bytes may go. @throws the reason of the signal */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const waitMs = this.reserve(bytes)
    if (waitMs > 0) await sleep(waitMs, undefined, { ...(signal && { signal }), ref: false })
  }
}
