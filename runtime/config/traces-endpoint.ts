/** Where a variable of OpenTelemetry says that traces go, and which one. */
export interface FoundEndpoint {
  readonly name: string
  readonly endpoint: string
}

/**
 * What the standard variables of OpenTelemetry say about traces; undefined where they say nothing, switch them off, or
 * want a protocol that is not spoken here.
 */
export function findTracesEndpoint(
  env: Readonly<Record<string, string | undefined>>,
): FoundEndpoint | undefined {
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined
  const exporters = env['OTEL_TRACES_EXPORTER'] || 'otlp'
  if (!exporters.split(',').some((name) => name.trim() === 'otlp')) return undefined
  const protocol = env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || env['OTEL_EXPORTER_OTLP_PROTOCOL']
  if (protocol === 'grpc') return undefined
  const [own, all] = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT']
  const [ofTraces, ofAll] = [env[own], env[all]]
  if (ofTraces) return { name: own, endpoint: ofTraces }
  return ofAll ? { name: all, endpoint: `${ofAll.replace(/\/+$/, '')}/v1/traces` } : undefined
}
