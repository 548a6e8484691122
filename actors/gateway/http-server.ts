import fastify, { type FastifyInstance } from 'fastify'
import { QMeshError } from '../../protocol/index.ts'
import { guardAccess } from './access.ts'
import { ApiError, toApiFailure } from './api-error.ts'
import { acceptJson } from './body-parser.ts'
import { closeWithConnection, refuseRaw } from './connections.ts'
import { guardOrigin } from './cors.ts'
import { sendFailure } from './error-shapes.ts'
import type { GatewayPort } from './gateway.port.ts'
import type { InspectorPort } from './inspector.port.ts'
import type { Meter } from './meter.ts'
import { addConsoleRoutes } from './routes/console-routes.ts'
import type { GatewayApp } from './routes/gateway-app.ts'
import { addMachinesRoutes } from './routes/machines-routes.ts'
import { addMeshRoutes } from './routes/mesh-routes.ts'
import { addModelRoutes } from './routes/model-routes.ts'
import { addOpenAiRoutes } from './routes/openai-routes.ts'
import { addOtherApiRoutes } from './routes/other-api-routes.ts'
import { addOperationRoutes } from './routes/operation-routes.ts'
import { defaultGatewayLimits, type GatewaySettings } from './settings.ts'

export interface HttpServerOptions {
  readonly port: GatewayPort
  readonly meter: Meter
  readonly settings: GatewaySettings
  /** Shows the node's actors; absent: there is no `/machines`. */
  readonly inspector?: InspectorPort | undefined
  /** Hears of defects; what clients do wrong is told to them. */
  readonly onDefect: (error: Error) => void
}

export interface HttpServer {
  readonly server: FastifyInstance
  /** Refuses what comes from now on, and resolves when nothing is being answered any more. */
  drain(): Promise<void>
}

/** The gateway's HTTP server, not listening yet. */
export function createHttpServer({
  port,
  meter,
  settings,
  inspector,
  onDefect,
}: HttpServerOptions): HttpServer {
  const limits = { ...defaultGatewayLimits, ...settings.limits }
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
  let isDraining = false
  const app: GatewayApp = {
    port,
    meter,
    settings,
    limits,
    isDraining: () => isDraining,
  }
  const open = countOpen(server, meter)
  guardOrigin(server, settings.origins)
  guardAccess(server, settings)
  acceptJson(server, limits)
  guardReaders(server, limits.readerMs)
  addOpenAiRoutes(server, app)
  addOtherApiRoutes(server, app)
  addMeshRoutes(server, app)
  addModelRoutes(server, app)
  addOperationRoutes(server, app)
  const { heartbeatMs } = limits
  const machines = inspector && addMachinesRoutes(server, { inspector, heartbeatMs })
  addConsoleRoutes(server, settings.consoleDir)
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
  return {
    server,
    drain: () => {
      isDraining = true
      machines?.close()
      return open.idle()
    },
  }
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

/** Counts what is being answered, and what came of it. */
function countOpen(server: FastifyInstance, meter: Meter) {
  const open = new Set<object>()
  const whenIdle = new Set<() => void>()
  server.addHook('onRequest', async (request, reply) => {
    open.add(request)
    reply.raw.once('close', () => {
      open.delete(request)
      meter.replied(request.routeOptions.url ?? 'unknown', request.method, reply.raw.statusCode)
      if (open.size === 0) for (const done of whenIdle) done()
    })
  })
  return {
    idle: (): Promise<void> =>
      open.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.add(resolve)),
  }
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
