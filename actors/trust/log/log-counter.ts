/** How long a log was, and what it held. */
export interface LogMark {
  readonly length: number
  /** Tree hash over that many entries, 64 hex characters. */
  readonly treeHash: string
}

/** A small file outside the folder of the logs, so that a log that was lost or restored is noticed. */
export interface LogCounter {
  /** The last mark; nothing when there is none or it cannot be read. */
  read(): Promise<LogMark | undefined>
  /** Written whole or not at all. */
  write(mark: LogMark): Promise<void>
}

/** Keeps the counter near what was acknowledged: one write at a time, and always of the newest mark. */
export class MarkKeeper {
  readonly #counter: LogCounter
  #mark: LogMark | undefined
  #written: LogMark | undefined
  #writing: Promise<void> | undefined

  constructor(counter: LogCounter) {
    this.#counter = counter
  }

  get mark(): LogMark | undefined {
    return this.#mark
  }

  async load(): Promise<void> {
    this.#mark = await this.#counter.read().catch(() => undefined)
    this.#written = this.#mark
  }

  /** Never throws: a counter that lags behind is only less watchful. */
  keep(mark: LogMark): void {
    this.#mark = mark
    this.#writing ??= this.#write()
  }

  /** Waits until the newest mark is written, or cannot be. */
  async close(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    while (this.#mark && this.#mark !== this.#written) {
      const mark = this.#mark
      try {
        await this.#counter.write(mark)
        this.#written = mark
      } catch {
        // The next append tries again.
        break
      }
    }
    this.#writing = undefined
  }
}
