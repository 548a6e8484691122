import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import type { GatewayAddress } from '../../machines/gateway/index.ts'

/** What a port that could not be opened means to the person who chose it. */
export function toListenError(error: unknown, { host, port }: GatewayAddress): QMeshError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'EADDRINUSE':
      return new QMeshError(
        'QM_PORT_TAKEN',
        `the gateway cannot listen: TCP port ${port} on ${host} is used by another program; choose another with ` +
          '--gateway-port (0 takes a free one), or do without by --no-gateway',
        { cause: error },
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new QMeshError(
        'QM_NETWORK_UNAVAILABLE',
        `the gateway cannot listen: this machine has no address ${host}; give --gateway-host one of its own`,
        { cause: error },
      )
    case 'EACCES':
    case 'EPERM':
      return new QMeshError(
        'QM_NETWORK_UNAVAILABLE',
        `the gateway cannot listen: this user may not open TCP port ${port} on ${host}; choose one above 1023`,
        { cause: error },
      )
    default:
      return toQMeshError(error, 'QM_NETWORK_UNAVAILABLE')
  }
}
