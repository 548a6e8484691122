import type { Hello, PeerId, Status } from '../../protocol/index.ts'
import type { NoiseStream } from 'hyperswarm'
import type { ClientDesk, WorkerDesk, WorkerWire } from './wire.ts'

/**
 * Where what peers say goes. All of it is called in the order of arrival, per peer `onWorkerWire`, `onHello`, then
 * messages, then `onClosed`; nothing is called for a peer that has not proved itself by `hello`.
 */
export interface PeerPorts {
  /** Takes what clients ask; absent on a node that runs no worker. */
  readonly clientDesk?: ClientDesk | undefined
  readonly workerDesk: WorkerDesk
  /** A worker can be asked now. */
  onWorkerWire(wire: WorkerWire): void
  /** The peer proved itself: other networks may use the connection now. Their channels are opened within this call. */
  onGreeted?(peerId: PeerId, stream: NoiseStream, hello: Hello): void
  /** What a worker said of itself. */
  onHello(peerId: PeerId, hello: Hello): void
  onStatus(peerId: PeerId, status: Status): void
  /** A worker that was announced by `onHello` is gone. */
  onClosed(peerId: PeerId): void
  /** One of the ports above threw: a defect, which costs neither the connection nor the node. */
  onDefect(error: unknown): void
}
