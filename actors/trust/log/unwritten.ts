import { decodeEntry, encodeEntry } from '../../../protocol/trust/index.ts'
import type { NewEntry } from './own-log.ts'

/** A place outside the log for what the log does not take. */
export interface UnwrittenFile {
  /** Nothing when there is none, or it is damaged. Never rejects. */
  read(): Promise<readonly Uint8Array[]>
  /** Replaces all of it, whole or not at all. Never rejects. @returns whether it is written */
  write(entries: readonly Uint8Array[]): Promise<boolean>
}

/**
 * Keeps what waits for the own log over a stop. It is taken out only once it is in the log: whoever is killed in
 * between finds it again, and the log itself knows what it holds.
 */
export class Unwritten {
  readonly #file: UnwrittenFile | undefined
  readonly #waiting: () => readonly NewEntry[]
  /** What the file holds, by the entries themselves; undefined before it was read. */
  #kept: readonly unknown[] = []
  #writing: Promise<void> = Promise.resolve()

  /** @param waiting what the log has not taken, at the moment of the call */
  constructor(file: UnwrittenFile | undefined, waiting: () => readonly NewEntry[]) {
    this.#file = file
    this.#waiting = waiting
  }

  /** What was left of the last run, oldest first. */
  async load(): Promise<NewEntry[]> {
    const kept = (await this.#file?.read()) ?? []
    this.#kept = kept
    return kept.flatMap(toEntry)
  }

  /** Brings the file up to date; nothing is written when it is. Resolves when that is done. */
  keep(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#keep())
    return this.#writing
  }

  async #keep(): Promise<void> {
    const waiting = this.#waiting()
    const isSame = waiting.length === this.#kept.length && waiting.every((one, at) => one === this.#kept[at])
    if (isSame) return
    if (!this.#file || (await this.#file.write(waiting.flatMap(toBytes)))) this.#kept = waiting
  }
}

/** What has no encoding can be written nowhere, and must not keep the others out. */
function toBytes(entry: NewEntry): Uint8Array[] {
  try {
    return [encodeEntry(entry)]
  } catch {
    return []
  }
}

function toEntry(bytes: Uint8Array): NewEntry[] {
  try {
    const entry = decodeEntry(bytes)
    return entry.type === 'receipt' || entry.type === 'paid' ? [entry] : []
  } catch {
    // Damaged: the other entries are good all the same.
    return []
  }
}
