import { limits } from '../../../protocol/index.ts'

/** How far the reader of one answer is, and whether it still wants it. */
export class Reading {
  readonly #abort = new AbortController()
  #acknowledged: number
  #wake: (() => void) | undefined

  /** @param acknowledged tokens that the reader has from elsewhere */
  constructor(acknowledged: number) {
    this.#acknowledged = acknowledged
  }

  /** Aborted when nobody wants the rest. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  acknowledge(tokens: number): void {
    if (tokens <= this.#acknowledged) return
    this.#acknowledged = tokens
    this.#wake?.()
  }

  cancel(): void {
    this.#abort.abort()
    this.#wake?.()
  }

  /** Resolves when one more token than these may be sent, or when nobody wants it. */
  async room(tokens: number): Promise<void> {
    while (tokens - this.#acknowledged >= limits.unackedTokensMax && !this.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
