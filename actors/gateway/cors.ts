import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ApiError } from './api-error.ts'

/** What a page's script may read of an answer besides its body. */
const exposed = [
  'x-qmesh-request-id',
  'x-qmesh-worker',
  'x-qmesh-handovers',
  'x-qmesh-error',
  'retry-after',
  'retry-after-ms',
].join(', ')

/**
 * Web pages from elsewhere are turned away, before anything is done for them: without that, a page could make this
 * machine work without being allowed to read what comes out. Pages of this gateway, and of the origins given, may come.
 */
export function guardOrigin(server: FastifyInstance, origins: readonly string[]): void {
  const allowed = new Set(origins.map((origin) => origin.toLowerCase()))
  server.addHook('onRequest', async (request, reply) => {
    const { origin, host } = request.headers
    if (origin === undefined) {
      checkSite(request)
      return
    }
    void reply.header('vary', 'Origin')
    // Behind a proxy with TLS only the browser knows that the page is of this gateway, whose name `guardAccess` checks.
    const isOwn = request.headers['sec-fetch-site'] === 'same-origin'
    if (isOwn || (host !== undefined && origin === `http://${host}`)) return
    if (!allowed.has(origin.toLowerCase())) {
      throw new ApiError(
        `Pages of ${origin.slice(0, 80)} may not use this gateway; its owner can allow them with gatewayOrigins.`,
        { status: 403, type: 'permission_error', code: 'origin_not_allowed' },
      )
    }
    void reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', exposed)
    if (request.method !== 'OPTIONS') return
    const wanted = request.headers['access-control-request-headers']
    void reply
      .header('access-control-allow-methods', 'GET, POST')
      .header('access-control-allow-headers', wanted ?? 'authorization, content-type')
      .header('access-control-max-age', '600')
    if (request.headers['access-control-request-private-network'] === 'true')
      void reply.header('access-control-allow-private-network', 'true')
    return reply.code(204).send()
  })
}

/**
 * A page that asks for an image or a script names no origin: it reads nothing, and could still hold every place of those
 * who watch. Browsers say of such a request where it comes from, and pages cannot change that.
 */
function checkSite({ headers, routeOptions }: FastifyRequest): void {
  const site = headers['sec-fetch-site']
  // A link to what is open to everybody, such as the console, may be anywhere.
  if (site === undefined || site === 'none' || site === 'same-origin' || routeOptions.config.isOpen) return
  throw new ApiError('Pages from elsewhere may not use this gateway.', {
    status: 403,
    type: 'permission_error',
    code: 'origin_not_allowed',
  })
}
