import { divQ, ONE } from '../../../machines/trust/fixed.ts'
import { toInfluences } from '../../../machines/trust/influence.ts'
import { limits, type PeerId } from '../../../protocol/index.ts'

interface Tally {
  readonly right: number
  readonly wrong: number
}

/** A wrong word weighs as much as four right ones, and six right ones are half of a full name. */
const wrongWeight = 4
const doubt = 6
/** Words remembered of one reporter; beyond, all of them count half: who was honest once may change. */
const wordsMax = 200

/**
 * How far other nodes' words can be relied on: how often a score that they stated was the one that this node computed
 * from the same inputs. Whoever never said anything that could be checked has no influence at all. In memory only.
 */
export class Reporters {
  readonly #tallies = new Map<PeerId, Tally>()

  said(reporterId: PeerId, isRight: boolean): void {
    const { right, wrong } = this.#tallies.get(reporterId) ?? { right: 0, wrong: 0 }
    const next = { right: right + (isRight ? 1 : 0), wrong: wrong + (isRight ? 0 : 1) }
    const isFull = next.right + next.wrong > wordsMax
    this.#tallies.delete(reporterId)
    this.#tallies.set(
      reporterId,
      isFull ? { right: Math.floor(next.right / 2), wrong: Math.ceil(next.wrong / 2) } : next,
    )
    const [oldest] = this.#tallies.keys()
    if (this.#tallies.size > limits.reportersMax && oldest !== undefined) this.#tallies.delete(oldest)
  }

  /** 0 to ONE. */
  reputationOf(reporterId: PeerId): number {
    const { right, wrong } = this.#tallies.get(reporterId) ?? { right: 0, wrong: 0 }
    return divQ(right, right + wrongWeight * wrong + doubt)
  }

  /** Influences in Q16.16 of these reporters as a group; `selfId` stands for this node, which believes itself. */
  influences(reporterIds: readonly PeerId[], selfId: PeerId): ReadonlyMap<PeerId, number> {
    const found = toInfluences(reporterIds.map((id) => (id === selfId ? ONE : this.reputationOf(id))))
    return new Map(reporterIds.map((id, index) => [id, found[index] ?? 0]))
  }
}
