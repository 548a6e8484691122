import { SpanKind, type Tracer } from '@opentelemetry/api'
import type { ServeTrace, ServeTracer } from '../../actors/scheduling/serve-tracer.port.ts'
import { fail } from './request-spans.ts'
import { parentOf, shortId } from './span-context.ts'

/**
 * The worker's side of a trace: a span for each prompt that it took on, in the trace of the client if that said one. A
 * client decides whether its own trace is recorded here, too, and nothing else.
 */
export class ServeSpans implements ServeTracer {
  readonly #tracer: Tracer

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  begin: ServeTracer['begin'] = ({ modelId, resume, traceparent }, { id, tier }): ServeTrace => {
    const attributes = {
      'qmesh.client': shortId(id),
      'qmesh.tier': tier,
      'qmesh.resumed_tokens': resume?.tokens.length ?? 0,
      'gen_ai.request.model': modelId,
    }
    const span = this.#tracer.startSpan(
      'qmesh.serve',
      { kind: SpanKind.SERVER, attributes },
      parentOf(traceparent),
    )
    return {
      started: (queuedMs) => void span.addEvent('slot').setAttribute('qmesh.queued_ms', queuedMs),
      firstToken: () => void span.addEvent('first token'),
      ended: ({ tokens, promptTokens, code }) => {
        if (!span.isRecording()) return
        span.setAttributes({ 'qmesh.tokens': tokens, 'gen_ai.usage.input_tokens': promptTokens })
        fail(span, code)
        span.end()
      },
    }
  }
}
