/** Milliseconds between two announcements. */
const intervalMs = 1_000

/**
 * Says what changed at most once a second: at once after a quiet second, otherwise when the second is over. What
 * changed in between is said together.
 */
export class StatusPublisher {
  readonly #publish: () => void
  #timer: NodeJS.Timeout | undefined
  #isDue = false
  #isClosed = false

  constructor(publish: () => void) {
    this.#publish = publish
  }

  changed(): void {
    if (this.#isClosed) return
    if (this.#timer) {
      this.#isDue = true
      return
    }
    this.flush()
  }

  /** Publishes now, whatever was published before. */
  flush(): void {
    if (this.#isClosed) return
    clearTimeout(this.#timer)
    this.#isDue = false
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#isDue) this.flush()
    }, intervalMs)
    this.#timer.unref()
    this.#publish()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }
}
