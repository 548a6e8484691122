const wordBits = 32

/**
 * Which lane has the earliest head. Deadlines stand side by side, and a bit for each lane says whether anybody stands
 * there: a new head is compared with the first only, and when the first one goes only lanes that are not empty are
 * looked at. At equal deadlines the higher lane is first.
 */
export class EarliestLane {
  /** Deadline of each lane's head; infinite when nobody stands there. */
  readonly #dues: Float64Array
  /** The lowest bit of the first word is lane 0. */
  readonly #standing: Int32Array
  #first = 0

  /** @param lanes how many there are, or what is to be copied */
  constructor(lanes: number | EarliestLane) {
    if (typeof lanes === 'number') {
      this.#dues = new Float64Array(lanes).fill(Infinity)
      this.#standing = new Int32Array(Math.ceil(lanes / wordBits))
    } else {
      this.#dues = lanes.#dues.slice()
      this.#standing = lanes.#standing.slice()
      this.#first = lanes.#first
    }
  }

  /** It says nothing while nobody stands in any lane. */
  get first(): number {
    return this.#first
  }

  /** @param dueMs deadline of the lane's head; infinite when nobody stands there any more */
  set(lane: number, dueMs: number): void {
    const word = lane >>> 5
    const bit = 1 << (lane & 31)
    const standing = this.#standing[word] ?? 0
    this.#standing[word] = dueMs === Infinity ? standing & ~bit : standing | bit
    this.#dues[lane] = dueMs
    if (lane === this.#first) return this.#search()
    const firstMs = this.#dues[this.#first] ?? Infinity
    if (dueMs < firstMs || (dueMs === firstMs && lane > this.#first)) this.#first = lane
  }

  #search(): void {
    let first = 0
    let firstMs = Infinity
    for (let word = this.#standing.length - 1; word >= 0; word--) {
      let left = this.#standing[word] ?? 0
      while (left !== 0) {
        const highest = 31 - Math.clz32(left)
        left ^= 1 << highest
        const lane = word * wordBits + highest
        const dueMs = this.#dues[lane] ?? Infinity
        if (dueMs >= firstMs) continue
        first = lane
        firstMs = dueMs
      }
    }
    this.#first = first
  }
}
