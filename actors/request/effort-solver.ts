import { leadingZeroBits } from '../../machines/trust/index.ts'
import {
  EffortHash,
  type Effort,
  limits,
  type PeerId,
  type RequestId,
  toEffortNonce,
} from '../../protocol/index.ts'

/** Work for one prompt. */
export interface EffortSearch {
  readonly workerId: PeerId
  readonly requestId: RequestId
  /** What is asked now: less is taken up at once, another seed begins anew. Undefined: nothing any more. */
  readonly asked: () => Effort | undefined
  /** The end, unless it was cancelled: the nonce, or undefined when nothing was asked any more. */
  readonly done: (nonce: string | undefined) => void
}

interface Running extends EffortSearch {
  seed?: string
  hash?: EffortHash
  next: number
  /** The best one of this seed. */
  best: { readonly nonce: number; readonly bits: number }
}

/** Hashes made in one go: a few milliseconds, on a slow computer, too. */
const hashesPerTurn = 4_096
const nothing = { nonce: 0, bits: -1 } as const

/**
 * Looks for nonces while the node goes on with everything else: a few milliseconds of each turn of the event loop,
 * whatever the number of searches, which take turns.
 */
export class EffortSolver {
  readonly #network: Uint8Array
  readonly #clientId: PeerId
  readonly #bitsMax: number
  readonly #running = new Set<Running>()
  #turn: NodeJS.Immediate | undefined

  /** @param bitsMax that it works for, whatever a worker says and however it came here */
  constructor(network: Uint8Array, clientId: PeerId, bitsMax: number = limits.effortBitsMax) {
    this.#network = network
    this.#clientId = clientId
    this.#bitsMax = bitsMax
  }

  /** Searches that go on. */
  get size(): number {
    return this.#running.size
  }

  /** Begins a search; the result cancels it. Nothing is said within this call. */
  search(search: EffortSearch): () => void {
    const running: Running = { ...search, next: 0, best: nothing }
    this.#running.add(running)
    this.#turn ??= setImmediate(() => this.#work())
    return () => {
      this.#running.delete(running)
      if (this.#running.size > 0 || !this.#turn) return
      clearImmediate(this.#turn)
      this.#turn = undefined
    }
  }

  #work(): void {
    this.#turn = undefined
    const [running] = this.#running
    if (!running) return
    this.#running.delete(running)
    const asked = running.asked()
    const isDone = asked === undefined || this.#advance(running, asked)
    if (!isDone) this.#running.add(running)
    if (this.#running.size > 0) this.#turn = setImmediate(() => this.#work())
    if (isDone) running.done(asked && toEffortNonce(running.best.nonce))
  }

  /** @returns whether there is a nonce that is good enough */
  #advance(running: Running, asked: Effort): boolean {
    const bits = Math.min(asked.bits, this.#bitsMax)
    if (running.seed !== asked.seed || !running.hash) {
      const { workerId, requestId } = running
      running.seed = asked.seed
      running.hash = new EffortHash({
        network: this.#network,
        clientId: this.#clientId,
        workerId,
        requestId,
        seed: asked.seed,
      })
      running.next = 0
      running.best = nothing
    }
    const { hash } = running
    const end = running.next + hashesPerTurn
    while (running.best.bits < bits && running.next < end) {
      const nonce = running.next++
      const found = leadingZeroBits(hash.of(nonce))
      if (found > running.best.bits) running.best = { nonce, bits: found }
    }
    return running.best.bits >= bits
  }
}
