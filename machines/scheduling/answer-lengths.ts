/** Answers remembered: enough for a mean, few enough to follow a change of what people ask. */
const samplesMax = 64
/** Of the mean, this part is still expected of an answer longer than all that are remembered. */
const overrunShare = 0.1

/**
 * How long a model's latest answers were. A mean alone would mislead twice: a bound on the answer cuts only the long
 * ones, and an answer that has run for long is one of the long ones, so that it takes longer yet than the mean says.
 */
export class AnswerLengths {
  readonly #recent: number[] = []
  #oldest = 0
  #sorted: readonly number[]
  /** `#sums[k]` is the sum of the k shortest. */
  #sums: readonly number[]

  /** @param guess taken for the length until there is an answer. */
  constructor(guess: number) {
    this.#sorted = [guess]
    this.#sums = [0, guess]
  }

  /** @param isCut the answer ended because it had reached its bound: without it, it would have been longer. */
  learn(tokens: number, isCut = false): void {
    const isFirst = this.#recent.length === 0
    const length = isCut && !isFirst ? tokens + this.#beyond(tokens) : tokens
    if (this.#recent.length < samplesMax) this.#recent.push(length)
    else this.#recent[this.#oldest] = length
    this.#oldest = (this.#oldest + 1) % samplesMax
    this.#sorted = this.#recent.toSorted((a, b) => a - b)
    const sums = [0]
    for (const one of this.#sorted) sums.push((sums.at(-1) ?? 0) + one)
    this.#sums = sums
  }

  /** Tokens of an answer that may have so many. */
  expected(maxTokens: number): number {
    const below = this.#countUpTo(maxTokens)
    return ((this.#sums[below] ?? 0) + (this.#sorted.length - below) * maxTokens) / this.#sorted.length
  }

  /**
   * Tokens still to come of an answer that has `done` and may have `maxTokens`.
   * @param part of the answers like it, 0 to 1, that end sooner than that.
   */
  remaining(done: number, maxTokens: number, part: number): number {
    if (done >= maxTokens) return 0
    const ended = this.#countUpTo(done)
    const longer = this.#sorted.length - ended
    if (longer === 0) return Math.min(maxTokens - done, this.expected(maxTokens) * overrunShare)
    const length = this.#sorted[ended + Math.min(longer - 1, Math.floor(longer * part))] ?? done
    return Math.min(length, maxTokens) - done
  }

  /** How much longer than `tokens` those are that are longer; 0 when none is. */
  #beyond(tokens: number): number {
    const ended = this.#countUpTo(tokens)
    const longer = this.#sorted.length - ended
    if (longer === 0) return 0
    return ((this.#sums.at(-1) ?? 0) - (this.#sums[ended] ?? 0)) / longer - tokens
  }

  #countUpTo(tokens: number): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#sorted[middle] ?? Infinity) <= tokens) low = middle + 1
      else high = middle
    }
    return low
  }
}
