import { timingSafeEqual } from 'node:crypto'
import { raw } from 'compact-encoding'
import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import {
  encodeFrame,
  type ChannelMessage,
  type ErrorCode,
  errorCatalogue,
  FrameDecoder,
  type Hello,
  type InferenceMessage,
  limits,
  parseInferenceMessage,
  protocolVersion,
  type RequestId,
  toSecretProof,
} from '../../protocol/index.ts'
import { Allowance } from './allowance.ts'
import { PeerLifeSigns } from './life-signs.ts'
import type { Reception } from './wire.ts'

/** Name of the Protomux channel that carries the inference network. */
export const inferenceProtocol = 'qmesh/inference/2'

/** Bytes in the buffer that take a slow link long enough to be taken for silence: a long prompt. */
const sendingBytes = 16 * 1024
/** Milliseconds in which none of it leaves after which the peer counts as silent all the same. */
const drainPauseMs = 1_000

/** What a node says of itself in `hello`. */
export type HelloBody = Pick<Hello, 'agent' | 'roles' | 'models' | 'capabilities'>

export interface ChannelEvents {
  /** The peer said hello and proved what it had to. Nothing else is reported before. */
  greeted(hello: Hello): void
  received(message: Exclude<InferenceMessage, ChannelMessage>): Reception
  /** One malformed or unexpected message. */
  violated(code: ErrorCode, detail: string): void
  /** What follows cannot be understood or trusted: the connection is to be closed. */
  broken(code: ErrorCode): void
  /** The connection is gone; called once, last. */
  closed(): void
}

export interface ChannelOptions {
  readonly stream: NoiseStream
  readonly hello: HelloBody
  readonly secret?: string | undefined
  /** Milliseconds of any steady clock. */
  readonly now: () => number
}

/** Whose wrong messages are answered; an answer to a wrong answer would go back and forth for ever. */
const answeredTypes: ReadonlySet<unknown> = new Set(['prompt', 'ack', 'cancel', undefined])

/**
 * The inference network on one encrypted connection: frames in both directions, `hello` first. Every byte is a
 * stranger's. Nothing a peer sends makes this class throw, keep more than one frame, or answer more than one short
 * message to each of at most `limits.violationsMax` wrong ones.
 */
export class InferenceChannel {
  /** Whether the peer is still there. */
  readonly life: PeerLifeSigns
  readonly #options: ChannelOptions
  readonly #events: ChannelEvents
  readonly #decoder = new FrameDecoder()
  readonly #idle: Allowance
  readonly #refusedBytes: Allowance
  readonly #channel: Protomux.Channel | null
  readonly #message: Protomux.Message | undefined
  readonly #mux: Protomux
  #isGreeted = false
  #violations = 0
  /** No more bytes are read: the end of the connection has been decided. */
  #isDeaf = false
  #isEnding = false
  #isClosed = false
  /** Bytes of our own prompts that may still lie in the buffer: they are ours to bound, not the peer's fault. */
  #promptBytes = 0
  #latest = new Map<string, Buffer>()
  /** What the buffer held at the latest look, and when it last got less. */
  #bytesLeft = 0
  #drainedAtMs = 0

  constructor(options: ChannelOptions, events: ChannelEvents) {
    this.#options = options
    this.#events = events
    this.#idle = new Allowance(limits.idleMessagesMax, limits.idleMessagesPerSecondMax, options.now())
    this.#refusedBytes = new Allowance(limits.refusedBytesMax, limits.refusedBytesPerSecondMax, options.now())
    this.life = new PeerLifeSigns(
      options.now,
      (id) => this.sendLatest({ type: 'ping', id }),
      () => this.#isGettingRid(),
    )
    const { stream } = options
    this.#mux = Protomux.from(stream)
    stream.on('data', () => this.#checkMux())
    stream.once('close', () => this.#onClosed())
    this.#channel = this.#mux.createChannel({
      protocol: inferenceProtocol,
      onclose: () => this.#onChannelClosed(),
      ondrain: () => this.#onDrain(),
    })
    this.#message = this.#channel?.addMessage({ encoding: raw, onmessage: (bytes) => this.#onBytes(bytes) })
    this.#channel?.open()
    this.#sayHello()
  }

