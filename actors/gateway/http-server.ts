import type { FastifyInstance } from 'fastify'
import { guardAccess } from './access.ts'
import { acceptJson } from './body-parser.ts'
import { createBoundedServer } from './bounded-server.ts'
import { guardOrigin } from './cors.ts'
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
  const server = createBoundedServer(limits, onDefect)
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
  addOpenAiRoutes(server, app)
  addOtherApiRoutes(server, app)
  addMeshRoutes(server, app)
  const models = addModelRoutes(server, app)
  addOperationRoutes(server, app)
  const { heartbeatMs } = limits
  const machines = inspector && addMachinesRoutes(server, { inspector, heartbeatMs })
  addConsoleRoutes(server, settings.consoleDir)
  return {
    server,
    drain: () => {
      isDraining = true
      machines?.close()
      models.close()
      return open.idle()
    },
  }
}

/** What is counted of one that went away before anything was answered: nobody saw a status. */
const hungUp = 499

/** Counts what is being answered, and what came of it. */
function countOpen(server: FastifyInstance, meter: Meter) {
  const open = new Set<object>()
  const whenIdle = new Set<() => void>()
  server.addHook('onRequest', async (request, reply) => {
    const { raw } = reply
    open.add(request)
    raw.once('close', () => {
      open.delete(request)
      const status = raw.headersSent ? raw.statusCode : hungUp
      meter.replied(request.routeOptions.url ?? 'unknown', request.method, status)
      if (open.size === 0) for (const done of whenIdle) done()
    })
  })
  return {
    idle: (): Promise<void> =>
      open.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.add(resolve)),
  }
}
