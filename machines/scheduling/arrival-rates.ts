import { headStartMsMax, tiers, tierTerms } from './tiers.ts'

/** Milliseconds after which an arrival counts for a third. */
const memoryMs = 30_000
const waits = tiers.map((tier) => tierTerms[tier].waitMs)

/**
 * How often each tier comes lately: who stands in line will be overtaken by those of higher tiers that come within
 * their head start, and a forecast that knows nothing of them promises lower tiers too much.
 */
export class ArrivalRates {
  readonly #counts: number[] = tiers.map(() => 0)
  #startedMs: number | undefined
  #atMs = 0

  arrived(rank: number, nowMs: number): void {
    this.#startedMs ??= nowMs
    const kept = Math.exp(-Math.max(0, nowMs - this.#atMs) / memoryMs)
    for (const [one, count] of this.#counts.entries()) this.#counts[one] = count * kept
    this.#counts[rank] = (this.#counts[rank] ?? 0) + 1
    this.#atMs = Math.max(this.#atMs, nowMs)
  }

  /** How many are expected to overtake one of this rank that came `ageMs` ago and starts in `startMs`. */
  overtaking(rank: number, ageMs: number, startMs: number, nowMs: number): number {
    if (rank === 0 || this.#startedMs === undefined || ageMs >= headStartMsMax) return 0
    const seenMs = nowMs - this.#startedMs
    // A second of arrivals tells no rate.
    if (seenMs < 1_000) return 0
    const kept = Math.exp(-Math.max(0, nowMs - this.#atMs) / memoryMs)
    const windowMs = memoryMs * (1 - Math.exp(-seenMs / memoryMs))
    const ownMs = waits[rank] ?? 0
    let expected = 0
    for (let higher = 0; higher < rank; higher++) {
      const leftMs = Math.min(startMs, ownMs - (waits[higher] ?? 0) - ageMs)
      if (leftMs > 0) expected += ((this.#counts[higher] ?? 0) * kept * leftMs) / windowMs
    }
    return expected
  }
}
