import type { PeerId } from '../../protocol/index.ts'
import { SteadyClock } from './steady-clock.ts'
import type { Tier } from './tiers.ts'

export interface Rate {
  /** Requests at once after a long rest. */
  readonly burst: number
  /** Requests a second in the long run. */
  readonly perSecond: number
}

/** More is allowed to those who gave more; even the first tier cannot keep a worker busy with refusals. */
export const tierRates: Readonly<Record<Tier, Rate>> = {
  master: { burst: 64, perSecond: 32 },
  diamond: { burst: 48, perSecond: 24 },
  platinum: { burst: 40, perSecond: 16 },
  gold: { burst: 32, perSecond: 12 },
  silver: { burst: 24, perSecond: 8 },
  bronze: { burst: 16, perSecond: 4 },
}

/** A bucket's level at a time; it fills by itself, so nothing runs between two requests. */
export interface Bucket {
  readonly level: number
  readonly atMs: number
}

export type Taken =
  { readonly ok: true; readonly bucket: Bucket } | { readonly ok: false; readonly retryAfterMs: number }

/** Takes `cost` from a bucket as full as it is by now. A clock that jumps back fills nothing. */
export function take(bucket: Bucket | undefined, rate: Rate, nowMs: number, cost = 1): Taken {
  const sinceMs = bucket === undefined ? Infinity : Math.max(0, nowMs - bucket.atMs)
  const level = Math.min(rate.burst, (bucket?.level ?? rate.burst) + (sinceMs / 1_000) * rate.perSecond)
  if (level >= cost)
    return { ok: true, bucket: { level: level - cost, atMs: Math.max(nowMs, bucket?.atMs ?? nowMs) } }
  return { ok: false, retryAfterMs: Math.ceil(((cost - level) / rate.perSecond) * 1_000) }
}

const clientsMax = 10_000

/** One bucket per client and tier, bounded: the one unused longest is forgotten, and by then it is full again. */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>()
  /** A clock set back must not leave a client without requests until it has caught up. */
  readonly #clock = new SteadyClock()
  readonly #rates: Readonly<Record<Tier, Rate>>

  constructor(rates: Readonly<Record<Tier, Rate>> = tierRates) {
    this.#rates = rates
  }

  /** Milliseconds the client has to wait, 0 when it may go on now. */
  take(clientId: PeerId, tier: Tier, clockMs: number): number {
    const nowMs = this.#clock.read(clockMs)
    const key = `${tier} ${clientId}`
    const bucket = this.#buckets.get(key)
    const taken = take(bucket, this.#rates[tier], nowMs)
    if (!taken.ok) return taken.retryAfterMs
    // Deleting first moves the key to the end: a Map keeps the order of insertion, which makes it an LRU.
    this.#buckets.delete(key)
    this.#buckets.set(key, taken.bucket)
    if (this.#buckets.size > clientsMax) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return 0
  }
}
