import type { ToolCallDelta } from '../../machines/tools/index.ts'

/**
 * Characters up to which text that came without tokens is put together. A worker may send each letter alone, and an
 * answer may have millions.
 */
const mergedCharsMax = 1_024

/** Tokens that came together and the text that became certain with them. */
export interface AnswerChunk {
  readonly tokens: readonly number[]
  readonly text: string
  /** Parts of calls, of an answer that may call functions; its text is then what is not part of one. */
  readonly toolCalls?: readonly ToolCallDelta[]
}

/** Both in one, where it is a little text and nothing else. */
function merge(before: AnswerChunk | undefined, after: AnswerChunk | undefined): AnswerChunk | undefined {
  if (!before || !after || before.tokens.length + after.tokens.length > 0) return undefined
  if (before.text.length + after.text.length > mergedCharsMax) return undefined
  // Joined, not added: the engine keeps the parts of a sum.
  return { tokens: [], text: [before.text, after.text].join('') }
}

interface Waiter {
  resolve(result: IteratorResult<AnswerChunk, undefined>): void
  reject(error: Error): void
}

/**
 * Everything the reader's stream holds, in order, and how much of it the reader has taken. What was taken is kept: it is
 * the text of the result, the partial text of an error, and the tokens from which another worker could go on. Its size
 * is bounded by what was asked for, what lies in it unread by the window of acknowledgements, and the number of its
 * chunks by tokens and characters, however small the frames were.
 */
export class AnswerLog {
  readonly #chunks: AnswerChunk[] = []
  readonly #waiters: Waiter[] = []
  #onRead: ((tokens: number) => void) | undefined
  #tokens = 0
  #read = 0
  /** Chunks and tokens that the one reader has taken. */
  #cursor = 0
  #cursorTokens = 0
  #isDraining = false
  #end: { readonly error: Error | undefined } | undefined

  /** Tokens received. */
  get tokens(): number {
    return this.#tokens
  }

  /** Tokens taken by the reader. */
  get read(): number {
    return this.#read
  }

  /** Chunks that are kept. */
  get size(): number {
    return this.#chunks.length
  }

  get text(): string {
    return this.#chunks.map(({ text }) => text).join('')
  }

  get chars(): number {
    return this.#chunks.reduce((sum, { text }) => sum + text.length, 0)
  }

  get tokenIds(): readonly number[] {
    return this.#chunks.flatMap(({ tokens }) => tokens)
  }

  /** Whoever has to tell the worker that the reader took tokens; called with how many in all. One at a time. */
  set onRead(listener: ((tokens: number) => void) | undefined) {
    this.#onRead = listener
  }

  push(tokens: readonly number[], text: string): void {
    if (this.#end) return
    const chunk = { tokens, text }
    const merged = this.#cursor < this.#chunks.length ? merge(this.#chunks.at(-1), chunk) : undefined
    if (merged) this.#chunks.splice(-1, 1, merged)
    else this.#chunks.push(chunk)
    this.#tokens += tokens.length
    this.#serve()
  }

  /** What is in the log is still handed out first; then the reader sees the end, or the error. */
  close(error?: Error): void {
    if (this.#end) return
    this.#end = { error }
    this.#serve()
  }

  /** Whether everything counts as taken as soon as it comes: for a reader who waits for the whole text only. */
  drain(isDraining: boolean): void {
    this.#isDraining = isDraining
    this.#serve()
  }

  /** The next chunk for the one reader. */
  next(): Promise<IteratorResult<AnswerChunk, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#serve()
    })
  }

  /** The reader leaves: whoever waits sees the end, and nothing more is handed out. */
  leave(): void {
    this.#cursor = Infinity
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ done: true, value: undefined })
  }

  #serve(): void {
    for (let chunk = this.#chunks[this.#cursor]; chunk && this.#waiters.length > 0;) {
      this.#cursor++
      this.#cursorTokens += chunk.tokens.length
      this.#waiters.shift()?.resolve({ done: false, value: chunk })
      this.#mergeTaken()
      chunk = this.#chunks[this.#cursor]
    }
    if (this.#end && this.#cursor >= this.#chunks.length) this.#serveEnd(this.#end.error)
    const read = Math.max(this.#read, this.#isDraining ? this.#tokens : this.#cursorTokens)
    if (read === this.#read) return
    this.#read = read
    this.#onRead?.(read)
  }

  /** The reader has the latest two: how they are kept is nobody's business. */
  #mergeTaken(): void {
    const merged = merge(this.#chunks[this.#cursor - 2], this.#chunks[this.#cursor - 1])
    if (merged) this.#chunks.splice(--this.#cursor - 1, 2, merged)
  }

  #serveEnd(error: Error | undefined): void {
    for (const waiter of this.#waiters.splice(0)) {
      // An iterator throws once; after that it is at its end, like any other.
      if (error && this.#cursor !== Infinity) waiter.reject(error)
      else waiter.resolve({ done: true, value: undefined })
      this.#cursor = Infinity
    }
  }
}
