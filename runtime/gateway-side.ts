import type { AnyActorRef } from 'xstate'
import { createServerActor, isLoopback, Meter, type GatewayPort } from '../actors/gateway/index.ts'
import { gatewayMachine, type GatewayAddress, type GatewayEmitted } from '../machines/gateway/index.ts'
import { QMeshError } from '../protocol/index.ts'
import type { Config } from './config/index.ts'
import { Inspector } from './inspect/inspector.ts'
import type { Logger } from './logger.ts'
import type { GatewayStatus } from './node-status.ts'
import { meshSchemas } from './mesh-schemas.ts'
import { packageFile } from './package-file.ts'
import { packageVersion } from './version.ts'

export interface GatewaySideOptions {
  readonly config: Config
  readonly logger: Logger
}

/** What the node's system does with the gateway. */
export interface GatewaySide {
  readonly logic: ReturnType<typeof createLogic>
  readonly meter: Meter
  /** What the gateway asks; it must not be started before. */
  serve(port: GatewayPort): void
  /** The running actor, or none while it is down. */
  attached(ref: AnyActorRef | undefined): void
  status(): GatewayStatus
  /** Resolves when it listens; rejects when it could not the first time. */
  opened(): Promise<void>
  /** Resolves when every server that was ever opened is closed. */
  closed(): Promise<void>
}

const createLogic = (server: ReturnType<typeof createServerActor>) =>
  gatewayMachine.provide({ actors: { server } })

/**
 * The half of a node that answers HTTP. The node itself is what it asks, so it is told which one only when there is one.
 *
 * @throws QMeshError `QM_CONFIG_INVALID` for a gateway that others can reach and everybody may use
 */
export function createGatewaySide({ config, logger }: GatewaySideOptions): GatewaySide {
  const { gatewayHost: host, gatewayPort: port, gatewayKeys: keys, gatewayOrigins: origins } = config
  if (!isLoopback(host) && keys.length === 0) {
    throw new QMeshError(
      'QM_CONFIG_INVALID',
      `"gatewayHost" is ${host}, which other machines can reach: set "gatewayKeys" (QMESH_GATEWAY_KEYS) too, or listen on 127.0.0.1`,
    )
  }
  const meter = new Meter()
  const inspector = new Inspector()
  const closings = new Set<Promise<void>>()
  let node: GatewayPort | undefined
  const served = (): GatewayPort => {
    if (node) return node
    throw new QMeshError('QM_NODE_STOPPED', 'The node is not up yet.')
  }
  const logic = createLogic(
    createServerActor(
      {
        port: {
          ask: (input, options) => served().ask(input, options),
          embed: (texts, options) => served().embed(texts, options),
          status: () => served().status(),
          workers: () => served().workers(),
          requests: () => served().requests(),
          why: (requestId, options) => served().why(requestId, options),
          scores: () => served().scores(),
          whyScore: (id, last) => served().whyScore(id, last),
          credit: (last) => served().credit(last),
          get models() {
            return served().models
          },
        },
        meter,
        inspector,
        settings: {
          host,
          port,
          keys,
          origins,
          version: packageVersion(),
          consoleDir: packageFile('dist/console'),
          schemas: meshSchemas,
        },
        onDefect: (error) => logger.error({ err: error }, 'a defect in the gateway'),
      },
      closings,
    ),
  )
  let state: GatewayStatus = { state: 'starting' }
  let settle: { resolve(): void; reject(error: QMeshError): void } | undefined
  const first = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  first.catch(() => {})
  return {
    logic,
    meter,
    serve: (port) => {
      node = port
      meter.watch(port)
    },
    attached: (ref) => {
      if (!ref) {
        if (state.state !== 'failed') state = { state: 'stopped' }
        return
      }
      state = { state: 'starting' }
      inspector.system = ref
      ref.on('*', (event) => {
        const fact = event as GatewayEmitted
        if (fact.type === 'gateway.listening') {
          state = { state: 'listening', url: toUrl(fact.address) }
          logger.info({ url: state.url }, 'gateway listening')
          settle?.resolve()
        } else {
          const { code, message } = fact.error
          state = { state: 'failed', error: { code, message } }
          settle?.reject(fact.error)
        }
      })
    },
    status: () => state,
    opened: () => first,
    closed: async () => {
      await Promise.all(closings)
    },
  }
}

/** As clients on this machine reach it; an address that stands for all is not one to connect to. */
function toUrl({ host, port }: GatewayAddress): string {
  const name =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
