import type { FastifyInstance } from 'fastify'
import { requestIdSchema } from '../../../protocol/index.ts'
import { ApiError } from '../api-error.ts'
import { sendEvents } from '../event-stream.ts'
import { MeshFeed } from '../mesh-feed.ts'
import type { GatewayApp } from './gateway-app.ts'

/** What this node knows of its mesh: its own state, workers, requests and scores. */
export function addMeshRoutes(server: FastifyInstance, { port, limits, isDraining }: GatewayApp): void {
  const feed = new MeshFeed({ port, limits, isDraining })
  server.get('/v1/mesh', async () => port.status())
  server.get('/v1/mesh/workers', async () => port.workers())
  server.get('/v1/mesh/requests', async () => port.requests())
  server.get('/v1/mesh/events', async (_request, reply) => sendEvents(reply, feed.watch()))
  server.get<{ Params: { id: string }; Querystring: { replay?: string } }>(
    '/v1/mesh/requests/:id/why',
    async ({ params, query }) => {
      // The ids that APIs give out carry a word in front.
      const id = params.id.replace(/^(chatcmpl|cmpl|msg|resp)[-_]/, '')
      if (!/^[0-9a-f]{1,32}$/.test(id) && !requestIdSchema.safeParse(id).success) {
        throw new ApiError('A request id has 32 hexadecimal digits; its beginning is enough.', {
          param: 'id',
        })
      }
      return port.why(id, { replay: query.replay !== undefined && query.replay !== 'false' })
    },
  )
  server.get('/v1/mesh/scores', async () => port.scores())
  server.get<{ Params: { id: string } }>('/v1/mesh/scores/:id/why', async ({ params: { id } }) => {
    if (!/^[0-9a-f]{1,64}$/.test(id)) {
      throw new ApiError('An account is named by its id of 64 hexadecimal digits; the beginning is enough.', {
        param: 'id',
      })
    }
    return port.whyScore(id)
  })
  server.get('/v1/mesh/credit', async () => port.credit())
}
