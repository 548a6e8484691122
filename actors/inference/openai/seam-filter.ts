/** Characters from which on a repetition of all there was is no chance. */
const tellingChars = 16

/**
 * An engine that was given the beginning of its answer may say that beginning once more: some repeat it, and others do
 * not know how to go on and begin anew, which with the same seed gives the same text. The reader has it already. A text
 * that parts from it before its end is the continuation it looks like.
 */
export class SeamFilter {
  readonly #begun: string
  #held = ''
  #isOver: boolean

  constructor(begun: string) {
    this.#begun = begun
    this.#isOver = begun.length < tellingChars
  }

  push(text: string): string {
    if (this.#isOver) return text
    this.#held += text
    if (this.#held.length < this.#begun.length && this.#begun.startsWith(this.#held)) return ''
    this.#isOver = true
    return this.#held.startsWith(this.#begun) ? this.#held.slice(this.#begun.length) : this.#held
  }

  /** The engine stopped on the way. */
  flush(): string {
    if (this.#isOver) return ''
    this.#isOver = true
    return this.#held
  }
}
