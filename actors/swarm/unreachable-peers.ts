import { limits, type PeerId } from '../../protocol/index.ts'

interface Tries {
  /** Dials in a row that led to no connection. */
  readonly count: number
  /** Milliseconds when the peer was last dialled or reached. */
  readonly lastAtMs: number
  /** Heard of before, during this run: dead for now, more likely than for good. */
  readonly isKnown: boolean
}

/**
 * Milliseconds until a peer that did not answer is dialled again; doubled with each dial, up to the bound. Those that were
 * heard of are few, and one that comes back is waited for: it may be the only worker there is.
 */
const retryMs = {
  known: { first: 1_000, max: 60_000 },
  stranger: { first: 5_000, max: 10 * 60_000 },
}

/**
 * Peers that were dialled and did not answer. The DHT names the dead for twenty minutes after they were last heard of, and
 * dialling one takes 8 to 26 s: without a memory of them a client that meets many spends its dials on the same dead again
 * and again, and does not get to the living. Bounded; whoever nothing was heard of for longest is forgotten first.
 */
export class UnreachablePeers {
  readonly #peers = new Map<PeerId, Tries>()

  /** Whether to dial the peer now; if so, the dial counts as failed until `reached`. Times are in milliseconds. */
  mayDial(peerId: PeerId, nowMs: number): boolean {
    const { count, lastAtMs, isKnown } = this.#peers.get(peerId) ?? neverTried
    const { first, max } = isKnown ? retryMs.known : retryMs.stranger
    if (count > 0 && nowMs - lastAtMs < Math.min(max, first * 2 ** Math.min(count - 1, 30))) return false
    this.#note(peerId, { count: count + 1, lastAtMs: nowMs, isKnown })
    return true
  }

  /** The dial failed, but the peer is there: it closed it, for one of its own, perhaps. */
  answered(peerId: PeerId): void {
    const tries = this.#peers.get(peerId)
    if (tries) this.#note(peerId, { ...tries, isKnown: true })
  }

  /** A connection stands: what failed before does not count. */
  reached(peerId: PeerId, nowMs: number): void {
    this.#note(peerId, { count: 0, lastAtMs: nowMs, isKnown: true })
  }

  #note(peerId: PeerId, tries: Tries): void {
    this.#peers.delete(peerId)
    this.#peers.set(peerId, tries)
    if (this.#peers.size <= limits.unreachablePeersMax) return
    // Maps keep the order of insertion, so the first key is the oldest.
    for (const oldest of this.#peers.keys()) {
      this.#peers.delete(oldest)
      return
    }
  }
}

const neverTried: Tries = { count: 0, lastAtMs: 0, isKnown: false }
