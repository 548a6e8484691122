import { decodeEntry, type LogEntry } from '../../../protocol/trust/index.ts'

/** An entry and its place in its log, from 0. */
export interface PlacedEntry {
  readonly index: number
  readonly entry: LogEntry
}

interface Readable {
  read(from: number, to: number): AsyncIterable<Uint8Array[]>
}

/** The last entries of the first `length` of a log, oldest first; none of one that is not here. */
export async function readLast(
  log: Readable | undefined,
  length: number,
  last: number,
): Promise<PlacedEntry[]> {
  const from = Math.max(0, length - last)
  const entries: PlacedEntry[] = []
  if (!log) return entries
  for await (const slice of log.read(from, length)) {
    for (const bytes of slice) entries.push({ index: from + entries.length, entry: decodeEntry(bytes) })
  }
  return entries
}
