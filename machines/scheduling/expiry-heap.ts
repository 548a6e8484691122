interface Expiry<T> {
  readonly atMs: number
  readonly value: T
}

/**
 * Finds the earliest deadline among those waiting. Whoever leaves early is not looked for: `isLive` is asked when an
 * entry comes up, and when the dead are the majority the heap is rebuilt, so its size stays within twice the living.
 */
export class ExpiryHeap<T> {
  #heap: Expiry<T>[] = []
  #dead = 0
  readonly #isLive: (value: T) => boolean

  constructor(isLive: (value: T) => boolean) {
    this.#isLive = isLive
  }

  /** The earliest deadline of one still waiting; infinite when there is none. */
  get nextMs(): number {
    let first = this.#heap[0]
    while (first !== undefined && !this.#isLive(first.value)) {
      this.#pop()
      this.#dead = Math.max(0, this.#dead - 1)
      first = this.#heap[0]
    }
    return first?.atMs ?? Infinity
  }

  add(value: T, atMs: number): void {
    this.#heap.push({ atMs, value })
    this.#up(this.#heap.length - 1)
  }

  /** Takes one whose deadline is at or before `nowMs`. */
  takeDue(nowMs: number): T | undefined {
    return this.nextMs <= nowMs ? this.#pop()?.value : undefined
  }

  /** Says that one value with a deadline left; its entry goes later. */
  left(): void {
    this.#dead++
    if (this.#dead < 64 || this.#dead * 2 < this.#heap.length) return
    const living = this.#heap.filter((entry) => this.#isLive(entry.value))
    this.#heap = []
    this.#dead = 0
    for (const entry of living) this.add(entry.value, entry.atMs)
  }

  #pop(): Expiry<T> | undefined {
    const first = this.#heap[0]
    const last = this.#heap.pop()
    if (last !== undefined && this.#heap.length > 0) {
      this.#heap[0] = last
      this.#down(0)
    }
    return first
  }

  #up(start: number): void {
    for (let at = start; at > 0;) {
      const parent = (at - 1) >> 1
      if (this.#ms(parent) <= this.#ms(at)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #down(start: number): void {
    for (let at = start; ;) {
      const left = at * 2 + 1
      const child = this.#ms(left + 1) < this.#ms(left) ? left + 1 : left
      if (this.#ms(at) <= this.#ms(child)) return
      this.#swap(at, child)
      at = child
    }
  }

  #ms(at: number): number {
    return this.#heap[at]?.atMs ?? Infinity
  }

  #swap(a: number, b: number): void {
    const one = this.#heap[a]
    const other = this.#heap[b]
    if (one === undefined || other === undefined) return
    this.#heap[a] = other
    this.#heap[b] = one
  }
}
