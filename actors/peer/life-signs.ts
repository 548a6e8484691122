import { limits } from '../../protocol/index.ts'
import type { LifeSigns } from '../../machines/request/index.ts'

/** Milliseconds: less than this is a busy event loop at the other end, not an absence. */
const silenceMsMin = 120
/** Milliseconds believed before the first answer to a ping. */
const silenceMsFirst = 300
const silenceMsLimit = 5_000
/** Milliseconds between two pings while all is well. */
const sampleEveryMs = 250
/** Pings that may be under way: those of the longest silence that is believed. */
const pingsMax = 128

/**
 * When a peer was last heard, and how long its silence after a ping may be. The bound is the retransmission time-out of
 * RFC 6298, section 2: the smoothed round trip and four times its variation, so that a far or busy peer is given longer.
 */
export class PeerLifeSigns implements LifeSigns {
  readonly #now: () => number
  readonly #send: (id: number) => void
  readonly #isSending: () => boolean
  #heardAtMs: number
  #id = 0
  /** When each ping was sent that is not answered yet, the oldest first. */
  readonly #pings = new Map<number, number>()
  #pingedAtMs = -Infinity
  #roundTripMs: number | undefined
  #variationMs = 0

  /**
   * @param send says a ping with this number
   * @param isSending whether much of what we said is still on its way: a ping stands behind it in line
   */
  constructor(now: () => number, send: (id: number) => void, isSending: () => boolean = () => false) {
    this.#now = now
    this.#send = send
    this.#isSending = isSending
    this.#heardAtMs = now()
  }

  get heardAtMs(): number {
    return this.#isSending() ? this.#now() : this.#heardAtMs
  }

  get silenceMsMax(): number {
    if (this.#roundTripMs === undefined) return silenceMsFirst
    const timeoutMs = this.#roundTripMs + 4 * this.#variationMs
    return Math.min(silenceMsLimit, Math.max(silenceMsMin, Math.ceil(timeoutMs)))
  }

  /** Several requests may watch the same peer: one ping under way serves them all. */
  ping(): void {
    const nowMs = this.#now()
    const sinceMs = nowMs - this.#pingedAtMs
    if (sinceMs >= 0 && sinceMs < silenceMsMin / 3) return
    this.#id = this.#id >= limits.pingIdMax ? 0 : this.#id + 1
    this.#pingedAtMs = nowMs
    this.#pings.set(this.#id, nowMs)
    const [oldest] = this.#pings.keys()
    if (this.#pings.size > pingsMax && oldest !== undefined) this.#pings.delete(oldest)
    this.#send(this.#id)
  }

  sample(): void {
    if (this.#pings.size === 0 && this.#now() - this.#pingedAtMs >= sampleEveryMs) this.ping()
  }

  /** Anything came from the peer. */
  heard(): void {
    this.#heardAtMs = this.#now()
  }

  /** @returns whether it answers a ping of ours that is not answered yet */
  answered(id: number): boolean {
    const sentAtMs = this.#pings.get(id)
    if (sentAtMs === undefined) return false
    // Answers come in order: the ones before it are lost.
    for (const older of this.#pings.keys()) {
      this.#pings.delete(older)
      if (older === id) break
    }
    const sampleMs = Math.max(0, this.#now() - sentAtMs)
    if (this.#roundTripMs === undefined) {
      this.#roundTripMs = sampleMs
      this.#variationMs = sampleMs / 2
    } else {
      this.#variationMs += (Math.abs(this.#roundTripMs - sampleMs) - this.#variationMs) / 4
      this.#roundTripMs += (sampleMs - this.#roundTripMs) / 8
    }
    return true
  }
}
