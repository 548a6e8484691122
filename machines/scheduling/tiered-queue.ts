import { Lane, notWaiting, type Ticket } from './lane.ts'
import { tiers, tierTerms, type Tier } from './tiers.ts'

export type { Ticket } from './lane.ts'

/**
 * Who goes next: six FIFO lanes, one a tier, and the earliest virtual deadline among the six heads.
 *
 *     master    | A B        due = arrival + 0 ms
 *     …         |
 *     bronze    | C D E F    due = arrival + 5,000 ms
 *
 * At equal deadlines the lower tier goes first: its request came earlier. So a request is overtaken only by those that
 * came within the head start, and after that by nobody, whatever arrives. Everything here is O(1) amortised in the
 * number waiting, except leaving from the middle and asking a position, which are O(log n).
 */
export class TieredQueue<T> {
  readonly #lanes: readonly Lane<T>[] = tiers.map(() => new Lane<T>())
  readonly #waits: readonly number[] = tiers.map((tier) => tierTerms[tier].waitMs)
  /** The deadline of each lane's head, side by side so that the next is found without touching the lanes. */
  readonly #heads = new Float64Array(tiers.length).fill(Infinity)
  #lastAtMs = -Infinity
  #size = 0

  get size(): number {
    return this.#size
  }

  /** How many wait in one tier. */
  sizeOf(tier: Tier): number {
    return this.#lane(tierTerms[tier].rank).size
  }

  /**
   * Adds to the end of its tier. A clock that jumps back is taken as standing still: within a tier nobody may end up
   * in front of one who came before.
   */
  enqueue(value: T, tier: Tier, atMs: number): Ticket<T> {
    const { rank } = tierTerms[tier]
    if (atMs > this.#lastAtMs) this.#lastAtMs = atMs
    const dueMs = this.#lastAtMs + (this.#waits[rank] ?? 0)
    const ticket: Ticket<T> = { value, rank, index: notWaiting }
    this.#lane(rank).push(ticket, dueMs)
    if (dueMs < (this.#heads[rank] ?? Infinity)) this.#heads[rank] = dueMs
    this.#size++
    return ticket
  }

  /** Takes whoever goes next. */
  dequeue(): Ticket<T> | undefined {
    const rank = this.#nextRank()
    if (rank < 0) return undefined
    const lane = this.#lane(rank)
    const ticket = lane.shift()
    this.#heads[rank] = lane.headDueMs
    if (ticket === undefined) return undefined
    ticket.index = notWaiting
    this.#size--
    return ticket
  }

  /** Whoever goes next, left in place. */
  peek(): Ticket<T> | undefined {
    const rank = this.#nextRank()
    const lane = rank < 0 ? undefined : this.#lane(rank)
    return lane?.at(lane.head)
  }

  /** The last one of a tier, left in place. */
  lastOf(tier: Tier): Ticket<T> | undefined {
    return this.#lane(tierTerms[tier].rank).last
  }

  /** Takes a ticket out, wherever it stands. False when it was not waiting any more. */
  remove(ticket: Ticket<T>): boolean {
    if (ticket.index === notWaiting) return false
    const lane = this.#lane(ticket.rank)
    lane.remove(ticket)
    this.#heads[ticket.rank] = lane.headDueMs
    ticket.index = notWaiting
    this.#size--
    return true
  }

  /** How many of those waiting now go before this ticket. */
  aheadOf(ticket: Ticket<T>): number {
    let ahead = 0
    const dueMs = this.#lane(ticket.rank).dueMsAt(ticket.index)
    for (let rank = 0; rank < this.#lanes.length; rank++) {
      const lane = this.#lane(rank)
      if (lane.head === lane.tail) continue
      const index = rank === ticket.rank ? ticket.index : lane.search(dueMs, rank > ticket.rank)
      ahead += lane.countBefore(index)
    }
    return ahead
  }

  /** Visits the first `limit` tickets in the order in which they would go, without taking them. */
  walk(visit: (ticket: Ticket<T>, ahead: number) => void, limit = Infinity): void {
    const cursors = this.#lanes.map((lane) => lane.head)
    for (let ahead = 0; ahead < limit; ahead++) {
      let first: Ticket<T> | undefined
      let firstDueMs = Infinity
      for (let rank = this.#lanes.length - 1; rank >= 0; rank--) {
        const lane = this.#lane(rank)
        let cursor = cursors[rank] ?? 0
        while (cursor < lane.tail && lane.at(cursor) === undefined) cursor++
        cursors[rank] = cursor
        if (cursor === lane.tail || lane.dueMsAt(cursor) >= firstDueMs) continue
        first = lane.at(cursor)
        firstDueMs = lane.dueMsAt(cursor)
      }
      if (first === undefined) return
      cursors[first.rank] = first.index + 1
      visit(first, ahead)
    }
  }

  #nextRank(): number {
    let best = -1
    let bestDueMs = Infinity
    for (let rank = tiers.length - 1; rank >= 0; rank--) {
      const dueMs = this.#heads[rank] ?? Infinity
      if (dueMs < bestDueMs) {
        best = rank
        bestDueMs = dueMs
      }
    }
    return best
  }

  #lane(rank: number): Lane<T> {
    const lane = this.#lanes[rank]
    if (lane === undefined) throw new RangeError(`a tier's rank is 0 to ${tiers.length - 1}, got ${rank}`)
    return lane
  }
}
