import { raw } from 'compact-encoding'
import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import {
  encodeFrame,
  type ErrorCode,
  FrameDecoder,
  frameHeaderBytes,
  limits,
} from '../../../protocol/index.ts'
import {
  parseScoresMessage,
  scoresLimits,
  type ScoresMessage,
  toScoresObject,
} from '../../../protocol/messages/scores.ts'
import type { NetworkId } from '../../../protocol/trust/index.ts'
import { gossipLimits } from './gossip-limits.ts'
import { PeerAllowances } from './peer-allowances.ts'

/** Name of the Protomux channel that carries the scores network. */
export const scoresProtocol = 'qmesh/scores/2'

/**
 * What a node says in `hello` that gossips scores. It names the network of evidence: what is signed for another one
 * would look like forgeries.
 */
export const toScoresCapability = (networkId: NetworkId): string => `scores/2:${networkId}`

export interface ScoresChannelEvents {
  received(message: ScoresMessage): void
  /** One malformed message, or one over what the peer may send. */
  violated(code: ErrorCode, detail: string): void
  /** The channel is gone, maybe with its connection; called once, last. */
  closed(): void
}

export interface ScoresChannelOptions {
  readonly stream: NoiseStream
  /** Milliseconds of any steady clock. */
  readonly now: () => number
}

/**
 * The scores network on one connection that has greeted. To be created within the call that reports the greeting:
 * a peer opens its side only after our `hello`, and its `hello` came before, so both sides are there when the request
 * to open arrives. A peer without the scores network refuses the channel, and nothing else happens.
 *
 * One message of Protomux holds whole frames, so nothing of a peer's is kept between two of them. What is sent is
 * dropped while the peer is slow: whatever matters is repaired by a later round. Never throws.
 */
export class ScoresChannel {
  readonly #options: ScoresChannelOptions
  readonly #events: ScoresChannelEvents
  readonly #channel: Protomux.Channel | null
  readonly #message: Protomux.Message | undefined
  /** What the peer may send. */
  readonly #theirs: PeerAllowances
  readonly #ours: PeerAllowances
  #violations = 0
  #isClosed = false
  #dropped = 0

  constructor(options: ScoresChannelOptions, events: ScoresChannelEvents) {
    this.#options = options
    this.#events = events
    this.#theirs = new PeerAllowances(options.now())
    this.#ours = new PeerAllowances(options.now(), gossipLimits.ownSharePercent)
    this.#channel = Protomux.from(options.stream).createChannel({
      protocol: scoresProtocol,
      onclose: () => this.#onClosed(),
    })
    this.#message = this.#channel?.addMessage({ encoding: raw, onmessage: (bytes) => this.#onBytes(bytes) })
    this.#channel?.open()
    if (!this.#channel) this.#isClosed = true
  }

  get isOpen(): boolean {
    return !this.#isClosed
  }

  /** Messages that were not sent because the peer was slow or has had enough for now. */
  get dropped(): number {
    return this.#dropped
  }

  /** @returns false when the message was dropped. */
  send(message: ScoresMessage): boolean {
    if (this.#isClosed || !this.#message) return false
    const isSlow = this.#options.stream._writableState.buffered > gossipLimits.bufferBytesMax
    if (isSlow || !this.#ours.message(message, this.#options.now())) {
      this.#dropped++
      return false
    }
    const frame = encodeFrame(toScoresObject(message))
    if (!this.#ours.bytes(frame.length, this.#options.now())) {
      this.#dropped++
      return false
    }
    this.#message.send(frame)
    return true
  }

  /** Ends the channel; the connection stays. */
  close(): void {
    this.#channel?.close()
    this.#onClosed()
  }

  #onBytes(bytes: Buffer): void {
    if (this.#isClosed) return
    if (!this.#theirs.bytes(bytes.length, this.#options.now())) {
      this.#violate('QM_MESSAGE_UNEXPECTED', 'more bytes about scores than anybody needs')
      return
    }
    if (bytes.length > scoresLimits.frameBytesMax + frameHeaderBytes) {
      this.#violate('QM_FRAME_TOO_LONG', 'a message about scores is longer than any may be')
      return
    }
    const decoder = new FrameDecoder()
    decoder.feed(bytes, (frame) => {
      if (frame.ok) this.#onValue(frame.value)
      else this.#violate(frame.code, 'a frame was too long or not UTF-8 JSON')
      return !this.#isClosed
    })
    if (decoder.bufferedBytes > 0) this.#violate('QM_FRAME_NOT_JSON', 'a frame about scores was cut off')
  }

  #onValue(value: unknown): void {
    const nowMs = this.#options.now()
    const parsed = parseScoresMessage(value)
    if (parsed.kind === 'invalid') {
      this.#violate('QM_MESSAGE_INVALID', parsed.detail)
      return
    }
    const isAllowed =
      parsed.kind === 'unknown' ? this.#theirs.question(nowMs) : this.#theirs.message(parsed.message, nowMs)
    if (!isAllowed) this.#violate('QM_MESSAGE_UNEXPECTED', 'more messages about scores than anybody needs')
    else if (parsed.kind === 'message') this.#events.received(parsed.message)
  }

  /** What the peer sent was well-formed, and wrong. */
  violate(code: ErrorCode, detail: string): void {
    this.#violate(code, detail)
  }

  #violate(code: ErrorCode, detail: string): void {
    if (this.#isClosed) return
    this.#violations++
    this.#events.violated(code, detail)
    // Whoever listens closes the connection by now; if it does not, at least nothing more is read.
    if (this.#violations > limits.violationsMax) this.close()
  }

  #onClosed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#events.closed()
  }
}
