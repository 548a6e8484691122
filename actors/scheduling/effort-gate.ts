import { randomBytes } from 'node:crypto'
import { isStampEnough } from '../../machines/trust/index.ts'
import { EffortHash, type Effort, type PeerId, type Prompt } from '../../protocol/index.ts'

export interface EffortGateOptions {
  readonly workerId: PeerId
  /** The topic of the inference network. */
  readonly network: Uint8Array
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number
  /** What is asked has changed, and clients should hear of it. */
  readonly onChanged: () => void
  /** Milliseconds after a rise in which less is enough: what a client was told is on its way, and so is its prompt. */
  readonly graceMs?: number
  /** Milliseconds after which, and solutions with which, another seed is drawn. */
  readonly seedMs?: number
  readonly solutionsMax?: number
}

/** `used`: it was enough, once. */
export type EffortVerdict = 'enough' | 'missing' | 'used'

interface Seed {
  readonly hex: string
  readonly drawnAtMs: number
  /** Requests that were paid for with it, each of the length of its two ids. */
  readonly used: Set<string>
}

/** Milliseconds in which the seed before is taken: many times what the most that may be asked for takes. */
const oldSeedMs = 60_000

/**
 * Where prompts show that they were worked for. It asks what it is told to ask, and forgets no solution that it would
 * still take: a solution is good for one seed, and each of the two seeds in use remembers its own, up to a bound at
 * which another is drawn.
 */
export class EffortGate {
  readonly #options: Required<EffortGateOptions>
  #bits = 0
  /** What was asked before, and until when. */
  #former: readonly { readonly bits: number; readonly untilMs: number }[] = []
  #seed: Seed
  #oldSeed: Seed | undefined

  constructor(options: EffortGateOptions) {
    this.#options = { graceMs: 5_000, seedMs: 600_000, solutionsMax: 16_384, ...options }
    this.#seed = this.#draw()
  }

  /** What newcomers are told; undefined while nothing is asked. */
  get asked(): Effort | undefined {
    return this.#bits === 0 ? undefined : { bits: this.#bits, seed: this.#seed.hex }
  }

  /** Asks for so many bits from now on; 0 for none. */
  ask(bits: number): void {
    if (bits === this.#bits) return
    const nowMs = this.#options.now()
    this.#former = [...this.#formerAt(nowMs), { bits: this.#bits, untilMs: nowMs }]
    this.#bits = bits
    if (this.#isSeedOld(nowMs)) this.#turn()
    this.#options.onChanged()
  }

  /** A few hashes of less than a block, whatever comes. A solution that is enough is taken once. */
  check(
    clientId: PeerId,
    { requestId, effortNonce }: Pick<Prompt, 'requestId' | 'effortNonce'>,
  ): EffortVerdict {
    const { network, workerId, now } = this.#options
    const nowMs = now()
    if (this.#bits > 0 && this.#isSeedOld(nowMs)) {
      this.#turn()
      this.#options.onChanged()
    }
    const least = Math.min(this.#bits, ...this.#formerAt(nowMs).map(({ bits }) => bits))
    if (least === 0) return 'enough'
    if (effortNonce === undefined) return 'missing'
    for (const seed of this.#seedsAt(nowMs)) {
      const task = { network, workerId, clientId, requestId, seed: seed.hex }
      if (!isStampEnough(new EffortHash(task).ofHex(effortNonce), least)) continue
      // Another nonce for the same request is the same work done again, by somebody who knows that it was.
      const name = clientId + requestId
      if (seed.used.has(name)) return 'used'
      seed.used.add(name)
      return 'enough'
    }
    return 'missing'
  }

  #formerAt(nowMs: number) {
    return this.#former.filter(({ untilMs }) => nowMs - untilMs < this.#options.graceMs)
  }

  #seedsAt(nowMs: number): readonly Seed[] {
    const isOldGood = this.#oldSeed && nowMs - this.#seed.drawnAtMs < oldSeedMs
    return isOldGood && this.#oldSeed ? [this.#seed, this.#oldSeed] : [this.#seed]
  }

  #isSeedOld(nowMs: number): boolean {
    const { seedMs, solutionsMax } = this.#options
    return this.#seed.used.size >= solutionsMax || nowMs - this.#seed.drawnAtMs >= seedMs
  }

  #turn(): void {
    this.#oldSeed = this.#seed
    this.#seed = this.#draw()
  }

  #draw(): Seed {
    return { hex: randomBytes(16).toString('hex'), drawnAtMs: this.#options.now(), used: new Set() }
  }
}
