import type { VirtualClock } from './virtual-clock.ts'

export interface NetworkTerms {
  /** Milliseconds of one way: log-normal around this median. */
  readonly latencyMedianMs: number
  readonly latencySpread: number
  /** Part of the messages that never arrive. */
  readonly loss: number
}

export const networkTerms: NetworkTerms = { latencyMedianMs: 80, latencySpread: 0.5, loss: 0.01 }

export type Cargo = 'gossip' | 'logs'

/** Carries messages with delays and losses, and counts their bytes by who sent them. */
export class VirtualNetwork {
  readonly sent: Readonly<Record<Cargo, Float64Array>>
  /** Whether nothing passes between two nodes at this moment. */
  isCut: (from: number, to: number) => boolean = () => false
  readonly #clock: VirtualClock
  readonly #random: () => number

  constructor(clock: VirtualClock, random: () => number, nodes: number) {
    this.#clock = clock
    this.#random = random
    this.sent = { gossip: new Float64Array(nodes), logs: new Float64Array(nodes) }
  }

  send(from: number, to: number, bytes: number, deliver: () => void): void {
    this.count('gossip', from, bytes)
    if (this.#random() < networkTerms.loss) return
    this.#clock.after(this.latencyMs(), () => {
      if (!this.isCut(from, to)) deliver()
    })
  }

  count(cargo: Cargo, from: number, bytes: number): void {
    this.sent[cargo][from] = (this.sent[cargo][from] ?? 0) + bytes
  }

  /** By Box and Muller. */
  latencyMs(): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random())
    return networkTerms.latencyMedianMs * Math.exp(networkTerms.latencySpread * normal)
  }

  reset(): void {
    this.sent.gossip.fill(0)
    this.sent.logs.fill(0)
  }
}
