/** Lets a bounded number in at a time; the others wait in the order in which they came. */
export class Gate {
  readonly #max: number
  readonly #waiting = new Set<(isIn: boolean) => void>()
  #inside = 0
  #isClosed = false

  constructor(max: number) {
    this.#max = max
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** @returns what to call when leaving, once; nothing when `signal` or `close` ended the wait. */
  async enter(signal?: AbortSignal): Promise<(() => void) | undefined> {
    if (this.#isClosed || signal?.aborted) return undefined
    if (this.#inside < this.#max) this.#inside++
    else if (!(await this.#wait(signal))) return undefined
    return () => this.#leave()
  }

  /** Nobody comes in any more, and nobody waits. */
  close(): void {
    this.#isClosed = true
    for (const resolve of this.#waiting) resolve(false)
    this.#waiting.clear()
  }

  #wait(signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isIn: boolean): void => {
        this.#waiting.delete(settle)
        signal?.removeEventListener('abort', onAbort)
        resolve(isIn)
      }
      const onAbort = (): void => settle(false)
      this.#waiting.add(settle)
      signal?.addEventListener('abort', onAbort)
    })
  }

  /** The place goes to who waits longest. */
  #leave(): void {
    const [next] = this.#waiting
    if (next) next(true)
    else this.#inside--
  }
}
