import { HoleCounter } from './hole-counter.ts'

/**
 * Something waiting. Only the queue writes to it. Three words small and without its deadline, which the lane keeps in a
 * typed array: a hundred thousand of these stay cheap for the garbage collector.
 */
export interface Ticket<T> {
  readonly value: T
  readonly lane: number
  /** Place in its lane; `notWaiting` before and after. */
  index: number
}

/** The index of a ticket that is in no lane. */
export const notWaiting = -1

const slotsMin = 16

/**
 * One FIFO of those with the same wait, in a ring that doubles when full:
 *
 *     slots    [ . . A B x C x D . . ]     x = a hole: removed while waiting
 *                    ^head     ^tail       head and the one before tail are never holes
 *
 * Push, shift and pop are O(1) amortised, removal from the middle and counting O(log n). Deadlines never fall from
 * head to tail, because the queue clamps arrivals, so a deadline is found by bisection; holes keep theirs for it.
 */
export class Lane<T> {
  #tickets: (Ticket<T> | undefined)[] = []
  #dues = new Float64Array(slotsMin)
  #holes = new HoleCounter(slotsMin)
  #mask = slotsMin - 1
  #head = 0
  #tail = 0

  constructor() {
    this.#tickets.length = slotsMin
  }

  /** Tickets waiting in this lane. */
  get size(): number {
    return this.#tail - this.#head - this.#holes.total
  }

  /** Indexes at which a walk starts and before which it ends. */
  get head(): number {
    return this.#head
  }

  get tail(): number {
    return this.#tail
  }

  /** The deadline of the first ticket; infinite when nobody waits. */
  get headDueMs(): number {
    return this.#head === this.#tail ? Infinity : (this.#dues[this.#head & this.#mask] ?? Infinity)
  }

  get last(): Ticket<T> | undefined {
    return this.#head === this.#tail ? undefined : this.#tickets[(this.#tail - 1) & this.#mask]
  }

  /** The ticket at an index between `head` and `tail`, undefined for a hole. */
  at(index: number): Ticket<T> | undefined {
    return this.#tickets[index & this.#mask]
  }

  /** The virtual deadline at an index between `head` and `tail`. */
  dueMsAt(index: number): number {
    return this.#dues[index & this.#mask] ?? Infinity
  }

  push(ticket: Ticket<T>, dueMs: number): void {
    if (this.#tail - this.#head > this.#mask) this.#rebuild()
    const slot = this.#tail & this.#mask
    ticket.index = this.#tail++
    this.#tickets[slot] = ticket
    this.#dues[slot] = dueMs
  }

  /** Takes the first ticket. */
  shift(): Ticket<T> | undefined {
    if (this.#head === this.#tail) return undefined
    const slot = this.#head & this.#mask
    const ticket = this.#tickets[slot]
    this.#tickets[slot] = undefined
    this.#head++
    if (this.#holes.total > 0) this.#skipHoles()
    if (this.#mask > 4_095 && (this.#tail - this.#head) * 8 < this.#mask) this.#rebuild()
    return ticket
  }

  remove(ticket: Ticket<T>): void {
    const slot = ticket.index & this.#mask
    this.#tickets[slot] = undefined
    if (ticket.index === this.#head) this.#head++
    else if (ticket.index === this.#tail - 1) this.#tail--
    else this.#holes.add(slot, 1)
    if (this.#holes.total === 0) return
    this.#skipHoles()
    // A lane that is mostly holes would cost memory for those who left.
    if (this.#holes.total > slotsMin && this.#holes.total * 2 > this.#tail - this.#head) this.#rebuild()
  }

  /** Tickets in front of `index`. */
  countBefore(index: number): number {
    const holes = this.#holes.total === 0 ? 0 : this.#holesBefore(index)
    return index - this.#head - holes
  }

  /** The first index whose deadline is later than `dueMs`, or not earlier with `inclusive` false. */
  search(dueMs: number, inclusive: boolean): number {
    let low = this.#head
    let high = this.#tail
    while (low < high) {
      const middle = low + ((high - low) >>> 1)
      const due = this.#dues[middle & this.#mask] ?? Infinity
      if (due < dueMs || (inclusive && due === dueMs)) low = middle + 1
      else high = middle
    }
    return low
  }

  #holesBefore(index: number): number {
    const from = this.#head & this.#mask
    const to = index & this.#mask
    if (index === this.#head) return 0
    if (from < to) return this.#holes.before(to) - this.#holes.before(from)
    // The stretch wraps around the end of the ring, and every hole lies between head and tail.
    return this.#holes.total - this.#holes.before(from) + this.#holes.before(to)
  }

  #skipHoles(): void {
    while (this.#head < this.#tail && this.#tickets[this.#head & this.#mask] === undefined) {
      this.#holes.add(this.#head++ & this.#mask, -1)
    }
    while (this.#head < this.#tail && this.#tickets[(this.#tail - 1) & this.#mask] === undefined) {
      this.#holes.add(--this.#tail & this.#mask, -1)
    }
  }

  #rebuild(): void {
    const size = this.size
    let slots = slotsMin
    while (slots < size * 2) slots *= 2
    const tickets: (Ticket<T> | undefined)[] = []
    tickets.length = slots
    const dues = new Float64Array(slots)
    let index = 0
    for (let at = this.#head; at < this.#tail; at++) {
      const ticket = this.#tickets[at & this.#mask]
      if (ticket === undefined) continue
      ticket.index = index
      tickets[index] = ticket
      dues[index] = this.dueMsAt(at)
      index++
    }
    this.#tickets = tickets
    this.#dues = dues
    this.#holes = new HoleCounter(slots)
    this.#mask = slots - 1
    this.#head = 0
    this.#tail = index
  }
}
