import type { ErrorCode, Finish, ModelAd, PeerId, Prompt } from '../../protocol/index.ts'
import type { AttemptRecord, Choice, Failure, RequestFact } from '../../machines/request/index.ts'
import { AnswerError, Answer, type AnswerAttempt, type AnswerResult } from './answer.ts'
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
  failed(workerId: PeerId, code: ErrorCode, nowMs: number): void
  cancelled(workerId: PeerId): void
}

export interface RequestJobPorts {
  readonly standing: StandingPort
  readonly now: () => number
  /** The job is over, its answer settled: forget it. */
  readonly ended: () => void
  /** The reader wants it stopped. */
  readonly cancel: () => void
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
  #attempts: readonly AttemptRecord[] = []
  #isSettled = false
  #running: { readonly choice: Choice; readonly openedAtMs: number } | undefined
  #promptTokens: number
  #firstTokenAtMs: number | undefined
  #heldMs = 0

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
    this.answer = new Answer({ requestId, log, emitter: this.#emitter, settled, cancel: ports.cancel })
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  toPrompt(model: ModelAd): Prompt {
    const { deadlineMs } = this.question.options
    const leftMs = deadlineMs === undefined ? undefined : deadlineMs - this.#sinceAsked(this.#ports.now())
    return this.question.toPrompt(model, leftMs === undefined ? undefined : Math.max(0, Math.round(leftMs)))
  }

  held(ms: number): void {
    this.#heldMs += ms
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
      case 'attempt.queued': {
        const { position, etaMs, promptTokens } = fact
        this.#promptTokens = promptTokens
        this.#emitter.emit('queued', { position, etaMs, promptTokens })
        return
      }
      case 'attempt.started':
        this.#started(fact.atMs)
        return
      case 'attempt.failed':
        this.#close(({ workerId }, nowMs) =>
          this.#ports.standing.failed(workerId, fact.attempt.code ?? 'QM_INTERNAL', nowMs),
        )
        this.#attempts = [...this.#attempts.slice(0, -1), fact.attempt]
        this.#emitter.emit('attemptFailed', this.#toAttempt(fact.attempt))
        return
      case 'attempt.dropped':
        this.#close(({ workerId }) => this.#ports.standing.cancelled(workerId))
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
    this.#close(({ workerId }) => this.#ports.standing.cancelled(workerId))
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
    this.#running = { choice, openedAtMs: nowMs }
    const { workerId, model } = choice
    this.#attempts = [...this.#attempts, { workerId, modelId: model.id, modelHash: model.hash, atMs: nowMs }]
    this.#ports.standing.started(choice.workerId, nowMs)
    this.#emitter.emit('worker', { workerId: choice.workerId, modelId: choice.model.id, attempt })
  }

  #started(atMs: number): void {
    this.#firstTokenAtMs ??= atMs
    const running = this.#running
    if (running) {
      const seen = { promptTokens: this.#promptTokens, ms: atMs - running.openedAtMs }
      this.#ports.standing.firstToken(running.choice.workerId, seen, atMs)
    }
    this.#emitter.emit('started', { firstTokenMs: this.#sinceAsked(atMs) })
  }

  #done(finish: Finish): void {
    const nowMs = this.#ports.now()
    const firstTokenAtMs = this.#firstTokenAtMs ?? nowMs
    this.#close(({ workerId }) => {
      const ms = Math.max(0, nowMs - firstTokenAtMs - this.#heldMs)
      this.#ports.standing.finished(workerId, { tokens: finish.completionTokens, ms }, nowMs)
    })
    const last = this.#attempts.at(-1)
    if (!last) return
    const { workerId, modelId, modelHash } = last
    const { requestId, seed } = this.question
    this.#settle(undefined, () =>
      this.#resolve({
        requestId,
        text: this.log.text,
        finishReason: finish.reason,
        usage: {
          promptTokens: finish.promptTokens,
          cachedTokens: finish.cachedTokens,
          completionTokens: finish.completionTokens,
        },
        timings: {
          firstTokenMs: this.#sinceAsked(firstTokenAtMs),
          totalMs: this.#sinceAsked(nowMs),
          queuedMs: finish.queuedMs,
        },
        workerId,
        modelId,
        modelHash,
        ...(seed !== undefined && { seed }),
        attempts: this.#toAttempts(),
      }),
    )
  }

  /** Gives the running attempt its one end in the directory. */
  #close(tell: (choice: Choice, nowMs: number) => void): void {
    const running = this.#running
    this.#running = undefined
    if (running) tell(running.choice, this.#ports.now())
  }

  #settle(error: AnswerError | undefined, settle: () => void): void {
    this.#isSettled = true
    this.log.close(error)
    settle()
    this.#ports.ended()
  }

  #sinceAsked(atMs: number): number {
    return Math.max(0, atMs - this.#askedAtMs)
  }

  #toAttempts(): readonly AnswerAttempt[] {
    return this.#attempts.map((attempt) => this.#toAttempt(attempt))
  }

  #toAttempt({ workerId, modelId, modelHash, atMs, code, message }: AttemptRecord): AnswerAttempt {
    return {
      workerId,
      modelId,
      modelHash,
      atMs: this.#sinceAsked(atMs),
      ...(code !== undefined && { code }),
      ...(message !== undefined && { message }),
    }
  }
}
