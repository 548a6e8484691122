import type { Effort, PeerId } from '../../protocol/index.ts'
import { EffortSolver, type EffortSearch } from './effort-solver.ts'

export interface EffortDeskOptions {
  readonly clientId: PeerId
  /** The topic of the inference network. */
  readonly network: Uint8Array
  /** Whether this client's own tier spares it the work at that worker; as far as it knows. Absent: it never does. */
  readonly isExempt?: ((workerId: PeerId) => boolean) | undefined
  /** A worker asks for other work than was known. */
  readonly onInsisted: (workerId: PeerId, bits: number) => void
}

/** What the attempts need to know of it. */
export interface EffortPort {
  /** What a worker asks of this client with each prompt now; undefined: nothing. */
  asked(workerId: PeerId): Effort | undefined
  /** A worker turned a prompt down for want of this, whatever was known before. */
  insisted(workerId: PeerId, effort: Effort): void
  /** See `EffortSolver`. */
  search(search: EffortSearch): () => void
}

/** Who asks this client for how much work, and the place where it is done. */
export class EffortDesk implements EffortPort {
  readonly #options: EffortDeskOptions
  readonly #solver: EffortSolver
  readonly #asked = new Map<PeerId, Effort>()
  /** Those that do not know this client's tier as it does. */
  readonly #insisting = new Set<PeerId>()

  constructor(options: EffortDeskOptions) {
    this.#options = options
    this.#solver = new EffortSolver(options.network, options.clientId)
  }

  /** A status came, with this in it or nothing. */
  told(workerId: PeerId, effort: Effort | undefined): void {
    if (effort) this.#asked.set(workerId, effort)
    else this.left(workerId)
  }

  left(workerId: PeerId): void {
    this.#asked.delete(workerId)
    this.#insisting.delete(workerId)
  }

  asked(workerId: PeerId): Effort | undefined {
    const effort = this.#asked.get(workerId)
    if (!effort || this.#insisting.has(workerId)) return effort
    return this.#options.isExempt?.(workerId) ? undefined : effort
  }

  insisted(workerId: PeerId, effort: Effort): void {
    this.#asked.set(workerId, effort)
    this.#insisting.add(workerId)
    this.#options.onInsisted(workerId, effort.bits)
  }

  search(search: EffortSearch): () => void {
    return this.#solver.search(search)
  }
}
