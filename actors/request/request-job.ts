import { CallParser, parseCalls, type CallParserOptions } from '../../machines/tools/index.ts'
import {
  isOpaqueHash,
  limits,
  type ErrorCode,
  type Finish,
  type ModelAd,
  type ModelHash,
  type PeerId,
  type Prompt,
  type ToolStyle,
} from '../../protocol/index.ts'
import type { AttemptRecord, Choice, Failure, RequestFact } from '../../machines/request/index.ts'
import { AnswerError, Answer, type AnswerAttempt, type AnswerResult, type Handover } from './answer.ts'
import { AnswerEmitter } from './answer-events.ts'
import { AnswerLog } from './answer-log.ts'
import type { Question } from './ask-options.ts'
import type { AttemptJob } from './attempt.adapter.ts'

/** What this client measured and met, for its directory of workers. Each `started` is followed by one of the last three. */
export interface StandingPort {
  started(workerId: PeerId, nowMs: number): void
  /** `ms` from the prompt to its first token, queue included. */
  firstToken(
    workerId: PeerId,
    seen: { readonly promptTokens: number; readonly ms: number },
    nowMs: number,
  ): void
  /** `ms` from the first token to the last, without the time the reader made the worker wait. */
  finished(workerId: PeerId, seen: { readonly tokens: number; readonly ms: number }, nowMs: number): void
  /** `retryAfterMs` is what a worker that refuses asked for; a claim, to be bounded. */
  failed(workerId: PeerId, code: ErrorCode, nowMs: number, retryAfterMs?: number): void
  cancelled(workerId: PeerId): void
}

export interface RequestJobPorts {
  readonly standing: StandingPort
  readonly now: () => number
  /** The job is over, its answer settled: forget it. @param code why it failed; absent: it was answered */
  readonly ended: (code: ErrorCode | undefined) => void
  /** The reader wants it stopped. */
  readonly cancel: () => void
}

/** What is added to a prompt on its way: evidence, and the longer name that the model may have elsewhere. */
const evidenceBytes = 4 * limits.evidenceCharsMax

/** An attempt that is open. */
interface Running {
  readonly choice: Choice
  /** When the prompt was sent, after whatever work the worker asked for. */
  openedAtMs: number
  /** Tokens that the reader had when it began. */
  readonly tokensBefore: number
  firstTokenAtMs: number | undefined
  /** Milliseconds since then in which the worker waited for the reader. */
  heldMs: number
}

/** A try at a worker, and what the reader got of it. */
interface Tried extends Omit<AttemptRecord, 'contextTokens'> {
  readonly tokens: number
}

/** What every further attempt must have in common with the one that began the answer. */
interface Begun {
  readonly modelHash: ModelHash
  readonly maxTokens: number
  /** How it writes calls. */
  readonly style: ToolStyle | undefined
}

/** What a worker must have to go on with an answer. */
export interface ResumeNeeds {
  readonly modelHash: ModelHash
  /** Tokens of prompt and answer together. */
  readonly contextTokens: number
}

/**
 * One question and its answer: keeps the log of what was received, turns the facts of the request's machine into events,
 * a result or an error for the reader, and into standing for the workers.
 */
export class RequestJob implements AttemptJob {
  readonly question: Question
  readonly log = new AnswerLog()
  readonly answer: Answer
  readonly #emitter = new AnswerEmitter()
  readonly #ports: RequestJobPorts
  readonly #askedAtMs: number
  #resolve: (result: AnswerResult) => void = () => {}
  #reject: (error: AnswerError) => void = () => {}
  readonly #tries: Tried[] = []
  #isSettled = false
  #running: Running | undefined
  #begun: Begun | undefined
  readonly #handovers: Handover[] = []
  #promptTokens: number
  #vectors: readonly Float32Array[] | undefined
  #firstTokenAtMs: number | undefined
  #latestTokenAtMs = 0

