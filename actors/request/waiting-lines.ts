import type { RequestId } from '../../protocol/index.ts'

/**
 * Requests that found no worker, a line for each thing that is wanted, in the order in which they began to wait. Whoever
 * stands first takes the next place there is: a newcomer that comes at the right moment would pass all of them, and with
 * enough newcomers some would never be served.
 */
export class WaitingLines {
  readonly #lines = new Map<string, Set<RequestId>>()
  readonly #places = new Map<RequestId, string>()

  get isEmpty(): boolean {
    return this.#places.size === 0
  }

  /** Whether somebody who wants the same waits for longer. */
  isBehind(requestId: RequestId, wanted: string): boolean {
    const [first] = this.#lines.get(wanted) ?? []
    return first !== undefined && first !== requestId
  }

  /** It waits from now on, or still. */
  join(requestId: RequestId, wanted: string): void {
    if (this.#places.has(requestId)) return
    const line = this.#lines.get(wanted) ?? new Set()
    this.#lines.set(wanted, line.add(requestId))
    this.#places.set(requestId, wanted)
  }

  /** It was served, or waits no more. */
  leave(requestId: RequestId): void {
    const wanted = this.#places.get(requestId)
    if (wanted === undefined) return
    this.#places.delete(requestId)
    const line = this.#lines.get(wanted)
    line?.delete(requestId)
    if (line?.size === 0) this.#lines.delete(wanted)
  }
}
