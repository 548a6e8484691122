import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from '@opentelemetry/api'
import type { RequestTracer } from '../../actors/request/request-tracer.port.ts'
import type { Choice, RequestFact } from '../../machines/request/index.ts'
import type { ErrorCode, Finish, ModelId, PeerId, RequestId, Traceparent } from '../../protocol/index.ts'
import { parentOf, shortId, traceparentOf } from './span-context.ts'

interface Attempt {
  readonly index: number
  readonly span: Span
  readonly workerId: PeerId
  isQueued: boolean
  tokens: number
}

interface Open {
  readonly span: Span
  attempt?: Attempt | undefined
  /** The last worker that gave tokens, and why it was left. */
  left?: { readonly workerId: PeerId; readonly code: ErrorCode | undefined } | undefined
  attempts: number
  handovers: number
  tokens: number
}

/**
 * The client's side of a trace: a span for each request, and in it one for each try at a worker, which the worker's own is
 * joined to. Codes, numbers and names of models stand in them; no prompt, no answer, no key, and no words of others.
 */
export class RequestSpans implements RequestTracer {
  readonly #tracer: Tracer
  readonly #open = new Map<RequestId, Open>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  asked({
    requestId,
    modelId,
    traceparent,
  }: {
    readonly requestId: RequestId
    readonly modelId: ModelId | undefined
    readonly traceparent: Traceparent | undefined
  }): void {
    const attributes = {
      'qmesh.request.id': requestId,
      ...(modelId !== undefined && { 'gen_ai.request.model': modelId }),
    }
    const options = { kind: SpanKind.INTERNAL, attributes }
    const span = this.#tracer.startSpan('qmesh.request', options, parentOf(traceparent))
    this.#open.set(requestId, { span, attempts: 0, handovers: 0, tokens: 0 })
  }

  asking(requestId: RequestId, attempt: number, choice: Choice): Traceparent | undefined {
    const open = this.#open.get(requestId)
    return open && traceparentOf(this.#opened(open, attempt, choice).span)
  }

  observe(requestId: RequestId, fact: RequestFact): void {
    const open = this.#open.get(requestId)
    if (!open) return
    const { attempt } = open
    switch (fact.type) {
      case 'request.waiting':
        open.span.addEvent('waiting for a worker')
        return
      case 'attempt.opened':
        this.#opened(open, fact.attempt, fact.choice)
        return
      case 'attempt.solving':
        attempt?.span.addEvent('working for the worker', { 'qmesh.effort.bits': fact.bits })
        return
      case 'attempt.queued':
        // Its later places are the worker's story.
        if (!attempt || attempt.isQueued) return
        attempt.isQueued = true
        attempt.span.addEvent('queued', {
          'qmesh.queue.position': fact.position,
          'qmesh.queue.eta_ms': fact.etaMs,
        })
        return
      case 'attempt.failed':
      case 'attempt.dropped':
        return endAttempt(open, fact.attempt.code ?? 'QM_CANCELLED')
      case 'request.done':
        return finish(open, fact.finish)
      default:
    }
  }

  delivered(requestId: RequestId, tokens: number): void {
    const open = this.#open.get(requestId)
    const attempt = open?.attempt
    if (!open || !attempt) return
    if (attempt.tokens === 0) {
      attempt.span.addEvent('first token')
      if (open.left) this.#movedOn(open, attempt, open.left)
    }
    attempt.tokens += tokens
    open.tokens += tokens
  }

  ended(requestId: RequestId, code?: ErrorCode): void {
    const open = this.#open.get(requestId)
    if (!open) return
    this.#open.delete(requestId)
    // Its reader left while a worker had it.
    endAttempt(open, code ?? 'QM_CANCELLED')
    const { span, attempts, handovers, tokens } = open
    span.setAttributes({
      'qmesh.outcome': code === undefined ? 'answered' : code === 'QM_CANCELLED' ? 'cancelled' : 'failed',
      'qmesh.attempts': attempts,
      'qmesh.handovers': handovers,
      'qmesh.tokens': tokens,
    })
    fail(span, code)
    span.end()
  }

  #opened(open: Open, index: number, { workerId, model }: Choice): Attempt {
    if (open.attempt?.index === index) return open.attempt
    open.attempts = index + 1
    const options = {
      kind: SpanKind.CLIENT,
      attributes: {
        'qmesh.worker': shortId(workerId),
        'qmesh.attempt': index,
        'qmesh.resumed_tokens': open.tokens,
        'gen_ai.request.model': model.id,
      },
    }
    const span = this.#tracer.startSpan('qmesh.attempt', options, trace.setSpan(ROOT_CONTEXT, open.span))
    open.attempt = { index, span, workerId, isQueued: false, tokens: 0 }
    return open.attempt
  }

  #movedOn(open: Open, { workerId }: Attempt, left: NonNullable<Open['left']>): void {
    open.handovers++
    open.span.addEvent('handover', {
      'qmesh.from': shortId(left.workerId),
      'qmesh.to': shortId(workerId),
      'qmesh.after_tokens': open.tokens,
      ...(left.code !== undefined && { 'qmesh.code': left.code }),
    })
  }
}

function finish(
  open: Open,
  { queuedMs, promptTokens, cachedTokens, completionTokens, reason }: Finish,
): void {
  const usage = {
    'gen_ai.usage.input_tokens': promptTokens,
    'gen_ai.usage.output_tokens': completionTokens,
  }
  open.attempt?.span.setAttributes({
    'qmesh.queued_ms': queuedMs,
    'qmesh.cached_tokens': cachedTokens,
    'qmesh.finish_reason': reason,
  })
  open.span.setAttributes(usage)
  endAttempt(open)
}

/** @param code why it gave no more; absent: there is no more to give */
function endAttempt(open: Open, code?: ErrorCode): void {
  const { attempt } = open
  if (!attempt) return
  open.attempt = undefined
  const { span, workerId, tokens } = attempt
  if (tokens > 0) open.left = { workerId, code }
  span.setAttribute('qmesh.tokens', tokens)
  fail(span, code)
  span.end()
}

/** Whoever was cancelled did not fail. */
export function fail(span: Span, code: ErrorCode | undefined): void {
  if (code === undefined) return
  span.setAttribute('qmesh.code', code)
  if (code !== 'QM_CANCELLED') span.setStatus({ code: SpanStatusCode.ERROR, message: code })
}
