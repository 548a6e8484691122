import type { FastifyInstance } from 'fastify'
import { createOpenApi } from '../openapi.ts'
import type { GatewayApp } from './gateway-app.ts'

/** For whoever runs the node: is it alive, can it answer, what does it count. */
export function addOperationRoutes(server: FastifyInstance, app: GatewayApp): void {
  const { port, meter, settings, isDraining } = app
  const config = { isOpen: true }
  server.get('/healthz', { config }, async () => ({ status: 'ok' }))

  server.get('/readyz', { config }, async (_request, reply) => {
    const reason = isDraining()
      ? 'stopping'
      : port.workers().some(({ models }) => models.length > 0)
        ? undefined
        : 'no worker with a model is known'
    return reply.code(reason === undefined ? 200 : 503).send({
      status: reason === undefined ? 'ready' : 'not ready',
      ...(reason !== undefined && { reason }),
    })
  })

  server.get('/metrics', async (_request, reply) =>
    reply.type(meter.registry.contentType).send(await meter.registry.metrics()),
  )

  // Made when first asked for: most nodes never are.
  let document: object | undefined
  server.get('/openapi.json', async () => (document ??= createOpenApi(settings)))
}
