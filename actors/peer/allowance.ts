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

  /** Takes one; false when there is none. */
  spend(nowMs: number): boolean {
    const elapsedMs = Math.max(0, nowMs - this.#atMs)
    this.#left = Math.min(this.#burst, this.#left + (elapsedMs * this.#perSecond) / 1_000)
    this.#atMs = Math.max(this.#atMs, nowMs)
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
