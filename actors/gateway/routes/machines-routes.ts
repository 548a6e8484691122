import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { ApiError } from '../api-error.ts'
import type { Inspection, InspectorPort } from '../inspector.port.ts'
import { toComment } from '../sse.ts'

export interface MachinesRoutesOptions {
  readonly inspector: InspectorPort
  /** Milliseconds of silence after which a stream says that it is still there. */
  readonly heartbeatMs: number
}

/** Bytes that wait for a watcher who reads slowly; what comes beyond is dropped, and it is told anew later. */
const waitingBytesMax = 1024 * 1024

/**
 * The actors of this node and their statecharts, for the page that draws them.
 *
 * @returns ends all streams, which would never end by themselves
 */
export function addMachinesRoutes(
  server: FastifyInstance,
  { inspector, heartbeatMs }: MachinesRoutesOptions,
): { close(): void } {
  const streams = new Set<EventStream>()
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
    const stream = createEventStream(inspector, heartbeatMs)
    if (!stream) {
      throw new ApiError('As many as may are watching already: close another page of the machines.', {
        status: 429,
        type: 'rate_limit_error',
        code: 'too_many_watchers',
        retryAfterMs: 10_000,
      })
    }
    streams.add(stream)
    reply.raw.once('close', () => {
      streams.delete(stream)
      stream.readable.destroy()
    })
    return reply
      .header('cache-control', 'no-cache')
      .header('x-accel-buffering', 'no')
      .type('text/event-stream; charset=utf-8')
      .send(stream.readable)
  })
  return {
    close: () => {
      for (const stream of streams) stream.end()
    },
  }
}

interface EventStream {
  readonly readable: Readable
  /** After what was written before. */
  end(): void
}

/** What happens, as server-sent events. Undefined when nobody else may watch. */
function createEventStream(inspector: InspectorPort, heartbeatMs: number): EventStream | undefined {
  let inspection: Inspection | undefined
  let isOver = false
  const stream = new Readable({
    highWaterMark: 64 * 1024,
    // The reader has taken all or nearly all of what there was.
    read: () => inspection?.resume(),
    destroy: (error, done) => {
      isOver = true
      clearInterval(heartbeat)
      inspection?.close()
      done(error)
    },
  })
  const heartbeat = setInterval(() => {
    if (!isOver && stream.readableLength === 0) stream.push(toComment('still here'))
  }, heartbeatMs).unref()
  const end = (): void => {
    if (isOver) return
    isOver = true
    stream.push(null)
  }
  inspection = inspector.watch({
    take: (json, { type }) => {
      if (isOver || stream.readableLength > waitingBytesMax) return false
      stream.push(`data: ${json}\n\n`)
      if (type === 'bye') end()
      return true
    },
  })
  if (inspection) return { readable: stream, end }
  stream.destroy()
  return undefined
}
