import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import type { NodeAddress } from './settings.ts'

/** What a failed bind means to the person who chose the address. */
export function toBindError(error: unknown, { host, port }: NodeAddress): QMeshError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'EADDRINUSE':
      return new QMeshError(
        'QM_PORT_TAKEN',
        `UDP port ${port} on ${host} is used by another program: choose another with --port, or stop that program`,
        { cause: error },
      )
    case 'EADDRNOTAVAIL':
      return new QMeshError(
        'QM_NETWORK_UNAVAILABLE',
        `this machine has no address ${host}: give --host one of its own addresses`,
        { cause: error },
      )
    case 'EACCES':
    case 'EPERM':
      return new QMeshError(
        'QM_NETWORK_UNAVAILABLE',
        `this user may not open UDP port ${port} on ${host}: choose a port above 1023`,
        { cause: error },
      )
    default:
      return toQMeshError(error, 'QM_NETWORK_UNAVAILABLE')
  }
}
