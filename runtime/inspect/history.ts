import type { InspectionEntry } from '../../protocol/inspection.ts'

export interface HistoryBounds {
  readonly entriesMax: number
  /** Bytes of the entries as JSON, which is about what they take in memory. */
  readonly bytesMax: number
}

export const defaultHistoryBounds: HistoryBounds = { entriesMax: 2_000, bytesMax: 1024 * 1024 }

interface Kept {
  readonly entry: InspectionEntry
  readonly bytes: number
}

/** What happened lately, the oldest first. The oldest goes when there is too much of it. */
export class History {
  readonly #bounds: HistoryBounds
  #kept: Kept[] = []
  /** Entries at the front of `#kept` that are gone already; moved out by and by, not one at a time. */
  #gone = 0
  #bytes = 0

  constructor(bounds: HistoryBounds = defaultHistoryBounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#kept.length - this.#gone
  }

  get bytes(): number {
    return this.#bytes
  }

  push(entry: InspectionEntry, bytes: number): void {
    const { entriesMax, bytesMax } = this.#bounds
    this.#kept.push({ entry, bytes })
    this.#bytes += bytes
    while (this.size > entriesMax || (this.#bytes > bytesMax && this.size > 1)) {
      this.#bytes -= this.#kept[this.#gone]?.bytes ?? 0
      this.#gone++
    }
    if (this.#gone > entriesMax) this.#compact()
  }

  list(): InspectionEntry[] {
    this.#compact()
    return this.#kept.map(({ entry }) => entry)
  }

  clear(): void {
    this.#kept = []
    this.#gone = 0
    this.#bytes = 0
  }

  #compact(): void {
    if (this.#gone === 0) return
    this.#kept = this.#kept.slice(this.#gone)
    this.#gone = 0
  }
}
