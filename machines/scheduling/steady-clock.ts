/**
 * A clock that never goes back and never stands still. When the one beneath it jumps back, no time passes at that
 * moment and it runs on from there: taking such a clock for one that stands still would stop deadlines, budgets and the
 * ageing of lower tiers for as long as the jump was wide. A jump forward is believed: a computer that slept was away.
 */
export class SteadyClock {
  #lastMs = -Infinity
  #offsetMs = 0

  /** @param nowMs what the clock beneath shows. */
  read(nowMs: number): number {
    const steadyMs = nowMs + this.#offsetMs
    if (steadyMs < this.#lastMs) this.#offsetMs = this.#lastMs - nowMs
    this.#lastMs = Math.max(this.#lastMs, steadyMs)
    return this.#lastMs
  }
}
