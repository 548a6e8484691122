import { decodeEmbeddings, limits, type Finish, type Prompt, type Response } from '../../protocol/index.ts'

/**
 * Most characters one token stands for. The longest in common vocabularies are runs of 128 blanks; text held back for a
 * stop string or half a letter is let go later, so the bound is on the sum.
 */
const tokenCharsMax = 256

type GuardedPrompt = Pick<Prompt, 'maxTokens' | 'resume' | 'embed'>

interface ExpectedEmbeddings {
  readonly count: number
  readonly size: number
}

/**
 * Checks one attempt's frames against what was asked and what came before. What it lets through can be appended to the
 * reader's stream as it is: no gap, no repeat, no more than was asked or allowed to be ahead.
 */
export class ResponseGuard {
  readonly #maxTokens: number
  #received: number
  #acked: number
  #chars: number
  #promptTokens: number | undefined
  readonly #expected: ExpectedEmbeddings | undefined
  #vectors: readonly Float32Array[] | undefined

  /** @param embeddingSize numbers in each vector, where the prompt asks for embeddings */
  constructor({ maxTokens, resume, embed }: GuardedPrompt, embeddingSize = 0) {
    // Whoever makes embeddings says nothing.
    this.#maxTokens = embed ? 0 : maxTokens
    this.#expected = embed && { count: embed.length, size: embeddingSize }
    // What the answer had before this attempt counts as received and acknowledged.
    this.#received = this.#acked = resume?.tokens.length ?? 0
    this.#chars = resume?.chars ?? 0
  }

  /** Tokens of the answer let through so far, those before this attempt included. */
  get received(): number {
    return this.#received
  }

  /** Tokens let through and not acknowledged. */
  get unacked(): number {
    return this.#received - this.#acked
  }

  /** What came with the finish, in the order of the texts. */
  get vectors(): readonly Float32Array[] | undefined {
    return this.#vectors
  }

  /** The acknowledgement that was sent: from here on the worker may go further. */
  acknowledged(tokens: number): void {
    this.#acked = tokens
  }

  /** The worker said how long the prompt is; its finish must say the same. */
  admitted(promptTokens: number): void {
    this.#promptTokens = promptTokens
  }

  /** @returns what is wrong with the frame, for the log; undefined when it was taken. */
  check({ seq, tokens, text, finish }: Response): string | undefined {
    if (seq !== this.#received) return `expected token ${this.#received}, got ${seq}`
    if (tokens.length === 0 && text.length === 0 && !finish) return 'an empty frame'
    const received = this.#received + tokens.length
    if (received > this.#maxTokens) return `more than the ${this.#maxTokens} tokens asked for`
    if (received - this.#acked > limits.unackedTokensMax) {
      return `${received - this.#acked} tokens ahead of the acknowledgement, ${limits.unackedTokensMax} allowed`
    }
    const chars = this.#chars + text.length
    if (chars > tokenCharsMax * received) return `${chars} characters with only ${received} tokens`
    const wrongFinish = finish && this.#checkFinish(finish, received)
    if (wrongFinish) return wrongFinish
    this.#received = received
    this.#chars = chars
    return undefined
  }

  #checkFinish(
    { completionTokens, promptTokens, cachedTokens, embeddings }: Finish,
    received: number,
  ): string | undefined {
    if (completionTokens !== received) return `a finish of ${completionTokens} tokens after ${received}`
    if (this.#promptTokens !== undefined && promptTokens !== this.#promptTokens) {
      return `a finish with ${promptTokens} prompt tokens, admitted with ${this.#promptTokens}`
    }
    if (cachedTokens > promptTokens) return `${cachedTokens} cached of ${promptTokens} prompt tokens`
    return this.#takeEmbeddings(embeddings)
  }

  #takeEmbeddings(block: string | undefined): string | undefined {
    if (!this.#expected) return block === undefined ? undefined : 'embeddings that nobody asked for'
    if (block === undefined) return 'a finish without the embeddings'
    const { count, size } = this.#expected
    const vectors = decodeEmbeddings(block, count, size)
    if (typeof vectors === 'string') return vectors
    this.#vectors = vectors
    return undefined
  }
}
