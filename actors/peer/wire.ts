import type { LifeSigns } from '../../machines/request/index.ts'
import type { ClientMessage, PeerId, WorkerMessage } from '../../protocol/index.ts'

/**
 * One end of a conversation between a client and a worker, in typed messages. A remote worker is reached through a
 * Protomux channel, the node's own worker through an in-process pair: neither side can tell, nor should it.
 */
export interface Wire<Out> {
  /** Who is at the other end. */
  readonly peerId: PeerId
  /** Never throws; on a closed wire the message is dropped. */
  send(message: Out): void
}

/** A client's end: it says prompts, acknowledgements and cancels. */
export interface WorkerWire extends Wire<ClientMessage> {
  /**
   * Never throws; on a closed wire the message is dropped, and its end is told by `closed`.
   *
   * @returns false when the message is longer than a frame: no wire can carry it, and nothing was sent.
   */
  send(message: ClientMessage): boolean
  readonly life: LifeSigns
}
/** A worker's end: it says status, positions, tokens and errors. */
export type ClientWire = Wire<WorkerMessage>

/**
 * Why a message was not welcome. `violation` counts against the peer; `late` is a crossing on the way; `refused` is a
 * prompt that was turned down at once: no offence, but reading it was work for nothing.
 */
export type Reception = 'ok' | 'late' | 'refused' | 'violation'

/** What a node does with what clients say to its worker. Implemented by the intake. */
export interface ClientDesk {
  opened(wire: ClientWire): void
  received(wire: ClientWire, message: ClientMessage): Reception
  closed(wire: ClientWire): void
}

/** What a node does with what workers say to its client. Implemented by the requester's dispatcher. */
export interface WorkerDesk {
  received(wire: WorkerWire, message: WorkerMessage): Reception
  closed(wire: WorkerWire): void
}