  constructor(question: Question, ports: RequestJobPorts) {
    this.question = question
    this.#ports = ports
    this.#askedAtMs = ports.now()
    this.#promptTokens = question.promptTokens
    const { requestId } = question
    const settled = new Promise<AnswerResult>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { log } = this
    const createParser = question.reading && ((): CallParser | undefined => this.#createParser())
    const emitter = this.#emitter
    this.answer = new Answer({ requestId, log, emitter, settled, cancel: ports.cancel, createParser })
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  /** What the next worker must have; undefined while the reader has nothing yet, and any will do. */
  get resumeNeeds(): ResumeNeeds | undefined {
    if (this.log.tokens === 0 || !this.#begun) return undefined
    const { modelHash, maxTokens } = this.#begun
    return { modelHash, contextTokens: this.#promptTokens + maxTokens }
  }

  /** Whether another worker can be sent what there is of the answer: with it, a prompt may be longer than a frame. */
  get isMovable(): boolean {
    if (this.log.tokens === 0 || !this.#running) return true
    const bytes = Buffer.byteLength(JSON.stringify(this.toPrompt(this.#running.choice.model)))
    return bytes <= limits.frameBytesMax - evidenceBytes
  }

  toPrompt(model: ModelAd): Prompt {
    const { deadlineMs, resume: mode } = this.question.options
    const leftMs = deadlineMs === undefined ? undefined : deadlineMs - this.#sinceAsked(this.#ports.now())
    const prompt = this.question.toPrompt(
      model,
      leftMs === undefined ? undefined : Math.max(0, Math.round(leftMs)),
    )
    if (this.log.tokens === 0 || !this.#begun) {
      this.#begun = { modelHash: model.hash, maxTokens: prompt.maxTokens, style: model.tools }
      return prompt
    }
    // How long it may be was settled by the worker that began it: another's context may suggest something else.
    const { maxTokens, modelHash } = this.#begun
    const { tokenIds, chars } = this.log
    const text = isOpaqueHash(modelHash) ? { text: this.log.text } : {}
    return { ...prompt, maxTokens, resume: { tokens: [...tokenIds], chars, ...text, ...(mode && { mode }) } }
  }

  took(tokens: readonly number[], text: string, atMs: number): void {
    this.log.push(tokens, text)
    const running = this.#running
    if (running && running.firstTokenAtMs === undefined) {
      running.firstTokenAtMs = atMs
      this.#goesOn(running, atMs)
    }
    this.#latestTokenAtMs = atMs
  }

  held(ms: number): void {
    if (this.#running) this.#running.heldMs += ms
  }

  embedded(vectors: readonly Float32Array[]): void {
    this.#vectors = vectors
  }

  /** Takes what the request's machine reports. Never throws. */
  report(fact: RequestFact): void {
    // A reader who cancelled has its answer; what the machine still tidies up is no news.
    if (this.#isSettled) return
    switch (fact.type) {
      case 'request.waiting':
        this.#emitter.emit('waiting', { requestId: this.question.requestId })
        return
      case 'attempt.opened':
        this.#opened(fact.choice, fact.attempt)
        return
      case 'attempt.solving':
        return
      case 'attempt.solved':
        // The own work says nothing about the worker's pace.
        if (this.#running) this.#running.openedAtMs = this.#ports.now()
        return
      case 'attempt.queued': {
        const { position, etaMs, promptTokens } = fact
        // A claim: no tokenizer makes more tokens than there are bytes, and templates add little.
        this.#promptTokens = Math.min(promptTokens, this.question.promptTokensMax)
        this.#emitter.emit('queued', { position, etaMs, promptTokens })
        return
      }
      case 'attempt.started':
        this.#started(fact.atMs)
        return
      case 'attempt.failed':
        this.#close(({ choice: { workerId } }, nowMs) => {
          const { code = 'QM_INTERNAL', retryAfterMs } = fact.attempt
          this.#ports.standing.failed(workerId, code, nowMs, retryAfterMs)
        })
        this.#amendLatest(fact.attempt)
        this.#tellFailed()
        return
      case 'attempt.dropped':
        this.#close(({ choice }) => this.#ports.standing.cancelled(choice.workerId))
        return
      case 'request.done':
        this.#done(fact.finish)
        return
      case 'request.failed':
        this.fail(fact.failure)
    }
  }

  /** Ends the answer with an error, unless it has ended. */
  fail(failure: Failure, cause?: unknown): void {
    if (this.#isSettled) return
    this.#close(({ choice }) => this.#ports.standing.cancelled(choice.workerId))
    const { code, message, retryAfterMs } = failure
    const { requestId } = this.question
    const error = new AnswerError(
      code,
      message ?? this.#explain(code),
      { requestId, partial: this.log.text, attempts: this.#toAttempts() },
      { ...(cause !== undefined && { cause }), ...(retryAfterMs !== undefined && { retryAfterMs }) },
    )
    this.#settle(error, () => this.#reject(error))
  }

  /** What the catalogue's sentence cannot say: which bound was passed. */
  #explain(code: ErrorCode): string | undefined {
    const { options } = this.question
    if (code === 'QM_DEADLINE_PASSED' && options.deadlineMs !== undefined) {
      return `The answer was not complete within the ${options.deadlineMs} ms given for it.`
    }
    return undefined
  }

  #opened(choice: Choice, attempt: number): void {
    const nowMs = this.#ports.now()
    const { workerId, model } = choice
    this.#running = {
      choice,
      openedAtMs: nowMs,
      tokensBefore: this.log.tokens,
      firstTokenAtMs: undefined,
      heldMs: 0,
    }
    this.#tries.push({ workerId, modelId: model.id, modelHash: model.hash, atMs: nowMs, tokens: 0 })
    this.#ports.standing.started(workerId, nowMs)
    this.#emitter.emit('worker', { workerId, modelId: model.id, attempt })
  }

  #started(atMs: number): void {
    this.#firstTokenAtMs ??= atMs
    const running = this.#running
    // The first token of a resumed answer tells how fast a worker replays, not how fast it reads.
    if (!running || running.tokensBefore > 0) return
    const seen = { promptTokens: this.#promptTokens, ms: atMs - running.openedAtMs }
    this.#ports.standing.firstToken(running.choice.workerId, seen, atMs)
    this.#emitter.emit('started', { firstTokenMs: this.#sinceAsked(atMs) })
  }

  /** The running attempt gave its first tokens: where another had begun, the reader's stream goes on. */
  #goesOn(running: Running, atMs: number): void {
    const left = this.#tries.findLast(({ tokens }) => tokens > 0)
    if (running.tokensBefore === 0 || !left) return
    const handover: Handover = {
      from: left.workerId,
      to: running.choice.workerId,
      afterTokens: running.tokensBefore,
      gapMs: Math.max(0, atMs - this.#latestTokenAtMs),
      code: left.code ?? 'QM_INTERNAL',
      ...(isOpaqueHash(running.choice.model.hash) && { resume: 'text' }),
    }
    this.#handovers.push(handover)
    this.#emitter.emit('handover', handover)
  }

  #done(finish: Finish): void {
    const nowMs = this.#ports.now()
    this.#close(({ choice, firstTokenAtMs = nowMs, tokensBefore, heldMs }) => {
      const ms = Math.max(0, nowMs - firstTokenAtMs - heldMs)
      const tokens = finish.completionTokens - tokensBefore
      this.#ports.standing.finished(choice.workerId, { tokens, ms }, nowMs)
    })
    const last = this.#tries.at(-1)
    if (!last) return
    const { workerId, modelId, modelHash } = last
    const { requestId, seed } = this.question
    this.#settle(undefined, () =>
      this.#resolve({
        requestId,
        ...this.#read(finish),
        usage: {
          promptTokens: finish.promptTokens,
          cachedTokens: finish.cachedTokens,
          completionTokens: finish.completionTokens,
        },
        timings: {
          firstTokenMs: this.#sinceAsked(this.#firstTokenAtMs ?? nowMs),
          totalMs: this.#sinceAsked(nowMs),
          queuedMs: finish.queuedMs,
        },
        workerId,
        modelId,
        modelHash,
        ...(seed !== undefined && { seed }),
        ...(this.#vectors && { vectors: this.#vectors }),
        attempts: this.#toAttempts(),
        handovers: this.#handovers,
      }),
    )
  }

  #createParser(): CallParser | undefined {
    const options = this.#toParserOptions()
    return options && new CallParser(options)
  }

  #toParserOptions(): CallParserOptions | undefined {
    const { reading, requestId } = this.question
    const style = this.#begun?.style
    if (!reading || !style) return undefined
    // Drawn with the request, and so the same in the stream and in the result.
    const toId = (index: number): string => `call_${requestId.slice(0, 24)}${index}`
    return { ...reading, style, toId }
  }

  /** Tells what was asked for from text. */
  #read({ reason }: Finish): Pick<AnswerResult, 'text' | 'toolCalls' | 'finishReason'> {
    const options = this.#toParserOptions()
    if (!options) return { text: this.log.text, finishReason: reason }
    const { text, calls } = parseCalls(this.log.text, options)
    const isCalling = calls.length > 0 && reason !== 'length'
    return { text, toolCalls: calls, finishReason: isCalling ? 'toolCalls' : reason }
  }

