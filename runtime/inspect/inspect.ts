import type { AnyActorRef } from 'xstate'
import { guardAccess, isLoopback } from '../../actors/gateway/access.ts'
import { createBoundedServer } from '../../actors/gateway/bounded-server.ts'
import { guardOrigin } from '../../actors/gateway/cors.ts'
import { addConsoleRoutes } from '../../actors/gateway/routes/console-routes.ts'
import { addMachinesRoutes } from '../../actors/gateway/routes/machines-routes.ts'
import { defaultGatewayLimits } from '../../actors/gateway/settings.ts'
import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import { packageFile } from '../package-file.ts'
import { Inspector } from './inspector.ts'

export interface InspectOptions {
  /** Address to listen on; 127.0.0.1 if left out. One that other machines can reach demands `keys`. */
  readonly host?: string
  /** TCP port; a free one if left out. */
  readonly port?: number
  /** Whoever looks needs one of them; none: whoever is on this machine may look. */
  readonly keys?: readonly string[]
}

export interface InspectServer {
  /** The page, for a browser. */
  readonly url: string
  /** Takes the page down and leaves the actors alone. May be called twice. */
  close(): Promise<void>
}

/** Nobody sends it anything but heads. */
const limits = { ...defaultGatewayLimits, bodyBytesMax: 1_024, connectionsMax: 64 }

/**
 * Serves a page that shows a system of actors at work: who lives, each one's statechart with its current states lit, and
 * what happened. It costs the system nothing until somebody opens the page.
 *
 * @param actor any actor of the system, started or not
 * @throws QMeshError `QM_CONFIG_INVALID` for what is no actor, and for an address that others can reach without `keys`;
 *   `QM_PORT_TAKEN`, `QM_NETWORK_UNAVAILABLE`
 */
export async function inspect(actor: AnyActorRef, options: InspectOptions = {}): Promise<InspectServer> {
  const { host = '127.0.0.1', port = 0, keys = [] } = options
  check(actor, { host, port, keys })
  const inspector = new Inspector()
  inspector.system = actor
  const server = createBoundedServer(limits, () => undefined)
  guardOrigin(server, [])
  guardAccess(server, { host, keys })
  server.addHook('onRequest', async (request, reply) => {
    // The page is the console of a node; told by its address, it shows this view and no other.
    if (request.url === '/') return reply.redirect(`/?only=machines#/machines`)
  })
  const machines = addMachinesRoutes(server, { inspector, heartbeatMs: limits.heartbeatMs })
  addConsoleRoutes(server, packageFile('dist/console'))
  try {
    const address = await server.listen({ host, port })
    // An address that stands for all is not one to go to.
    const url = address.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
    let closed: Promise<void> | undefined
    const close = async (): Promise<void> => {
      machines.close()
      inspector.close()
      await server.close()
    }
    return { url: `${url}/`, close: () => (closed ??= close()) }
  } catch (error) {
    await server.close()
    throw toListenError(error, host, port)
  }
}

/** Programs without types call this too. */
function check(actor: unknown, { host, port, keys }: Required<InspectOptions>): void {
  const invalid = (message: string): QMeshError => new QMeshError('QM_CONFIG_INVALID', message)
  if (typeof actor !== 'object' || actor === null || !('system' in actor) || !('getSnapshot' in actor)) {
    throw invalid(`inspect() takes an actor of XState 5, as createActor() returns it, not ${toKind(actor)}`)
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw invalid(`"port" must be a whole number from 0 to 65535, not ${String(port)}`)
  }
  if (!isLoopback(host) && keys.length === 0) {
    throw invalid(
      `"host" is ${host}, which other machines can reach: give "keys" too, or listen on 127.0.0.1`,
    )
  }
}

function toListenError(error: unknown, host: string, port: number): QMeshError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') {
    return new QMeshError(
      'QM_PORT_TAKEN',
      `inspect() cannot listen: TCP port ${port} on ${host} is used by another program; give another "port" (0 takes a free one)`,
      { cause: error },
    )
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new QMeshError(
      'QM_NETWORK_UNAVAILABLE',
      `inspect() cannot listen: this machine has no address ${host}; give a "host" of its own`,
      { cause: error },
    )
  }
  return toQMeshError(error, 'QM_NETWORK_UNAVAILABLE')
}

const toKind = (value: unknown): string =>
  value === null || value === undefined
    ? String(value)
    : typeof value === 'object'
      ? 'another object'
      : `a ${typeof value}`
