/** Waits that are remembered; older ones say too little about now. */
const samplesMax = 256
/** Below this, the slowest twentieth is one sample or none. */
const samplesMin = 20
const quantile = 0.95

/**
 * How long this client's requests waited for their first byte, all workers together: from when on a wait is unusual,
 * and a second try elsewhere may be worth its cost. Bounded, and pure but for what it holds.
 */
export class FirstByteTimes {
  /** A ring: the next sample takes the place of the oldest. */
  readonly #samples = new Float64Array(samplesMax)
  #recorded = 0
  #p95: number | undefined

  /** @param ms from sending the prompt to the first byte of the answer; nonsense teaches nothing. */
  record(ms: number): void {
    if (!(ms >= 0 && ms < Infinity)) return
    this.#samples[this.#recorded % samplesMax] = ms
    this.#recorded++
    this.#p95 = undefined
  }

  /** Samples that are remembered. */
  get size(): number {
    return Math.min(this.#recorded, samplesMax)
  }

  /** Milliseconds within which 95 of 100 requests had their first byte; undefined until enough is known. */
  get p95Ms(): number | undefined {
    if (this.size < samplesMin) return undefined
    this.#p95 ??= this.#samples.subarray(0, this.size).toSorted()[Math.ceil(quantile * this.size) - 1]
    return this.#p95
  }
}
