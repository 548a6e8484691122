import type { AttemptRecord, RequestFact } from '../../machines/request/index.ts'
import type { KindNeeds, SelectionTrace } from '../../machines/selection/index.ts'
import {
  isOpaqueHash,
  limits,
  QMeshError,
  type ErrorCode,
  type ModelHash,
  type ModelId,
  type PeerId,
  type RequestId,
} from '../../protocol/index.ts'
import { explainChoice } from './explain-choice.ts'
import type {
  AttemptExplanation,
  RequestExplanation,
  RequestSummary,
  WhyOptions,
} from './request-explanation.ts'

/** What a request asked for. */
export interface Wanted extends KindNeeds {
  readonly requestId: RequestId
  readonly modelId?: ModelId | undefined
  readonly localOnly: boolean
}

interface Attempted {
  readonly workerId: PeerId
  readonly modelId: ModelId
  readonly modelHash: ModelHash
  readonly trace: SelectionTrace | undefined
  readonly openedAtMs: number
  /** Tokens the reader had, and when the last of them came. */
  readonly before: { readonly tokens: number; readonly latestAtMs: number }
  effort?: { readonly bits: number; readonly ms?: number }
  queued?: { readonly position: number; readonly etaMs: number }
  firstTokenAtMs?: number
  endedAtMs?: number
  tokens: number
  end?: Pick<AttemptRecord, 'code' | 'message'>
}

interface Remembered extends Wanted {
  readonly askedAt: string
  readonly askedAtMs: number
  readonly attempts: Attempted[]
  workerId?: PeerId
  tries: number
  handovers: number
  tokens: number
  latestTokenAtMs: number
  /** The last choice, until an attempt comes of it. */
  pending?: SelectionTrace | undefined
  endedAtMs?: number
  end?: { readonly code: ErrorCode; readonly message?: string | undefined }
}

export interface RequestTracesOptions {
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number
  readonly requestsMax?: number
  readonly attemptsMax?: number
  /** Candidates, and models they offer, in all choices that are kept: most of what a request weighs, and peers' to say. */
  readonly weightMax?: number
}

/**
 * The latest requests of this node: what each choice was made from, and what came of it. It is told by whoever chooses,
 * by the requests themselves, and by whoever carries the tokens; the oldest are forgotten first.
 */
export class RequestTraces {
  readonly #options: Required<RequestTracesOptions>
  /** Oldest first. */
  readonly #requests = new Map<RequestId, Remembered>()
  /** Those that were forgotten while they went on: the second half of a story is worse than none. */
  readonly #forgotten = new Set<RequestId>()
  #weight = 0

  constructor({ now, requestsMax = 256, attemptsMax = 8, weightMax = 65_536 }: RequestTracesOptions) {
    this.#options = { now, requestsMax, attemptsMax, weightMax }
  }

  /** Somebody, or nobody, was chosen for a request. */
  chose({ requestId, modelId, embedding, localOnly }: Wanted, trace: SelectionTrace): void {
    if (this.#forgotten.has(requestId)) return
    let request = this.#requests.get(requestId)
    if (!request) {
      const nowMs = this.#options.now()
      request = {
        requestId,
        modelId,
        embedding,
        localOnly,
        askedAt: new Date().toISOString(),
        askedAtMs: nowMs,
        attempts: [],
        tries: 0,
        handovers: 0,
        tokens: 0,
        latestTokenAtMs: nowMs,
      }
      this.#requests.set(requestId, request)
    }
    this.#weigh(request.pending, trace)
    request.pending = trace
    this.#forget()
  }

  observe(requestId: RequestId, fact: RequestFact): void {
    if (fact.type === 'request.done' || fact.type === 'request.failed') this.#forgotten.delete(requestId)
    const request = this.#requests.get(requestId)
    if (!request) return
    const latest = request.attempts.at(-1)
    switch (fact.type) {
      case 'attempt.opened': {
        const { workerId, model } = fact.choice
        this.#opened(request, { workerId, modelId: model.id, modelHash: model.hash })
        return
      }
      case 'attempt.solving':
        if (latest) latest.effort = { bits: fact.bits }
        return
      case 'attempt.solved':
        if (latest?.effort) latest.effort = { ...latest.effort, ms: fact.ms }
        return
      case 'attempt.queued':
        if (latest) latest.queued ??= { position: fact.position, etaMs: fact.etaMs }
        return
      case 'attempt.failed':
      case 'attempt.dropped':
        this.#ended(latest, fact.attempt)
        return
      case 'request.done':
        this.#ended(latest, {})
        request.endedAtMs ??= this.#options.now()
        return
      case 'request.failed':
        this.#failed(request, fact.failure)
        return
      default:
    }
  }

  /** Tokens of an attempt went to the reader. */
  delivered(requestId: RequestId, tokens: number): void {
    const request = this.#requests.get(requestId)
    const latest = request?.attempts.at(-1)
    if (!request || !latest) return
    const nowMs = this.#options.now()
    if (latest.firstTokenAtMs === undefined && request.tokens > 0) request.handovers++
    latest.firstTokenAtMs ??= nowMs
    latest.tokens += tokens
    request.tokens += tokens
    request.latestTokenAtMs = nowMs
  }

  /** What ran the requests is gone, and with it their last words. */
  lost(): void {
    this.#forgotten.clear()
    for (const request of this.#requests.values()) {
      if (request.endedAtMs === undefined) this.#failed(request, { code: 'QM_NODE_STOPPED' })
    }
  }

  /** The latest first. */
  list(): RequestSummary[] {
    return [...this.#requests.values()].map(toSummary).toReversed()
  }

  /**
   * @param prefix of the request's id; absent, the latest request
   * @throws QMeshError `QM_REQUEST_UNKNOWN`
   */
  why(prefix?: string, options?: WhyOptions): RequestExplanation {
    const request = this.#find(prefix?.trim().toLowerCase())
    return {
      ...toSummary(request),
      attempts: request.attempts.map((attempt) => toExplanation(request, attempt, options)),
      ...(request.pending && { search: explainChoice(request.pending, options) }),
    }
  }

  #find(prefix: string | undefined): Remembered {
    const { requestsMax } = this.#options
    const all = [...this.#requests.values()]
    const found =
      prefix === undefined ? all.slice(-1) : all.filter(({ requestId }) => requestId.startsWith(prefix))
    const [request, second] = found
    if (!request) {
      throw new QMeshError(
        'QM_REQUEST_UNKNOWN',
        prefix === undefined
          ? 'this node has asked nothing since it started'
          : `this node remembers no request whose id begins with "${prefix.slice(0, 64)}"; it keeps its latest ${requestsMax}`,
      )
    }
    if (second) {
      throw new QMeshError(
        'QM_REQUEST_UNKNOWN',
        `${found.length} requests have an id that begins with "${prefix}"; give more of it`,
      )
    }
    return request
  }

  #opened(request: Remembered, worker: Pick<Attempted, 'workerId' | 'modelId' | 'modelHash'>): void {
    request.tries++
    request.workerId = worker.workerId
    request.attempts.push({
      ...worker,
      trace: request.pending,
      openedAtMs: this.#options.now(),
      before: { tokens: request.tokens, latestAtMs: request.latestTokenAtMs },
      tokens: 0,
    })
    request.pending = undefined
    if (request.attempts.length > this.#options.attemptsMax)
      this.#weigh(request.attempts.shift()?.trace, undefined)
  }

  #ended(attempt: Attempted | undefined, { code, message }: Pick<AttemptRecord, 'code' | 'message'>): void {
    if (!attempt || attempt.endedAtMs !== undefined) return
    attempt.endedAtMs = this.#options.now()
    attempt.end = { code, message }
  }

  #failed(request: Remembered, { code, message }: { code: ErrorCode; message?: string | undefined }): void {
    if (request.endedAtMs !== undefined) return
    this.#ended(request.attempts.at(-1), { code, message })
    request.endedAtMs = this.#options.now()
    request.end = { code, message }
  }

