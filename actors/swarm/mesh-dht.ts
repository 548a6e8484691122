import DHT from 'hyperdht'
import NoiseWrap from 'hyperdht/lib/noise-wrap.js'
import type { NoiseStream } from 'hyperswarm'
import type { PeerId } from '../../protocol/index.ts'

export interface MeshDhtOptions {
  /**
   * Few nodes, and no others than those of this mesh. A query asks all of them and, with fewer than 20 answers, ends only
   * when it has given up everyone who is silent. Of a node that died everybody hears for minutes: with the patience of
   * the public DHT each of them holds up what a newcomer announces for 12 s.
   */
  readonly isSmall: boolean
  /** Hears of a peer that answered a dial and closed it at once: it is alive. */
  readonly onRefused: (peerId: PeerId) => void
  /** Milliseconds of a steady clock. */
  readonly now?: () => number
}

/** Milliseconds for an answer, try after try: 2.7 s for the six of a node that starts, 0.9 s for the three of a query. */
export const smallMeshTimeouts = { fallback: [200, 300, 400, 500, 600, 700], min: 200, max: 700, jitter: 50 }
const smallMeshRetries = 2

/** Milliseconds after which a dial gives way to the peer's own. */
const overdueMs = {
  /** Nobody answered. */
  silent: 2_000,
  /** The peer did, so it is at that address: from there on it may take seconds to get through the NATs of both. */
  answered: 10_000,
}

interface Dial {
  readonly stream: NoiseStream
  readonly sinceMs: number
  readonly isAnswered: () => boolean
}

/** The handshake of a dial. It reads an answer of nobody but the peer, whoever passed it on. */
class Handshake extends NoiseWrap {
  isAnswered = false

  override recv(message: Buffer): unknown {
    const payload = super.recv(message)
    this.isAnswered = true
    return payload
  }
}

/**
 * A DHT node that does not wait long for the dead: neither for those of a small mesh, nor for those that it dials.
 *
 * Of two peers that dial each other, Hyperswarm keeps the dial of the greater key and refuses the other. When that dial
 * goes to an address where the peer was before it crashed, nobody answers it for 4 s and more, and the peer that is back
 * is refused for as long; with the next search both dial again, at the same time.
 */
export class MeshDht extends DHT {
  readonly #options: MeshDhtOptions
  /** Those that no connection came of yet. */
  readonly #dials = new Map<PeerId, Dial>()

  constructor(options: DHT.Options, own: MeshDhtOptions) {
    super({ ...options, ...(own.isSmall && { adaptiveTimeout: smallMeshTimeouts }) })
    this.#options = own
  }

  override findNode(target: Buffer, options?: DHT.QueryOptions): DHT.Query {
    return super.findNode(target, this.#withPatience(options))
  }

  override query(question: DHT.Question, options?: DHT.QueryOptions): DHT.Query {
    return super.query(question, this.#withPatience(options))
  }

  override connect(...[publicKey, options]: Parameters<DHT['connect']>): NoiseStream {
    let handshake: Handshake | undefined
    const stream = super.connect(publicKey, {
      ...options,
      createHandshake: (keyPair, remotePublicKey) => (handshake = new Handshake(keyPair, remotePublicKey)),
    })
    const peerId = stream.remotePublicKey.toString('hex')
    const dial = { stream, sinceMs: this.#now(), isAnswered: () => handshake?.isAnswered === true }
    this.#dials.set(peerId, dial)
    const end = (): void => {
      if (this.#dials.get(peerId) === dial) this.#dials.delete(peerId)
    }
    stream.once('open', end)
    stream.once('close', end)
    stream.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' && this.#dials.get(peerId) === dial) this.#options.onRefused(peerId)
    })
    return stream
  }

  /** The peer dials this node: a dial of our own that would win, and leads nowhere, gives way. */
  giveWay(peerId: PeerId): void {
    const dial = this.#dials.get(peerId)
    if (!dial) return
    if (this.#now() - dial.sinceMs < (dial.isAnswered() ? overdueMs.answered : overdueMs.silent)) return
    // Where ours would lose it is left alone: both sides giving way at once would leave no connection.
    if (dial.stream.publicKey.compare(dial.stream.remotePublicKey) > 0) dial.stream.destroy()
  }

  #now(): number {
    return (this.#options.now ?? (() => performance.now()))()
  }

  #withPatience(options: DHT.QueryOptions = {}): DHT.QueryOptions {
    return this.#options.isSmall ? { retries: smallMeshRetries, ...options } : options
  }
}
