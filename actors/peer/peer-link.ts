import type { NoiseStream } from 'hyperswarm'
import {
  type ChannelMessage,
  type ErrorCode,
  type Hello,
  type InferenceMessage,
  type PeerId,
  type Status,
  type WorkerMessage,
} from '../../protocol/index.ts'
import { type HelloBody, InferenceChannel } from './inference-channel.ts'
import type { PeerPorts } from './peer-ports.ts'
import type { ClientWire, Reception, WorkerWire } from './wire.ts'

/** What the peer machine wants to know; see `ChannelFact`. */
export interface LinkEvents {
  greeted(hello: Hello): void
  violated(code: ErrorCode): void
  broken(code: ErrorCode): void
  closed(): void
}

export interface LinkOptions {
  readonly stream: NoiseStream
  readonly peerId: PeerId
  readonly hello: HelloBody
  /** Sent right after the greeting, because the next change may be long in coming. */
  readonly status: () => Status | undefined
  readonly secret?: string | undefined
  readonly ports: PeerPorts
  readonly now: () => number
}

/** One connected peer: its channel, and the wires by which the node's client and worker talk over it. */
export class PeerLink {
  readonly #options: LinkOptions
  readonly #events: LinkEvents
  readonly #channel: InferenceChannel
  #clientWire: ClientWire | undefined
  #workerWire: WorkerWire | undefined

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options
    this.#events = events
    this.#channel = new InferenceChannel(options, {
      greeted: (hello) => this.#onGreeted(hello),
      received: (message) => this.#onMessage(message),
      violated: (code) => events.violated(code),
      broken: (code) => events.broken(code),
      closed: () => this.#onClosed(),
    })
  }

  get peerId(): PeerId {
    return this.#options.peerId
  }

  /** A message of another network on this connection was one that no honest peer sends. */
  countViolation(): void {
    this.#events.violated('QM_EVIDENCE_INVALID')
  }

  sendStatus(status: Status): void {
    if (this.#channel.isOpen) this.#channel.sendLatest(status)
  }

  close(code?: ErrorCode): void {
    this.#channel.close(code)
  }

  destroy(): void {
    this.#channel.destroy()
  }

  #onGreeted(hello: Hello): void {
    const { peerId, ports, stream } = this.#options
    this.#events.greeted(hello)
    this.#guard(() => ports.onGreeted?.(peerId, stream, hello))
    if (ports.clientDesk) {
      const wire: ClientWire = { peerId, send: (message) => this.#send(message) }
      this.#clientWire = wire
      this.#guard(() => ports.clientDesk?.opened(wire))
    }
    if (hello.roles.includes('worker')) {
      const { life } = this.#channel
      const wire: WorkerWire = { peerId, life, send: (message) => this.#channel.send(message) }
      this.#workerWire = wire
      this.#guard(() => ports.onWorkerWire(wire))
      this.#guard(() => ports.onHello(peerId, hello))
    }
    const status = this.#options.status()
    if (status) this.sendStatus(status)
  }

  #send(message: WorkerMessage): void {
    this.#channel.send(message)
  }

  #onMessage(message: Exclude<InferenceMessage, ChannelMessage>): Reception {
    const { peerId, ports } = this.#options
    switch (message.type) {
      case 'prompt':
      case 'ack':
      case 'cancel': {
        const wire = this.#clientWire
        if (!wire) return 'violation'
        return this.#guard(() => ports.clientDesk?.received(wire, message)) ?? 'ok'
      }
      case 'status':
        if (!this.#workerWire) return 'violation'
        this.#guard(() => ports.onStatus(peerId, message))
        return 'ok'
      case 'queue-status':
      case 'response':
      case 'inference_error': {
        const wire = this.#workerWire
        if (!wire) return 'violation'
        return this.#guard(() => ports.workerDesk.received(wire, message)) ?? 'ok'
      }
    }
  }

  #onClosed(): void {
    const { peerId, ports } = this.#options
    const [clientWire, workerWire] = [this.#clientWire, this.#workerWire]
    this.#clientWire = undefined
    this.#workerWire = undefined
    if (clientWire) this.#guard(() => ports.clientDesk?.closed(clientWire))
    if (workerWire) {
      this.#guard(() => ports.workerDesk.closed(workerWire))
      this.#guard(() => ports.onClosed(peerId))
    }
    this.#events.closed()
  }

  #guard<T>(call: () => T): T | undefined {
    try {
      return call()
    } catch (error) {
      this.#options.ports.onDefect(error)
      return undefined
    }
  }
}
