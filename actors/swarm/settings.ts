import { isIPv4 } from 'node:net'
import { type ModelAd, type ModelId, type PeerId, QMeshError } from '../../protocol/index.ts'

export interface NodeAddress {
  readonly host: string
  readonly port: number
}

/** How the node takes part in the network; all of it comes from the configuration. */
export interface SwarmSettings {
  /** 32 bytes, from which the key pair is made whose public half is the node's id. */
  readonly seed: Uint8Array
  /** Software and version, for people. */
  readonly agent: string
  /** `worker`: announced under the topics; `client`: looks for workers. */
  readonly roles: readonly ('client' | 'worker')[]
  readonly secret?: string | undefined
  /** Nodes to start from, instead of the public ones. */
  readonly bootstrap?: readonly NodeAddress[] | undefined
  /** Address of the interface to use; absent: loopback if every bootstrap is there, otherwise all interfaces. */
  readonly host?: string | undefined
  /** UDP port, taken exactly; absent or 0: 49738, or whatever is free. */
  readonly port?: number | undefined
  /** When given, only these peers may connect. */
  readonly allow?: readonly PeerId[] | undefined
  readonly deny?: readonly PeerId[] | undefined
  /** Look for bootstraps on the local network by multicast DNS. */
  readonly mdns: boolean
  /** DHT nodes seen in an earlier run: with them a start works even when every bootstrap is down. */
  readonly knownNodes?: readonly NodeAddress[] | undefined
  /** Models to look for, besides the network as a whole. */
  readonly wantedModels?: readonly ModelId[] | undefined
  /** Milliseconds before a lost connection is made again, four growing values. */
  readonly reconnectMs?: readonly number[] | undefined
}

/** What `hello` and `status` say of the node's worker. */
export interface Advertisement {
  readonly models: readonly ModelAd[]
  readonly capabilities?: readonly string[]
}

const isLoopback = (host: string): boolean => host === 'localhost' || host.startsWith('127.')

/**
 * The address to bind to. Peers on one machine that bind to all interfaces may connect and then time out, so a mesh
 * whose bootstraps are all on loopback stays there.
 *
 * @throws QMeshError `QM_NETWORK_UNAVAILABLE` when the host is not an IPv4 address.
 */
export function toBindHost({ host, bootstrap }: Pick<SwarmSettings, 'host' | 'bootstrap'>): string {
  if (host === 'localhost') return '127.0.0.1'
  if (host !== undefined) {
    if (isIPv4(host)) return host
    throw new QMeshError(
      'QM_NETWORK_UNAVAILABLE',
      `the host must be an IPv4 address of this machine, such as 192.168.1.5 or 0.0.0.0, not "${host}"`,
    )
  }
  return bootstrap && bootstrap.length > 0 && bootstrap.every((node) => isLoopback(node.host))
    ? '127.0.0.1'
    : '0.0.0.0'
}

/**
 * Reads `host:port`.
 *
 * @throws QMeshError `QM_CONFIG_INVALID`
 */
export function parseNodeAddress(text: string): NodeAddress {
  const [, host, digits] = /^([^\s:]+):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (!host || !(port >= 1 && port <= 65_535)) {
    throw new QMeshError('QM_CONFIG_INVALID', `a bootstrap must look like 192.168.1.5:49737, not "${text}"`)
  }
  return { host, port }
}