  #weigh(gone: SelectionTrace | undefined, come: SelectionTrace | undefined): void {
    this.#weight += weightOf(come) - weightOf(gone)
  }

  #forget(): void {
    const { requestsMax, weightMax } = this.#options
    for (const [requestId, { attempts, pending, endedAtMs }] of this.#requests) {
      const { size } = this.#requests
      if (size === 1 || (size <= requestsMax && this.#weight <= weightMax)) return
      this.#requests.delete(requestId)
      if (endedAtMs === undefined) this.#noteForgotten(requestId)
      for (const { trace } of attempts) this.#weigh(trace, undefined)
      this.#weigh(pending, undefined)
    }
  }

  #noteForgotten(requestId: RequestId): void {
    this.#forgotten.add(requestId)
    // Never more than are open, if everybody who opens one also ends it.
    const [oldest] = this.#forgotten
    if (this.#forgotten.size > limits.requestsOpenMax && oldest !== undefined) this.#forgotten.delete(oldest)
  }
}

function weightOf(trace: SelectionTrace | undefined): number {
  return trace?.candidates.reduce((sum, { models }) => sum + 1 + models.length, 0) ?? 0
}

function toSummary(request: Remembered): RequestSummary {
  const { requestId, askedAt, askedAtMs, endedAtMs, end, modelId, embedding, localOnly } = request
  const { workerId, tries, handovers, tokens } = request
  return {
    requestId,
    askedAt,
    state: endedAtMs === undefined ? 'open' : end ? 'failed' : 'answered',
    ...(modelId !== undefined && { model: modelId }),
    ...(embedding !== undefined && { embedding: true as const }),
    localOnly,
    ...(workerId !== undefined && { workerId }),
    tries,
    handovers,
    tokens,
    ...(endedAtMs !== undefined && { totalMs: endedAtMs - askedAtMs }),
    ...(end && { code: end.code }),
    ...(end?.message !== undefined && { message: end.message }),
  }
}

function toExplanation(
  { askedAtMs }: Remembered,
  attempt: Attempted,
  options: WhyOptions | undefined,
): AttemptExplanation {
  const {
    workerId,
    modelId,
    modelHash,
    trace,
    openedAtMs,
    before,
    effort,
    queued,
    firstTokenAtMs,
    endedAtMs,
    tokens,
    end,
  } = attempt
  return {
    workerId,
    modelId,
    modelHash,
    atMs: openedAtMs - askedAtMs,
    tokens,
    ...(effort && { effort }),
    ...(queued && { queued }),
    ...(firstTokenAtMs !== undefined && { firstTokenMs: firstTokenAtMs - openedAtMs }),
    ...(endedAtMs !== undefined && { totalMs: endedAtMs - openedAtMs }),
    ...(firstTokenAtMs !== undefined &&
      before.tokens > 0 && {
        handover: {
          afterTokens: before.tokens,
          gapMs: firstTokenAtMs - before.latestAtMs,
          ...(isOpaqueHash(modelHash) && { resume: 'text' }),
        },
      }),
    ...(end?.code !== undefined && { code: end.code }),
    ...(end?.message !== undefined && { message: end.message }),
    ...(trace && { choice: explainChoice(trace, options) }),
  }
}
