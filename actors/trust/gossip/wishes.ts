import { type Holding, toHolding } from '../../../protocol/messages/holdings.ts'
import { type ScorePull, scoresLimits } from '../../../protocol/messages/scores.ts'
import type { Head } from '../../../protocol/trust/index.ts'
import { type Floor, shuffled } from './gossip-floor.ts'
import { gossipLimits } from './gossip-limits.ts'
import type { GossipLink } from './gossip-link.ts'

/** What this node asks peers for, and for which heads it did so since the last round. */
export class Wishes {
  readonly #floor: Floor
  readonly #asked = new Set<string>()

  constructor(floor: Floor) {
    this.#floor = floor
  }

  forget(): void {
    this.#asked.clear()
  }

  has(head: Head): boolean {
    return this.#asked.has(toKey(toHolding(head.accountId, head)))
  }

  /** Several peers name the same head at once; the first is asked. If it keeps it, a round brings it from another. */
  note(holding: Holding): boolean {
    const key = toKey(holding)
    if (this.#asked.has(key) || this.#asked.size >= gossipLimits.askedMax) return false
    this.#asked.add(key)
    return true
  }

  pull(link: GossipLink, { heads, cards, bans }: Omit<ScorePull, 'type'>): void {
    if (heads.length + cards.length + bans.length === 0) return
    const first = <T>(list: readonly T[]): T[] =>
      shuffled(list, this.#floor.random).slice(0, scoresLimits.wantedMax)
    const wanted = first(heads)
    const isWanted = new Set(wanted)
    link.channel.send({
      type: 'score-pull',
      heads: wanted,
      // A card is of no use without its head, nor the other way round.
      cards: cards.filter((prefix) => isWanted.has(prefix)),
      bans: first(bans),
    })
  }
}

const toKey = ({ prefix, length, mark }: Holding): string => `${prefix}/${length}/${mark}`
