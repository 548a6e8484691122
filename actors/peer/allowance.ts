/** A token bucket: `burst` at once, then `perSecond`. Time comes in as an argument. */
export class Allowance {
  readonly #burst: number
  readonly #perSecond: number
  #left: number
  #atMs: number

  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#left = burst
    this.#atMs = nowMs
  }

  /** Takes as many as it costs; false, and takes none, when there are not so many. */
  spend(nowMs: number, cost = 1): boolean {
    const elapsedMs = Math.max(0, nowMs - this.#atMs)
    this.#left = Math.min(this.#burst, this.#left + (elapsedMs * this.#perSecond) / 1_000)
    this.#atMs = Math.max(this.#atMs, nowMs)
    if (this.#left < cost) return false
    this.#left -= cost
    return true
  }
}
