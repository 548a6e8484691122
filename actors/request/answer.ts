import type { CallParser } from '../../machines/tools/index.ts'
import {
  finishReasons,
  QMeshError,
  type ErrorCode,
  type ModelHash,
  type ModelId,
  type PeerId,
  type QMeshErrorOptions,
  type RequestId,
  type ToolCall,
} from '../../protocol/index.ts'
import { AnswerEmitter, type AnswerEvents, type AnswerListener } from './answer-events.ts'
import type { AnswerChunk, AnswerLog } from './answer-log.ts'
import { readCalls } from './call-stream.ts'

/** How an answer ended, calls told from text. */
export const answerFinishes = [...finishReasons, 'toolCalls'] as const
export type AnswerFinish = (typeof answerFinishes)[number]

/** One try at one worker. */
export interface AnswerAttempt {
  readonly workerId: PeerId
  readonly modelId: ModelId
  readonly modelHash: ModelHash
  /** Milliseconds after the question at which it began. */
  readonly atMs: number
  /** Tokens of the answer that it gave. */
  readonly tokens: number
  /** Why it ended; absent for the one that answered. */
  readonly code?: ErrorCode | undefined
  readonly message?: string | undefined
}

/** The stream went on at another worker. */
export interface Handover {
  readonly from: PeerId
  readonly to: PeerId
  /** Tokens that the reader had by then. */
  readonly afterTokens: number
  /** Milliseconds from the last token of the one worker to the first of the other, measured here. */
  readonly gapMs: number
  /** Why the first one was left. */
  readonly code: ErrorCode
  /** The model is opaque: the next worker was given the text, not the tokens, and its engine went on as well as it can. */
  readonly resume?: 'text' | undefined
}

export interface AnswerResult {
  readonly requestId: RequestId
  /** Without the calls, of an answer that may call functions. */
  readonly text: string
  /** Functions that the model asks to have called; absent where it was offered none. */
  readonly toolCalls?: readonly ToolCall[] | undefined
  /**
   * `stop`: the model ended its turn; `length`: `maxTokens` or the context; `stop-string`: one of `stop`; `toolCalls`: it
   * ended its turn and waits for what the functions give.
   */
  readonly finishReason: AnswerFinish
  readonly usage: {
    readonly promptTokens: number
    /** Prompt tokens the worker had cached, as it says. */
    readonly cachedTokens: number
    readonly completionTokens: number
  }
  readonly timings: {
    /** From the question to the first token, measured here. */
    readonly firstTokenMs: number
    /** From the question to the end, measured here. */
    readonly totalMs: number
    /** In the worker's queue, as it says. */
    readonly queuedMs: number
  }
  readonly workerId: PeerId
  readonly modelId: ModelId
  readonly modelHash: ModelHash
  /** The seed that was sampled with; absent for greedy answers. */
  readonly seed?: number | undefined
  /** What was asked for, where it was embeddings; the text is empty then. */
  readonly vectors?: readonly Float32Array[] | undefined
  /** Every worker tried, the one that answered last. */
  readonly attempts: readonly AnswerAttempt[]
  /** Where the stream went on at another worker. */
  readonly handovers: readonly Handover[]
}

/** Why an answer is not complete, with what there is of it. */
export class AnswerError extends QMeshError {
  readonly requestId: RequestId
  /** The text that came before the failure; empty when none did. */
  readonly partial: string
  readonly attempts: readonly AnswerAttempt[]

  constructor(
    code: ErrorCode,
    detail: string | undefined,
    context: Pick<AnswerError, 'requestId' | 'partial' | 'attempts'>,
    options?: QMeshErrorOptions,
  ) {
    super(code, detail, options)
    this.requestId = context.requestId
    this.partial = context.partial
    this.attempts = context.attempts
  }
}

/** How the request behind an answer hears about its reader. */
export interface AnswerSource {
  readonly requestId: RequestId
  readonly log: AnswerLog
  readonly emitter: AnswerEmitter
  readonly settled: Promise<AnswerResult>
  cancel(): void
  /** Finds the calls in the answer; of a question without functions there is none. */
  readonly createParser?: (() => CallParser | undefined) | undefined
}

/**
 * An answer on its way. Read it once, in one of two ways: iterate over its chunks as they come, or await `text()` or
 * `result`. A reader who is slow slows this answer's generation only; one who leaves the loop cancels it.
 */
export class Answer implements AsyncIterable<AnswerChunk> {
  readonly #source: AnswerSource
  #isIterated = false

  constructor(source: AnswerSource) {
    this.#source = source
    // Whoever iterates hears of a failure there: the promise must not complain a second time.
    source.settled.catch(() => {})
  }

  get requestId(): RequestId {
    return this.#source.requestId
  }

  /** The text received so far, read or not; as the model wrote it, calls and all. */
  get partial(): string {
    return this.#source.log.text
  }

  /**
   * Settles when the answer is complete; rejects with an `AnswerError`. Without an iterator it reads the answer itself.
   */
  get result(): Promise<AnswerResult> {
    // Not at once: `const { result } = answer` before a loop must not take the loop's back-pressure away.
    queueMicrotask(() => {
      if (!this.#isIterated) this.#source.log.drain(true)
    })
    return this.#source.settled
  }

  /** The whole text; rejects with an `AnswerError`. */
  async text(): Promise<string> {
    return (await this.result).text
  }

  /** Stops the request wherever it is; iterator and `result` fail with `QM_CANCELLED`. After the end it does nothing. */
  cancel(): void {
    this.#source.cancel()
  }

  on<Name extends keyof AnswerEvents>(name: Name, listener: AnswerListener<Name>): this {
    this.#source.emitter.on(name, listener)
    return this
  }

  off<Name extends keyof AnswerEvents>(name: Name, listener: AnswerListener<Name>): this {
    this.#source.emitter.off(name, listener)
    return this
  }

  /** @throws QMeshError `QM_REQUEST_INVALID` the second time: an answer has one reader. */
  [Symbol.asyncIterator](): AsyncIterator<AnswerChunk, undefined> {
    if (this.#isIterated)
      throw new QMeshError('QM_REQUEST_INVALID', 'An answer can be iterated over only once.')
    this.#isIterated = true
    const { log, createParser } = this.#source
    log.drain(false)
    const next = (): Promise<IteratorResult<AnswerChunk, undefined>> => log.next()
    const leave = (): void => {
      log.leave()
      this.cancel()
    }
    return {
      next: createParser ? readCalls(next, createParser) : next,
      return: () => {
        leave()
        return Promise.resolve({ done: true, value: undefined })
      },
      throw: (error: unknown) => {
        leave()
        return Promise.reject(error)
      },
    }
  }
}
