import { headStartMsMax, laneCount, waitStepMs } from './tiers.ts'

/** Milliseconds after which an arrival counts for a third. */
const memoryMs = 30_000

/**
 * How often requests of each wait come lately: who stands in line will be overtaken by those with shorter waits that
 * come within their head start, and a forecast that knows nothing of them promises too much.
 */
export class ArrivalRates {
  /** By lane. */
  readonly #counts = new Float64Array(laneCount)
  #startedMs: number | undefined
  #atMs = 0

  arrived(waitMs: number, nowMs: number): void {
    this.#startedMs ??= nowMs
    const kept = Math.exp(-Math.max(0, nowMs - this.#atMs) / memoryMs)
    for (let lane = 0; lane < laneCount; lane++) this.#counts[lane] = (this.#counts[lane] ?? 0) * kept
    const own = waitMs / waitStepMs
    this.#counts[own] = (this.#counts[own] ?? 0) + 1
    this.#atMs = Math.max(this.#atMs, nowMs)
  }

  /** How many are expected to overtake one with this wait that came `ageMs` ago and starts in `startMs`. */
  overtaking(waitMs: number, ageMs: number, startMs: number, nowMs: number): number {
    if (waitMs === 0 || this.#startedMs === undefined || ageMs >= headStartMsMax) return 0
    const seenMs = nowMs - this.#startedMs
    // A second of arrivals tells no rate.
    if (seenMs < 1_000) return 0
    const kept = Math.exp(-Math.max(0, nowMs - this.#atMs) / memoryMs)
    const windowMs = memoryMs * (1 - Math.exp(-seenMs / memoryMs))
    let expected = 0
    for (let shorterMs = 0; shorterMs < waitMs - ageMs; shorterMs += waitStepMs) {
      const leftMs = Math.min(startMs, waitMs - shorterMs - ageMs)
      expected += ((this.#counts[shorterMs / waitStepMs] ?? 0) * kept * leftMs) / windowMs
    }
    return expected
  }
}