  /** Gives the running attempt its one end in the directory. */
  #close(tell: (running: Running, nowMs: number) => void): void {
    const running = this.#running
    this.#running = undefined
    if (!running) return
    this.#amendLatest({ tokens: this.log.tokens - running.tokensBefore })
    tell(running, this.#ports.now())
  }

  #tellFailed(): void {
    const latest = this.#tries.at(-1)
    if (latest) this.#emitter.emit('attemptFailed', this.#toAttempt(latest))
  }

  #amendLatest(news: Partial<Tried>): void {
    const latest = this.#tries.pop()
    if (latest) this.#tries.push({ ...latest, ...news })
  }

  #settle(error: AnswerError | undefined, settle: () => void): void {
    this.#isSettled = true
    this.log.close(error)
    settle()
    this.#ports.ended(error?.code)
  }

  #sinceAsked(atMs: number): number {
    return Math.max(0, atMs - this.#askedAtMs)
  }

  #toAttempts(): readonly AnswerAttempt[] {
    return this.#tries.map((tried) => this.#toAttempt(tried))
  }

  #toAttempt({ workerId, modelId, modelHash, atMs, tokens, code, message }: Tried): AnswerAttempt {
    return {
      workerId,
      modelId,
      modelHash,
      atMs: this.#sinceAsked(atMs),
      tokens,
      ...(code !== undefined && { code }),
      ...(message !== undefined && { message }),
    }
  }
}
