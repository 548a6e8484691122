import type { InspectionEntry, SafeValue } from '../../protocol/inspection.ts'

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

/** A context that one entry after the other had. */
interface Held {
  readonly bytes: number
  holders: number
}

/** What happened lately, the oldest first. The oldest goes when there is too much of it. */
export class History {
  readonly #bounds: HistoryBounds
  #kept: Kept[] = []
  /** Entries at the front of `#kept` that are gone already; moved out by and by, not one at a time. */
  #gone = 0
  #bytes = 0
  /** Each counts once, and for as long as one of its entries is kept. */
  readonly #contexts = new Map<SafeValue, Held>()

  constructor(bounds: HistoryBounds = defaultHistoryBounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#kept.length - this.#gone
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * @param bytes of the entry without its context
   * @param contextBytes of the context, which many entries may share
   */
  push(entry: InspectionEntry, bytes: number, contextBytes = 0): void {
    const { entriesMax, bytesMax } = this.#bounds
    this.#kept.push({ entry, bytes })
    this.#bytes += bytes
    this.#hold(entry, contextBytes)
    while (this.size > entriesMax || (this.#bytes > bytesMax && this.size > 1)) {
      const oldest = this.#kept[this.#gone++]
      if (!oldest) break
      this.#bytes -= oldest.bytes
      this.#release(oldest.entry)
    }
    // What is gone must not take more room than what is kept.
    if (this.#gone > this.size) this.#compact()
  }

  list(): InspectionEntry[] {
    this.#compact()
    return this.#kept.map(({ entry }) => entry)
  }

  clear(): void {
    this.#kept = []
    this.#gone = 0
    this.#bytes = 0
    this.#contexts.clear()
  }

  #hold(entry: InspectionEntry, bytes: number): void {
    const context = contextOf(entry)
    if (context === undefined) return
    const held = this.#contexts.get(context)
    if (held) held.holders++
    else {
      this.#contexts.set(context, { bytes, holders: 1 })
      this.#bytes += bytes
    }
  }

  #release(entry: InspectionEntry): void {
    const context = contextOf(entry)
    const held = context === undefined ? undefined : this.#contexts.get(context)
    if (context === undefined || !held || --held.holders > 0) return
    this.#contexts.delete(context)
    this.#bytes -= held.bytes
  }

  #compact(): void {
    if (this.#gone === 0) return
    this.#kept = this.#kept.slice(this.#gone)
    this.#gone = 0
  }
}

const contextOf = (entry: InspectionEntry): SafeValue | undefined =>
  entry.kind === 'event' ? entry.context : undefined
