import type { FastifyInstance } from 'fastify'
import { QMeshError } from '../../../protocol/index.ts'
import { ApiError } from '../api-error.ts'
import { sendEvents } from '../event-stream.ts'
import type { InspectorPort } from '../inspector.port.ts'
import { type InspectionStream, openInspection } from '../inspection-stream.ts'

export interface MachinesRoutesOptions {
  readonly inspector: InspectorPort
  /** Milliseconds of silence after which a stream says that it is still there. */
  readonly heartbeatMs: number
}

/**
 * The actors of this node and their statecharts, for the page that draws them.
 *
 * @returns ends all streams, which would never end by themselves, and begins no more of them
 */
export function addMachinesRoutes(
  server: FastifyInstance,
  { inspector, heartbeatMs }: MachinesRoutesOptions,
): { close(): void } {
  const streams = new Set<InspectionStream>()
  let isClosed = false
  server.get('/machines/tree', async () => inspector.tree())

  server.get<{ Params: { id: string } }>('/machines/graphs/:id', async ({ params }, reply) => {
    const graph = inspector.graph(params.id)
    if (!graph) {
      throw new ApiError('No actor here runs such a machine now: /machines/tree names those that are.', {
        status: 404,
        code: 'unknown_machine',
      })
    }
    // The id follows from what it names.
    return reply.header('cache-control', 'private, max-age=86400, immutable').send(graph)
  })

  server.get('/machines/events', async (_request, reply) => {
    // A page comes back half a second after its stream ended.
    if (isClosed) throw new QMeshError('QM_NODE_STOPPED')
    const stream = openInspection(inspector, heartbeatMs)
    if (!stream) {
      throw new ApiError('As many as may are watching already: close another page of the machines.', {
        status: 429,
        type: 'rate_limit_error',
        code: 'too_many_watchers',
        retryAfterMs: 10_000,
      })
    }
    streams.add(stream)
    stream.readable.once('close', () => streams.delete(stream))
    return sendEvents(reply, stream.readable)
  })
  return {
    close: () => {
      isClosed = true
      for (const stream of streams) stream.end()
    },
  }
}
