import { type Context, ROOT_CONTEXT, type Span, trace, TraceFlags } from '@opentelemetry/api'
import { readTraceparent, toTraceparent, type PeerId, type Traceparent } from '../../protocol/index.ts'

/** Where a span of ours belongs that somebody elsewhere has the parent of; absent: it begins a trace. */
export function parentOf(traceparent: Traceparent | undefined): Context {
  if (traceparent === undefined) return ROOT_CONTEXT
  const { traceId, spanId, isSampled } = readTraceparent(traceparent)
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true })
}

/** The other way round: what others are told of a span. */
export function traceparentOf(span: Span): Traceparent {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return toTraceparent({ traceId, spanId, isSampled: (traceFlags & TraceFlags.SAMPLED) !== 0 })
}

/** Enough of an id to find it elsewhere. */
export const shortId = (id: PeerId): string => id.slice(0, 12)
