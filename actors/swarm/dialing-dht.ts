import DHT from 'hyperdht'
import type { NoiseStream } from 'hyperswarm'
import type { PeerId } from '../../protocol/index.ts'

/** Milliseconds after which a dial that nobody answered gives way to the peer's own. One that is answered takes less. */
const overdueMs = 2_000

interface Dial {
  readonly stream: NoiseStream
  readonly sinceMs: number
}

/**
 * A DHT node that knows its dials.
 *
 * Of two peers that dial each other, Hyperswarm keeps the dial of the greater key and refuses the other. When that dial
 * goes to an address where the peer was before it crashed, nobody answers it for 4 s and more, and the peer that is back
 * is refused for as long; with the next search both dial again, at the same time.
 */
export class DialingDht extends DHT {
  /** Those that no connection came of yet. */
  readonly #dials = new Map<PeerId, Dial>()
  readonly #onRefused: (peerId: PeerId) => void
  readonly #now: () => number

  /**
   * @param onRefused hears of a peer that answered a dial and closed it at once: it is alive
   * @param now milliseconds of a steady clock
   */
  constructor(options: DHT.Options, onRefused: (peerId: PeerId) => void, now = () => performance.now()) {
    super(options)
    this.#onRefused = onRefused
    this.#now = now
  }

  override connect(...[publicKey, options]: Parameters<DHT['connect']>): NoiseStream {
    const stream = super.connect(publicKey, options)
    const peerId = stream.remotePublicKey.toString('hex')
    const dial = { stream, sinceMs: this.#now() }
    this.#dials.set(peerId, dial)
    const end = (): void => {
      if (this.#dials.get(peerId) === dial) this.#dials.delete(peerId)
    }
    stream.once('open', end)
    stream.once('close', end)
    stream.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' && this.#dials.get(peerId) === dial) this.#onRefused(peerId)
    })
    return stream
  }

  /** The peer dials this node: a dial of our own that would win, and leads nowhere, gives way. */
  giveWay(peerId: PeerId): void {
    const dial = this.#dials.get(peerId)
    if (!dial || this.#now() - dial.sinceMs < overdueMs) return
    // Where ours would lose it is left alone: both sides giving way at once would leave no connection.
    if (dial.stream.publicKey.compare(dial.stream.remotePublicKey) > 0) dial.stream.destroy()
  }
}
