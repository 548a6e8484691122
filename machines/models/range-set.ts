/** Bytes from `start` up to, and not with, `end`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A set of bytes as ranges in order, none of which touch: what is there of a file. */
export class RangeSet {
  #ranges: ByteRange[] = []
  #bytes = 0

  constructor(ranges: Iterable<ByteRange> = []) {
    for (const { start, end } of ranges) this.add(start, end)
  }

  /** Bytes in it. */
  get bytes(): number {
    return this.#bytes
  }

  get ranges(): readonly ByteRange[] {
    return this.#ranges
  }

  add(start: number, end: number): void {
    if (start >= end) return
    const first = this.#firstEndingAt(start)
    let last = first
    let [low, high, joined] = [start, end, 0]
    for (; last < this.#ranges.length; last++) {
      const range = this.#ranges[last]
      if (!range || range.start > end) break
      low = Math.min(low, range.start)
      high = Math.max(high, range.end)
      joined += range.end - range.start
    }
    this.#ranges.splice(first, last - first, { start: low, end: high })
    this.#bytes += high - low - joined
  }

  remove(start: number, end: number): void {
    if (start >= end) return
    const kept = this.#ranges.flatMap((range) => {
      if (range.end <= start || range.start >= end) return [range]
      const parts = [
        { start: range.start, end: start },
        { start: end, end: range.end },
      ]
      return parts.filter((part) => part.start < part.end)
    })
    this.#ranges = kept
    this.#bytes = kept.reduce((sum, range) => sum + range.end - range.start, 0)
  }

  has(start: number, end: number): boolean {
    if (start >= end) return true
    const range = this.#ranges[this.#firstEndingAt(start + 1)]
    return range !== undefined && range.start <= start && range.end >= end
  }

  /** What is not in it, of the bytes from 0 to `total`. */
  missing(total: number): ByteRange[] {
    const gaps: ByteRange[] = []
    let at = 0
    for (const { start, end } of this.#ranges) {
      if (start >= total) break
      if (start > at) gaps.push({ start: at, end: start })
      at = end
    }
    if (at < total) gaps.push({ start: at, end: total })
    return gaps
  }

  /** Place of the first range that ends at `byte` or behind it: by halves, for a file may come in many pieces. */
  #firstEndingAt(byte: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#ranges[middle]?.end ?? 0) < byte) low = middle + 1
      else high = middle
    }
    return low
  }
}