  get isOpen(): boolean {
    return this.#isGreeted && !this.#isDeaf && !this.#isClosed
  }

  /** Bytes that wait because the peer or the link is slow. */
  get bufferedBytes(): number {
    return this.#options.stream._writableState.buffered
  }

  /**
   * Never throws. On a closed channel the message is dropped; a peer that lets the buffer grow over its limit is
   * closed.
   *
   * @returns false when the message cannot be sent at all because it is longer than a frame.
   */
  send(message: InferenceMessage): boolean {
    if (this.#isDeaf || this.#isClosed) return true
    let frame: Buffer
    try {
      frame = encodeFrame(message)
    } catch {
      return false
    }
    if (message.type === 'prompt') this.#promptBytes += frame.length
    this.#write(frame)
    return true
  }

  /** Sends a message of which only the newest counts: while the peer is slow, an unsent one is replaced. */
  sendLatest(message: InferenceMessage): void {
    if (this.#isDeaf || this.#isClosed) return
    const frame = encodeFrame(message)
    if (this.#channel?.drained === false) this.#latest.set(message.type, frame)
    else this.#write(frame)
  }

  /** Tells the peer why, if there is a reason, and ends the connection after what is already written. */
  close(code?: ErrorCode): void {
    if (this.#isClosed || this.#isEnding) return
    this.#isEnding = true
    if (code) {
      this.#write(encodeFrame({ type: 'inference_error', code, message: errorCatalogue[code].sentence }))
    }
    this.#isDeaf = true
    this.#options.stream.end()
  }

  /** Cuts the connection without waiting for the peer. */
  destroy(): void {
    this.#isDeaf = true
    this.#options.stream.destroy()
  }

  /** Whether much is on its way to the peer, and it goes on taking it. */
  #isGettingRid(): boolean {
    const bytes = this.bufferedBytes
    const nowMs = this.#options.now()
    if (bytes <= sendingBytes || bytes < this.#bytesLeft) this.#drainedAtMs = nowMs
    this.#bytesLeft = bytes
    return bytes > sendingBytes && nowMs - this.#drainedAtMs < drainPauseMs
  }

  #sayHello(): void {
    const { stream, hello, secret } = this.#options
    this.#write(
      encodeFrame({
        type: 'hello',
        protocol: protocolVersion,
        ...hello,
        ...(secret && { proof: toSecretProof(secret, stream.handshakeHash, stream.publicKey) }),
      }),
    )
  }

  #write(frame: Buffer): void {
    if (this.#isClosed || !this.#message) return
    const buffered = this.bufferedBytes
    if (buffered === 0) this.#promptBytes = 0
    if (buffered > limits.sendBufferBytesMax + this.#promptBytes && !this.#isEnding) {
      this.#break('QM_READER_TOO_SLOW')
      return
    }
    this.#message.send(frame)
  }

  #onDrain(): void {
    const latest = this.#latest
    this.#latest = new Map()
    for (const frame of latest.values()) this.#write(frame)
  }

  #onBytes(bytes: Buffer): void {
    if (this.#isDeaf || this.#isClosed) return
    this.life.heard()
    this.#decoder.feed(bytes, (frame) => {
      if (frame.ok) this.#onValue(frame.value, frame.bytes)
      else if (frame.code === 'QM_FRAME_TOO_LONG') this.#break(frame.code)
      else this.#violate(frame.code, 'a frame was not UTF-8 JSON', {})
      return !this.#isDeaf && !this.#isClosed
    })
  }

  #onValue(value: unknown, bytes: number): void {
    const parsed = parseInferenceMessage(value)
    switch (parsed.kind) {
      case 'unknown':
        this.#spendIdle()
        return
      case 'invalid':
        this.#violate('QM_MESSAGE_INVALID', parsed.detail, {
          type: typeOf(value),
          requestId: parsed.requestId,
        })
        return
      case 'message':
        this.#onMessage(parsed.message, bytes)
    }
  }

  #onMessage(message: InferenceMessage, bytes: number): void {
    if (message.type === 'hello') {
      if (this.#isGreeted) this.#violate('QM_MESSAGE_UNEXPECTED', 'hello came twice', { type: 'hello' })
      else this.#onHello(message)
      return
    }
    // Says why it goes away, maybe before it said hello: nothing to answer and nothing to do.
    if (message.type === 'inference_error' && message.requestId === undefined) {
      this.#spendIdle()
      return
    }
    if (!this.#isGreeted) {
      const requestId = 'requestId' in message ? message.requestId : undefined
      this.#violate('QM_MESSAGE_UNEXPECTED', 'hello must come first', { type: message.type, requestId })
      return
    }
    if (message.type === 'ping') {
      if (this.#spendIdle()) this.sendLatest({ type: 'pong', id: message.id })
      return
    }
    if (message.type === 'pong') {
      if (!this.life.answered(message.id)) this.#spendIdle()
      return
    }
    if (message.type === 'status' && !this.#spendIdle()) return
    const reception = this.#events.received(message)
    if (reception === 'violation') {
      this.#count('QM_MESSAGE_UNEXPECTED', `${message.type} was not expected`)
    }
    // One may cross the end of its request; hundreds a second are for requests that never were.
    const isClients = message.type === 'ack' || message.type === 'cancel'
    if (reception === 'late' && isClients) this.#spendIdle()
    if (reception === 'refused') this.#spendRefused(bytes)
  }

  #onHello(hello: Hello): void {
    if (hello.protocol !== protocolVersion) {
      this.#break('QM_PROTOCOL_VERSION')
      return
    }
    if (!this.#isProven(hello)) {
      this.#break('QM_SECRET_MISMATCH')
      return
    }
    this.#isGreeted = true
    this.#events.greeted(hello)
  }

  #isProven({ proof }: Hello): boolean {
    const { secret, stream } = this.#options
    if (!secret) return true
    if (!proof) return false
    const expected = toSecretProof(secret, stream.handshakeHash, stream.remotePublicKey)
    // Both are 64 hex characters, so the lengths are equal; the comparison must not tell how many of them match.
    return timingSafeEqual(Buffer.from(expected), Buffer.from(proof))
  }

  /** @returns false when the peer sends more of what is ignored than anybody needs. */
  #spendIdle(): boolean {
    if (this.#idle.spend(this.#options.now())) return true
    this.#count('QM_MESSAGE_UNEXPECTED', 'too many messages that ask for nothing')
    return false
  }

  /** A client that meets a resting worker gives way. One that goes on has it read megabytes for nothing. */
  #spendRefused(bytes: number): void {
    if (!this.#spendIdle() || this.#refusedBytes.spend(this.#options.now(), bytes)) return
    this.#count('QM_MESSAGE_UNEXPECTED', 'too many long prompts in spite of refusals')
  }

  #violate(
    code: ErrorCode,
    detail: string,
    { type, requestId }: { readonly type?: unknown; readonly requestId?: RequestId | undefined },
  ): void {
    if (answeredTypes.has(type)) {
      const message = detail.slice(0, limits.errorMessageCharsMax)
      this.#write(encodeFrame({ type: 'inference_error', ...(requestId && { requestId }), code, message }))
    }
    this.#count(code, detail)
  }

  #count(code: ErrorCode, detail: string): void {
    if (this.#isDeaf) return
    this.#violations++
    // Whoever listens closes the connection by now; if it does not, at least nothing more is read.
    if (this.#violations > limits.violationsMax) this.#isDeaf = true
    this.#events.violated(code, detail)
  }

  #break(code: ErrorCode): void {
    if (this.#isDeaf) return
    this.#events.broken(code)
    this.#isDeaf = true
  }

  /**
   * What Protomux itself does not bound: a peer may ask for channels without end, and each refusal is written even if
   * the peer reads nothing.
   */
  #checkMux(): void {
    if (this.#mux._remote.length <= limits.channelsMax && this.bufferedBytes <= this.#bufferMax()) return
    this.#break('QM_TOO_MANY_VIOLATIONS')
    this.destroy()
  }

  #bufferMax(): number {
    return 2 * limits.sendBufferBytesMax + this.#promptBytes
  }

  #onChannelClosed(): void {
    // This network is all that the connection is for.
    if (!this.#isClosed) this.#options.stream.end()
  }

  #onClosed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#isDeaf = true
    this.#events.closed()
  }
}

const typeOf = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
