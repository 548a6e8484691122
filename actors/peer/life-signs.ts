import { limits } from '../../protocol/index.ts'
import type { LifeSigns } from '../../machines/request/index.ts'

/** Milliseconds: less than this is a busy event loop at the other end, not an absence. */
const silenceMsMin = 120
/** Milliseconds believed before the first answer to a ping. */
const silenceMsFirst = 300
const silenceMsLimit = 5_000
/** Milliseconds between two pings while all is well. */
const sampleEveryMs = 250

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
  /** When the latest ping was sent, until it is answered. */
  #pingedAtMs: number | undefined
  #sampledAtMs = -Infinity
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
    if (this.#pingedAtMs !== undefined && nowMs - this.#pingedAtMs < silenceMsMin / 3) return
    this.#id = this.#id >= limits.pingIdMax ? 0 : this.#id + 1
    this.#pingedAtMs = this.#sampledAtMs = nowMs
    this.#send(this.#id)
  }

  sample(): void {
    if (this.#pingedAtMs === undefined && this.#now() - this.#sampledAtMs >= sampleEveryMs) this.ping()
  }

  /** Anything came from the peer. */
  heard(): void {
    this.#heardAtMs = this.#now()
  }

  /** @returns whether it answers the latest ping; one that was overtaken says nothing about the round trip. */
  answered(id: number): boolean {
    if (id !== this.#id || this.#pingedAtMs === undefined) return false
    const sampleMs = this.#now() - this.#pingedAtMs
    this.#pingedAtMs = undefined
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
