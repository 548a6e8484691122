import type { FastifyInstance } from 'fastify'
import { QMeshError } from '../../../protocol/index.ts'
import { ApiError } from '../api-error.ts'
import { sendEvents } from '../event-stream.ts'
import { ModelPull, modelPullRequest } from '../model-pull.ts'
import { listModels } from '../models.ts'
import { parseBody } from '../requests/parse.ts'
import type { GatewayApp } from './gateway-app.ts'

/**
 * The models of this node and of its mesh, and fetching one.
 *
 * @returns ends what is being fetched
 */
export function addModelRoutes(
  server: FastifyInstance,
  { port, limits, isDraining }: GatewayApp,
): { close(): void } {
  const pulls = new Set<ModelPull>()
  server.get('/v1/mesh/models', async () => {
    const { models } = port
    await models?.library.store.refresh()
    return {
      // What this node has in memory, or would load for a request.
      serving: port.status().models,
      mesh: listModels(port),
      library: models?.library.search() ?? [],
      seeds: (await models?.seeds()) ?? [],
      canPull: models !== undefined,
    }
  })

  server.post('/v1/mesh/models/pull', async ({ body }, reply) => {
    const { name } = parseBody(modelPullRequest, body)
    if (isDraining()) throw new QMeshError('QM_NODE_STOPPED')
    if (!port.models) {
      throw new ApiError('This node keeps no models: it has no data directory.', {
        status: 501,
        type: 'server_error',
        code: 'not_implemented',
      })
    }
    const pull = new ModelPull(port.models, name, limits.heartbeatMs)
    pulls.add(pull)
    pull.stream.once('close', () => pulls.delete(pull))
    const cancel = (): void => pull.cancel()
    reply.raw.once('close', cancel)
    if (reply.raw.destroyed) cancel()
    await pull.begun
    return sendEvents(reply, pull.stream)
  })
  return {
    close: () => {
      for (const pull of pulls) pull.stop()
    },
  }
}
