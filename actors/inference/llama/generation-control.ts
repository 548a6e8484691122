/**
 * The shared words of one generation. The node writes `cancelled` and `acknowledged`, the inference thread reads them
 * between two tokens; the thread writes `paused` before it sleeps. Both sides store first and look second, so either
 * the thread sees the news before it sleeps or the node sees that a wake-up is needed: none is lost.
 */
export class GenerationControl {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(buffer = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  get isCancelled(): boolean {
    return Atomics.load(this.#words, 0) === 1
  }

  cancel(): void {
    Atomics.store(this.#words, 0, 1)
  }

  /** Tokens read in all. It never goes back, so a late acknowledgement does no harm. */
  get acknowledged(): number {
    return Atomics.load(this.#words, 1)
  }

  acknowledge(tokens: number): void {
    if (tokens > this.acknowledged) Atomics.store(this.#words, 1, tokens)
  }

  get isPaused(): boolean {
    return Atomics.load(this.#words, 2) === 1
  }

  set isPaused(paused: boolean) {
    Atomics.store(this.#words, 2, paused ? 1 : 0)
  }
}
