import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import DHT from 'hyperdht'
import { QMeshError } from '../../protocol/index.ts'
import { announceBootstrap } from './mdns.ts'
import { smallMeshTimeouts } from './mesh-dht.ts'
import { toBindError } from './network-errors.ts'
import type { NodeAddress } from './settings.ts'

/** UDP port of a bootstrap when none is asked for: the one hyperdht uses. */
export const defaultBootstrapPort = 49_737

export interface BootstrapOptions {
  /** Address under which others reach this machine; absent: its first address that is not loopback. */
  readonly host?: string | undefined
  /** UDP port, taken exactly; 0: any free one. */
  readonly port?: number | undefined
  /** Let nodes on the local network find it by multicast DNS. */
  readonly mdns: boolean
}

export interface Bootstrap {
  /** What others give as `--bootstrap`. */
  readonly address: NodeAddress
  close(): Promise<void>
}

/**
 * A DHT node that others start from. It stores where peers are, and sees neither prompts nor answers.
 *
 * @throws QMeshError `QM_PORT_TAKEN`, `QM_NETWORK_UNAVAILABLE`
 */
export async function createBootstrap(options: BootstrapOptions): Promise<Bootstrap> {
  const host = toReachableHost(options.host)
  const wanted: NodeAddress = { host, port: options.port ?? defaultBootstrapPort }
  let dht: DHT | undefined
  try {
    const port = wanted.port === 0 ? await findFreePort(host) : wanted.port
    // Bound to the one address that others are told: with 0.0.0.0 loopback peers may connect and then time out.
    dht = DHT.bootstrapper(port, host, { host, adaptiveTimeout: smallMeshTimeouts })
    await dht.fullyBootstrapped()
    const mdns = options.mdns ? announceBootstrap({ host, port }, host) : undefined
    const opened = dht
    return {
      address: { host, port },
      close: async () => {
        await mdns?.stop()
        await opened.destroy()
      },
    }
  } catch (error) {
    dht?.destroy().catch(() => {})
    dht?.io.networkInterfaces.destroy()
    throw toBindError(error, wanted)
  }
}

function toReachableHost(host: string | undefined): string {
  if (host === 'localhost') return '127.0.0.1'
  if (host !== undefined && host !== '0.0.0.0') {
    if (isIPv4(host)) return host
    throw new QMeshError('QM_NETWORK_UNAVAILABLE', `the host must be an IPv4 address, not "${host}"`)
  }
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

async function findFreePort(host: string): Promise<number> {
  const socket = createSocket('udp4')
  try {
    socket.bind(0, host)
    await once(socket, 'listening')
    return socket.address().port
  } finally {
    socket.close()
  }
}
