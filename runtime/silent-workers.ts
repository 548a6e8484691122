import type { LifeSigns } from '../machines/request/index.ts'
import type { PeerId } from '../protocol/index.ts'

/**
 * Workers that were left because nothing came from them. The connection of a dead one stays open for many seconds; until
 * it says anything again, no other request is sent after the first.
 */
export class SilentWorkers {
  readonly #signsOf: (workerId: PeerId) => LifeSigns | null
  /** When each was left, in milliseconds of the node's clock; as many as are connected, at most. */
  readonly #leftAtMs = new Map<PeerId, number>()

  /** @param signsOf null for a worker that is not connected */
  constructor(signsOf: (workerId: PeerId) => LifeSigns | null) {
    this.#signsOf = signsOf
  }

  left(workerId: PeerId, nowMs: number): void {
    if (this.#signsOf(workerId)) this.#leftAtMs.set(workerId, nowMs)
  }

  /** Those that have said nothing since. Each is asked whether it is there, so that one that is comes back. */
  list(): readonly PeerId[] {
    for (const [workerId, leftAtMs] of this.#leftAtMs) {
      const signs = this.#signsOf(workerId)
      if (!signs || signs.heardAtMs > leftAtMs) this.#leftAtMs.delete(workerId)
      else signs.ping()
    }
    return [...this.#leftAtMs.keys()]
  }
}
