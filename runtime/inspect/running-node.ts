import { QMeshError } from '../../protocol/index.ts'
import type { ActorTree } from '../../protocol/inspection.ts'
import type { GatewayStatus } from '../node-status.ts'

/** Milliseconds that a node on this machine may take to list its actors. */
const timeoutMs = 10_000

/** @throws QMeshError `QM_NETWORK_UNAVAILABLE` for a node whose gateway does not listen, with what to do */
function requireGateway(gateway: GatewayStatus | undefined): string {
  if (gateway?.url !== undefined) return gateway.url
  const reason = gateway?.error?.message ?? gateway?.state
  throw new QMeshError(
    'QM_NETWORK_UNAVAILABLE',
    gateway === undefined
      ? 'the running node was started without its gateway, which serves the page: start it without --no-gateway'
      : `the gateway of the running node, which serves the page, does not listen (${reason}): start the node with another --gateway-port`,
  )
}

/**
 * Where the machines of a running node can be watched.
 *
 * @throws QMeshError `QM_NETWORK_UNAVAILABLE`
 */
export const toMachinesUrl = (gateway: GatewayStatus | undefined): string =>
  `${requireGateway(gateway)}/#/machines`

/**
 * The actors of a running node, as they stand.
 *
 * @throws QMeshError `QM_NETWORK_UNAVAILABLE` when its gateway does not listen or does not answer, `QM_CONFIG_INVALID` when
 *   it wants another key
 */
export async function fetchActorTree(
  gateway: GatewayStatus | undefined,
  key: string | undefined,
): Promise<ActorTree> {
  const url = requireGateway(gateway)
  const reply = await fetch(`${url}/machines/tree`, {
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: unknown) => {
    throw new QMeshError('QM_NETWORK_UNAVAILABLE', `the gateway at ${url} does not answer`, { cause: error })
  })
  if (reply.ok) return (await reply.json()) as ActorTree
  if (reply.status === 401) {
    throw new QMeshError(
      'QM_CONFIG_INVALID',
      'the gateway wants a key: give one of its gatewayKeys by QMESH_GATEWAY_KEYS or --gateway-key',
    )
  }
  throw new QMeshError('QM_NETWORK_UNAVAILABLE', `the gateway at ${url} answered with status ${reply.status}`)
}
