import fastify, { type FastifyInstance } from 'fastify'
import { QMeshError } from '../../protocol/index.ts'
import { ApiError, toApiFailure } from './api-error.ts'
import { closeWithConnection, refuseRaw } from './connections.ts'
import { sendFailure } from './error-shapes.ts'
import type { GatewayLimits } from './settings.ts'

/**
 * A server whose clients are bounded in number, in what they send and in how long they take, and are told in OpenAI's
 * shape what is wrong. It has no routes yet, and asks nobody who they are.
 *
 * @param onDefect hears of defects; what clients do wrong is told to them
 */
export function createBoundedServer(
  limits: GatewayLimits,
  onDefect: (error: Error) => void,
): FastifyInstance {
  const server = fastify({
    bodyLimit: limits.bodyBytesMax,
    keepAliveTimeout: limits.keepAliveMs,
    requestTimeout: limits.requestMs,
    http: {
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.lookMs,
      maxHeaderSize: limits.headerBytesMax,
    },
    forceCloseConnections: true,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (error, request, reply) =>
      void sendFailure(request, reply, toApiFailure(new ApiError(error.message, { code: 'invalid_url' }))),
    clientErrorHandler: refuseRaw,
  })
  server.server.maxConnections = limits.connectionsMax
  closeWithConnection(server)
  guardReaders(server, limits.readerMs)
  server.setNotFoundHandler((request, reply) =>
    sendFailure(
      request,
      reply,
      toApiFailure(
        new ApiError(`There is no ${request.method} ${request.url.slice(0, 200)} here.`, {
          status: 404,
          code: 'unknown_url',
        }),
      ),
    ),
  )
  server.setErrorHandler((error, request, reply) => {
    const failure = toApiFailure(fromFastify(error))
    if (failure.qmeshCode === 'QM_INTERNAL')
      onDefect(error instanceof Error ? error : new Error(String(error)))
    return sendFailure(request, reply, failure)
  })
  return server
}

/** What the framework itself turned down, such as a content type that nobody reads. */
function fromFastify(error: unknown): unknown {
  if (error instanceof QMeshError || !(error instanceof Error) || !('statusCode' in error)) return error
  const status = Number(error.statusCode)
  if (!(status >= 400 && status < 500)) return error
  const message =
    status === 415 ? 'The body must be JSON: send it with "content-type: application/json".' : error.message
  return new ApiError(message, {
    status,
    code: status === 415 ? 'unsupported_media_type' : 'invalid_request',
  })
}

/**
 * A reader that takes nothing for too long is cut off: it would hold a connection, and a worker's slot, for ever. A
 * stream that has nothing to say gives a sign of life more often than that.
 */
function guardReaders(server: FastifyInstance, readerMs: number): void {
  server.addHook('onSend', async (_request, reply, payload) => {
    // What models write is data, whatever a browser would take it for.
    void reply.header('x-content-type-options', 'nosniff')
    reply.raw.setTimeout(readerMs, () => reply.raw.destroy())
    return payload
  })
}
