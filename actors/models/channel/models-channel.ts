import { raw } from 'compact-encoding'
import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import { encodeFrame, type ErrorCode, FrameDecoder, limits } from '../../../protocol/index.ts'
import { type ModelsMessage, parseModelsMessage } from '../../../protocol/messages/models.ts'
import { type Bucket, take } from '../../../machines/scheduling/token-bucket.ts'

/** Name of the Protomux channel that carries the models network. */
export const modelsProtocol = 'qmesh/models/2'
/** What a node says in `hello` that speaks of models and exchanges them. */
export const modelsCapability = 'models/2'

/** Messages that a peer may send at once, and a second after that. */
const messageRate = { burst: 64, perSecond: 4 }
/** Bytes that a peer may send at once, and a second after that: a whole catalog, then a little. */
const byteRate = { burst: 4 * limits.frameBytesMax, perSecond: 64 * 1024 }

export interface ModelsChannelEvents {
  received(message: ModelsMessage): void
  violated(code: ErrorCode, detail: string): void
  /** Called once, last. */
  closed(): void
}

/**
 * What is said of models on one connection that has greeted. A peer without it refuses the channel, and nothing else
 * happens. One message of Protomux holds one frame, so nothing of a peer's is kept between two of them. Never throws.
 */
export class ModelsChannel {
  readonly #stream: NoiseStream
  readonly #events: ModelsChannelEvents
  readonly #now: () => number
  readonly #channel: Protomux.Channel | null
  readonly #message: Protomux.Message | undefined
  #messages: Bucket | undefined
  #bytes: Bucket | undefined
  #violations = 0
  #expectedBytes = 0
  #isClosed = false

  /** @param now milliseconds of any steady clock */
  constructor(stream: NoiseStream, now: () => number, events: ModelsChannelEvents) {
    this.#stream = stream
    this.#events = events
    this.#now = now
    this.#channel = Protomux.from(stream).createChannel({
      protocol: modelsProtocol,
      onclose: () => this.#onClosed(),
    })
    this.#message = this.#channel?.addMessage({ encoding: raw, onmessage: (bytes) => this.#onBytes(bytes) })
    this.#channel?.open()
    if (!this.#channel) this.#isClosed = true
  }

  get isOpen(): boolean {
    return !this.#isClosed
  }

  /** @returns false when it was dropped, because the peer is slow or gone */
  send(message: ModelsMessage): boolean {
    if (this.#isClosed || !this.#message) return false
    if (this.#stream._writableState.buffered > limits.sendBufferBytesMax) return false
    this.#message.send(encodeFrame(message))
    return true
  }

  /** So many bytes were asked for, and do not count as the peer's own talk when they come. Not added up. */
  expect(bytes: number): void {
    this.#expectedBytes = bytes
  }

  violate(code: ErrorCode, detail: string): void {
    if (this.#isClosed) return
    this.#violations++
    this.#events.violated(code, detail)
    if (this.#violations > limits.violationsMax) this.close()
  }

  /** Ends the channel; the connection stays. */
  close(): void {
    this.#channel?.close()
    this.#onClosed()
  }

  #onBytes(bytes: Buffer): void {
    if (this.#isClosed) return
    const nowMs = this.#now()
    const expected = Math.min(bytes.length, this.#expectedBytes)
    this.#expectedBytes -= expected
    const takenBytes = take(this.#bytes, byteRate, nowMs, bytes.length - expected)
    const takenMessage = take(this.#messages, messageRate, nowMs)
    if (takenBytes.ok) this.#bytes = takenBytes.bucket
    if (takenMessage.ok) this.#messages = takenMessage.bucket
    if (!takenBytes.ok || !takenMessage.ok) {
      this.violate('QM_MESSAGE_UNEXPECTED', 'more about models than anybody needs')
      return
    }
    const decoder = new FrameDecoder()
    decoder.feed(bytes, (frame) => {
      if (!frame.ok) this.violate(frame.code, 'a frame was too long or not UTF-8 JSON')
      else {
        const parsed = parseModelsMessage(frame.value)
        if (parsed.kind === 'invalid') this.violate('QM_MESSAGE_INVALID', parsed.detail)
        else if (parsed.kind === 'message') this.#events.received(parsed.message)
      }
      return !this.#isClosed
    })
    if (decoder.bufferedBytes > 0) this.violate('QM_FRAME_NOT_JSON', 'a frame about models was cut off')
  }

  #onClosed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#events.closed()
  }
}
