/**
 * Counts holes in front of any slot in O(log n): a Fenwick tree, where node i sums the last `i & -i` slots up to i.
 * It costs nothing until somebody leaves from the middle, which is why the tree counts holes and not tickets.
 */
export class HoleCounter {
  #tree: Int32Array | undefined
  #total = 0
  readonly #slots: number

  /** @param slots a power of two. */
  constructor(slots: number) {
    this.#slots = slots
  }

  get total(): number {
    return this.#total
  }

  add(slot: number, delta: 1 | -1): void {
    this.#tree ??= new Int32Array(this.#slots + 1)
    this.#total += delta
    for (let node = slot + 1; node <= this.#slots; node += node & -node) {
      this.#tree[node] = (this.#tree[node] ?? 0) + delta
    }
  }

  /** Holes in the slots 0 … slot − 1. */
  before(slot: number): number {
    if (this.#tree === undefined) return 0
    let sum = 0
    for (let node = slot; node > 0; node -= node & -node) sum += this.#tree[node] ?? 0
    return sum
  }
}
