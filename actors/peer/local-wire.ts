import type { PeerId } from '../../protocol/index.ts'
import type { ClientDesk, ClientWire, WorkerDesk, WorkerWire } from './wire.ts'

export interface LocalWires {
  /** How the node's client reaches the node's own worker. */
  readonly worker: WorkerWire
  /** How the worker reaches the client. */
  readonly client: ClientWire
  close(): void
}

/**
 * Joins a node's client and its own worker in one process. Messages are delivered in order and never within the call
 * that sends them, as over a network: neither side has to be re-entrant.
 */
export function connectLocally(
  peerId: PeerId,
  { clientDesk, workerDesk }: { readonly clientDesk: ClientDesk; readonly workerDesk: WorkerDesk },
): LocalWires {
  let isOpen = true
  const later = (deliver: () => void): void => {
    if (!isOpen) return
    queueMicrotask(() => {
      if (isOpen) deliver()
    })
  }
  const worker: WorkerWire = {
    peerId,
    send: (message) => {
      later(() => clientDesk.received(client, message))
      return true
    },
    // While this process lives, so does its other half.
    life: { heardAtMs: Infinity, silenceMsMax: 0, ping: () => {}, sample: () => {} },
  }
  const client: ClientWire = { peerId, send: (message) => later(() => workerDesk.received(worker, message)) }
  clientDesk.opened(client)
  return {
    worker,
    client,
    close: () => {
      if (!isOpen) return
      isOpen = false
      clientDesk.closed(client)
      workerDesk.closed(worker)
    },
  }
}
