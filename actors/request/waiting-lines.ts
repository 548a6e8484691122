import type { RequestId } from '../../protocol/index.ts'

/** Those who want the same. */
interface Line {
  readonly wanted: string
  /** In the order in which they began to wait. */
  readonly waiting: Set<RequestId>
  /** How many of them were served so far. */
  served: number
}

interface Place {
  readonly line: Line
  /** Of the line's `served`, when this one looked last. */
  seen: number
}

/**
 * Requests that found no worker, a line for each thing that is wanted. Whoever stands first takes the next place there
 * is: a newcomer that comes at the right moment would pass all of them, and with enough newcomers some would never be
 * served.
 */
export class WaitingLines {
  readonly #lines = new Map<string, Line>()
  readonly #places = new Map<RequestId, Place>()

  get isEmpty(): boolean {
    return this.#places.size === 0
  }

  /** Whether somebody who wants the same waits for longer. */
  isBehind(requestId: RequestId, wanted: string): boolean {
    const [first] = this.#lines.get(wanted)?.waiting ?? []
    return first !== undefined && first !== requestId
  }

  /** It waits from now on, or still. */
  join(requestId: RequestId, wanted: string): void {
    if (this.#places.has(requestId)) return
    const line = this.#lines.get(wanted) ?? { wanted, waiting: new Set(), served: 0 }
    line.waiting.add(requestId)
    this.#lines.set(wanted, line)
    this.#places.set(requestId, { line, seen: line.served })
  }

  /** Whether somebody before it was served since it joined, or since this was asked last. */
  isNearer(requestId: RequestId): boolean {
    const place = this.#places.get(requestId)
    if (!place) return false
    const { line, seen } = place
    place.seen = line.served
    return line.served > seen
  }

  /** It was given a worker. */
  served(requestId: RequestId): void {
    const place = this.#places.get(requestId)
    if (place) place.line.served++
    this.leave(requestId)
  }

  /** It waits no more. */
  leave(requestId: RequestId): void {
    const line = this.#places.get(requestId)?.line
    if (!line) return
    this.#places.delete(requestId)
    line.waiting.delete(requestId)
    if (line.waiting.size === 0) this.#lines.delete(line.wanted)
  }
}
