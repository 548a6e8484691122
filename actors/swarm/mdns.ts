import type { EventEmitter } from 'node:events'
import { isIPv4 } from 'node:net'
import bonjourService from 'bonjour-service'
import type { NodeAddress } from './settings.ts'

/** DNS-SD service type: `_qmesh._udp.local`. */
const serviceType = 'qmesh'

/** An open multicast DNS socket. */
export interface MdnsSession {
  /** Resolves when its socket is closed. */
  stop(): Promise<void>
}

/** Announces a bootstrap on the local network of `host`, on that interface only. */
export function announceBootstrap({ host, port }: NodeAddress, interfaceHost: string): MdnsSession {
  const bonjour = open(interfaceHost)
  bonjour.publish({
    name: `qmesh-${host.replaceAll('.', '-')}-${port}`,
    type: serviceType,
    protocol: 'udp',
    port,
    // Two bootstraps of one name differ in address and port, which are part of the name: nothing to probe for.
    probe: false,
    disableIPv6: true,
  })
  return {
    stop: () =>
      new Promise((resolve) => {
        bonjour.unpublishAll(() => bonjour.destroy(resolve))
      }),
  }
}

/** Looks for bootstraps on the local network of `host`; each is reported every time it is seen. */
export function findBootstraps(host: string, onFound: (node: NodeAddress) => void): MdnsSession {
  const bonjour = open(host)
  const browser = bonjour.find({ type: serviceType, protocol: 'udp' }, (service) => {
    const { port } = service
    // Where the answer came from, not what it says: otherwise anybody here could point us at a stranger's machine.
    const address = service.referer?.address
    if (address && isIPv4(address) && Number.isInteger(port) && port >= 1 && port <= 65_535)
      onFound({ host: address, port })
  })
  return {
    stop: () =>
      new Promise((resolve) => {
        browser.stop()
        bonjour.destroy(resolve)
      }),
  }
}

/** The part that bonjour-service passes on to multicast-dns and does not declare. */
interface MulticastOptions {
  readonly loopback: boolean
  readonly interface?: string
  readonly bind?: string
}
const Bonjour = bonjourService as unknown as new (
  options: MulticastOptions,
  onError: () => void,
) => bonjourService

/** Multicast may be forbidden, or its port taken: then nobody is found this way, and that is all. */
function open(host: string): bonjourService {
  const onlyHere = host === '0.0.0.0' ? {} : { interface: host, bind: '0.0.0.0' }
  const bonjour = new Bonjour({ loopback: true, ...onlyHere }, () => {})
  // Without a listener an error of the socket would end the process.
  const { server } = bonjour as unknown as { readonly server: { readonly mdns: EventEmitter } }
  server.mdns.on('error', () => {})
  return bonjour
}
