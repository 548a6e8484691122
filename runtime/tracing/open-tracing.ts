import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base'
import type { RequestTracer } from '../../actors/request/request-tracer.port.ts'
import type { ServeTracer } from '../../actors/scheduling/serve-tracer.port.ts'
import type { PeerId } from '../../protocol/index.ts'
import type { Logger } from '../logger.ts'
import { packageVersion } from '../version.ts'
import { RequestSpans } from './request-spans.ts'
import { ServeSpans } from './serve-spans.ts'

export interface TracingOptions {
  /** Where traces go, by OTLP over HTTP. */
  readonly endpoint: string
  /** The node. */
  readonly id: PeerId
  readonly logger: Pick<Logger, 'warn' | 'info'>
}

/** What a node records of requests across machines. */
export interface Tracing {
  readonly requests: RequestTracer
  readonly serves: ServeTracer
  /** Sends what was recorded, within a bound of time. */
  close(): Promise<void>
}

/** Milliseconds that the last traces may take to be sent: a collector that is gone must not hold a node. */
const flushMs = 3_000

/**
 * Records spans and sends them to a collector. This file and what it imports are loaded by nodes that trace, and by no
 * others. Nothing is registered globally: a program that embeds a node may have tracing of its own, and several nodes.
 */
export function openTracing({ endpoint, id, logger }: TracingOptions): Tracing {
  const provider = new BasicTracerProvider({
    // What the variables of OpenTelemetry say goes over what is known here.
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'qmesh',
          'service.version': packageVersion(),
          'service.instance.id': id,
        }),
      )
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [
      new BatchSpanProcessor(tellFailures(new OTLPTraceExporter({ url: endpoint }), endpoint, logger)),
    ],
  })
  const tracer = provider.getTracer('qmesh', packageVersion())
  return {
    requests: new RequestSpans(tracer),
    serves: new ServeSpans(tracer),
    close: async () => {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, flushMs)
      })
      await Promise.race([provider.shutdown().catch(() => undefined), late])
      clearTimeout(timer)
    },
  }
}

/** A collector that cannot be reached is said once, and so is that it can be again. */
function tellFailures(
  exporter: SpanExporter,
  endpoint: string,
  logger: TracingOptions['logger'],
): SpanExporter {
  let isFailing = false
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const hasFailed = result.error !== undefined
        if (hasFailed && !isFailing)
          logger.warn({ endpoint, error: result.error?.message }, 'traces cannot be sent, and are dropped')
        if (!hasFailed && isFailing) logger.info({ endpoint }, 'traces are sent again')
        isFailing = hasFailed
        done(result)
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  }
}
