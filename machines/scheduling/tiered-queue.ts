import { EarliestLane } from './earliest-lane.ts'
import { Lane, notWaiting, type Ticket } from './lane.ts'
import { laneCount, laneTiers, waitStepMs, type Tier } from './tiers.ts'

export type { Ticket } from './lane.ts'

/**
 * Who goes next: one FIFO lane for every wait that there is, and the earliest virtual deadline among their heads.
 *
 *     lane  0   master   | A B        due = arrival + 0 ms
 *     lane  1   diamond  |            due = arrival + 100 ms
 *     …
 *     lane 41   bronze   | C          due = arrival + 4,100 ms
 *     …
 *     lane 50   bronze   | D E F      due = arrival + 5,000 ms
 *
 * At equal deadlines the longer wait goes first: its request came earlier. So a request is overtaken only by those that
 * came within the head start, and after that by nobody, whatever arrives. Everything here is O(1) amortised in the
 * number waiting, except leaving from the middle and asking a position, which are O(log n).
 */
export class TieredQueue<T> {
  /** Those in which somebody has waited: a queue that is hardly used stays small. */
  readonly #lanes: (Lane<T> | undefined)[] = Array.from({ length: laneCount }, () => undefined)
  readonly #heads = new EarliestLane(laneCount)
  #lastAtMs = -Infinity
  #size = 0

  get size(): number {
    return this.#size
  }

  /**
   * Adds to the end of its lane. A clock that jumps back is taken as standing still: within a lane nobody may end up
   * in front of one who came before.
   * @param waitMs added to the arrival: a multiple of `waitStepMs` up to `headStartMsMax`
   */
  enqueue(value: T, waitMs: number, atMs: number): Ticket<T> {
    const index = waitMs / waitStepMs
    const lane = this.#lanes[index] ?? this.#open(index)
    if (atMs > this.#lastAtMs) this.#lastAtMs = atMs
    const dueMs = this.#lastAtMs + waitMs
    const ticket: Ticket<T> = { value, lane: index, index: notWaiting }
    const wasEmpty = lane.head === lane.tail
    lane.push(ticket, dueMs)
    if (wasEmpty) this.#heads.set(index, dueMs)
    this.#size++
    return ticket
  }

  /** Takes whoever goes next. */
  dequeue(): Ticket<T> | undefined {
    if (this.#size === 0) return undefined
    const index = this.#heads.first
    const lane = this.#lanes[index]
    const ticket = lane?.shift()
    if (lane === undefined || ticket === undefined) return undefined
    this.#heads.set(index, lane.headDueMs)
    ticket.index = notWaiting
    this.#size--
    return ticket
  }

  /** Whoever goes next, left in place. */
  peek(): Ticket<T> | undefined {
    const lane = this.#size === 0 ? undefined : this.#lanes[this.#heads.first]
    return lane?.at(lane.head)
  }

  /** Whoever of a tier would go last, left in place. */
  lastOf(tier: Tier): Ticket<T> | undefined {
    let last: Ticket<T> | undefined
    let lastDueMs = -Infinity
    for (let index = laneCount - 1; index >= 0; index--) {
      const ticket = laneTiers[index] === tier ? this.#lanes[index]?.last : undefined
      if (ticket === undefined || this.dueMsOf(ticket) < lastDueMs) continue
      last = ticket
      lastDueMs = this.dueMsOf(ticket)
    }
    return last
  }

  /** The virtual deadline of one that waits. */
  dueMsOf(ticket: Ticket<T>): number {
    return this.#lanes[ticket.lane]?.dueMsAt(ticket.index) ?? Infinity
  }

  /** Takes a ticket out, wherever it stands. False when it was not waiting any more. */
  remove(ticket: Ticket<T>): boolean {
    const lane = this.#lanes[ticket.lane]
    if (lane === undefined || ticket.index === notWaiting) return false
    lane.remove(ticket)
    this.#heads.set(ticket.lane, lane.headDueMs)
    ticket.index = notWaiting
    this.#size--
    return true
  }

  /** How many of those waiting now go before this ticket. */
  aheadOf(ticket: Ticket<T>): number {
    let ahead = 0
    const dueMs = this.dueMsOf(ticket)
    for (let index = 0; index < laneCount; index++) {
      const lane = this.#lanes[index]
      if (lane === undefined || lane.headDueMs > dueMs) continue
      const end = index === ticket.lane ? ticket.index : lane.search(dueMs, index > ticket.lane)
      ahead += lane.countBefore(end)
    }
    return ahead
  }

  /** Visits the first `limit` tickets in the order in which they would go, without taking them. */
  walk(visit: (ticket: Ticket<T>, ahead: number) => void, limit = Infinity): void {
    const heads = new EarliestLane(this.#heads)
    const cursors = this.#lanes.map((lane) => lane?.head ?? 0)
    for (let ahead = 0; ahead < limit && ahead < this.#size; ahead++) {
      const index = heads.first
      const lane = this.#lanes[index]
      const ticket = lane?.at(cursors[index] ?? 0)
      if (lane === undefined || ticket === undefined) return
      let cursor = ticket.index + 1
      while (cursor < lane.tail && lane.at(cursor) === undefined) cursor++
      cursors[index] = cursor
      heads.set(index, cursor < lane.tail ? lane.dueMsAt(cursor) : Infinity)
      visit(ticket, ahead)
    }
  }

  #open(index: number): Lane<T> {
    if (!Number.isInteger(index) || index < 0 || index >= laneCount) {
      const waitMsMax = (laneCount - 1) * waitStepMs
      throw new RangeError(
        `a wait is a multiple of ${waitStepMs} ms up to ${waitMsMax} ms, got ${index * waitStepMs} ms`,
      )
    }
    return (this.#lanes[index] = new Lane<T>())
  }
}
