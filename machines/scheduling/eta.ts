import { AnswerLengths } from './answer-lengths.ts'

/** Tokens of a request: those of its prompt are known, those of its answer only bounded. */
export interface Work {
  readonly promptTokens: number
  readonly maxTokens: number
}

/** A request in its slot. */
export interface Run {
  readonly work: Work
  readonly elapsedMs: number
}

/** What a finished request turned out to cost. */
export interface Service {
  readonly promptTokens: number
  readonly completionTokens: number
  /** Milliseconds in the slot. */
  readonly runMs: number
  /** The bound that the answer had; absent where it had none. */
  readonly maxTokens?: number | undefined
}

/** Guesses used until a model has answered: a small model on two ordinary cores. */
const guess = { promptTokenMs: 2, completionTokenMs: 30, completionTokens: 128 } as const
/** Weight of the newest answer once there are enough. */
const newestWeight = 0.2

/**
 * Learns how long a model takes from sums alone: `runMs ≈ a · prompt + b · completion`. Each answer corrects `a` and `b`
 * by the factor the guess was off, each in proportion to its part of the guess. So both stay positive, long prompts
 * teach about reading and long answers about writing, and the two come apart as soon as requests differ.
 */
export class ServiceEstimate {
  #promptTokenMs: number = guess.promptTokenMs
  #completionTokenMs: number = guess.completionTokenMs
  readonly #lengths = new AnswerLengths(guess.completionTokens)
  #answers = 0

  learn({ promptTokens, completionTokens, runMs, maxTokens = Infinity }: Service): void {
    const promptMs = promptTokens * this.#promptTokenMs
    const completionMs = completionTokens * this.#completionTokenMs
    const guessedMs = promptMs + completionMs
    if (!(runMs > 0) || !(guessedMs > 0)) return
    this.#answers++
    const weight = Math.max(newestWeight, 1 / this.#answers)
    const correction = (runMs / guessedMs) ** weight
    // The first answers say how fast the machine is, which concerns both alike; only then do shares matter.
    const common = 1 / this.#answers
    this.#promptTokenMs *= correction ** (common + (1 - common) * (promptMs / guessedMs))
    this.#completionTokenMs *= correction ** (common + (1 - common) * (completionMs / guessedMs))
    // More than its bound has one that was begun elsewhere and drawn once more: the bound was for the rest.
    this.#lengths.learn(completionTokens, completionTokens === maxTokens)
  }

  /** Milliseconds in a slot until the first token. */
  prefillMs({ promptTokens }: Work): number {
    return promptTokens * this.#promptTokenMs
  }

  /** Tokens that an answer will have, on average, of those that may have so many. */
  answerTokens(maxTokens: number): number {
    return this.#lengths.expected(maxTokens)
  }

  /** Milliseconds in a slot for so many tokens read and written. */
  costMs(promptTokens: number, answerTokens: number): number {
    return promptTokens * this.#promptTokenMs + answerTokens * this.#completionTokenMs
  }

  /** Milliseconds in a slot, first to last. */
  runMs({ promptTokens, maxTokens }: Work): number {
    return this.costMs(promptTokens, this.answerTokens(maxTokens))
  }

  /**
   * Milliseconds that each of those running still takes. Of four that are alike the first ends well before the mean and
   * the last well after it, and whoever waits gets the first: so each is given its own part of what is likely.
   */
  remainingMs(running: readonly Run[]): number[] {
    const tokensOf = ({ work, elapsedMs }: Run, part: number): number => {
      const done = Math.max(0, elapsedMs - this.prefillMs(work)) / this.#completionTokenMs
      return this.#lengths.remaining(done, work.maxTokens, part)
    }
    return running
      .map((run) => ({ run, middle: tokensOf(run, 0.5) }))
      .toSorted((a, b) => a.middle - b.middle)
      .map(({ run }, at) => {
        const readingMs = Math.max(0, this.prefillMs(run.work) - Math.max(0, run.elapsedMs))
        return readingMs + tokensOf(run, (at + 0.5) / running.length) * this.#completionTokenMs
      })
  }
}

/** When each of those waiting starts: every one takes the slot that is free first. */
export class Timeline {
  readonly #freeMs: number[]

  /** @param busyMs for each slot, milliseconds until it is free. */
  constructor(busyMs: readonly number[]) {
    this.#freeMs = [...busyMs]
  }

  /** Lets the next one start; milliseconds from now. Without any slot there is no telling: infinite. */
  start(runMs: number): number {
    let first = 0
    for (let slot = 1; slot < this.#freeMs.length; slot++) {
      if ((this.#freeMs[slot] ?? 0) < (this.#freeMs[first] ?? 0)) first = slot
    }
    const startMs = this.#freeMs[first] ?? Infinity
    if (startMs !== Infinity) this.#freeMs[first] = startMs + runMs
    return startMs
  }

  /** When one starts that has `workMs` of others before it, as if work were divisible. For those far back. */
  startAfter(workMs: number): number {
    const busyMs = this.#freeMs.reduce((sum, ms) => sum + ms, workMs)
    return this.#freeMs.length === 0 ? Infinity : busyMs / this.#freeMs.length
  }
}
