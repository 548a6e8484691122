export interface Filtered {
  /** Text that can no longer become part of a stop string. */
  readonly text: string
  /** The stop string that was completed; it and what followed are dropped. */
  readonly stoppedBy?: string
}

/**
 * Lets text through unless it is, or may still become, a stop string. Tokens cut text anywhere, so the longest tail
 * that begins some stop string is held back until the next text decides.
 */
export class StopFilter {
  readonly #stops: readonly string[]
  #held = ''

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '')
  }

  push(text: string): Filtered {
    if (this.#stops.length === 0) return { text }
    const buffer = this.#held + text
    const first = this.#stops
      .map((stop) => ({ stop, index: buffer.indexOf(stop) }))
      .filter(({ index }) => index >= 0)
      .reduce<{ stop: string; index: number } | undefined>(
        (best, found) => (best && best.index <= found.index ? best : found),
        undefined,
      )
    if (first) {
      this.#held = ''
      return { text: buffer.slice(0, first.index), stoppedBy: first.stop }
    }
    const heldChars = this.#stops.reduce((longest, stop) => Math.max(longest, overlap(buffer, stop)), 0)
    this.#held = buffer.slice(buffer.length - heldChars)
    return { text: buffer.slice(0, buffer.length - heldChars) }
  }

  /** The answer ended otherwise: what was held back was text after all. */
  flush(): string {
    const held = this.#held
    this.#held = ''
    return held
  }
}

/** Length of the longest tail of `text` that is a proper head of `stop`. */
function overlap(text: string, stop: string): number {
  for (let chars = Math.min(text.length, stop.length - 1); chars > 0; chars--) {
    if (text.endsWith(stop.slice(0, chars))) return chars
  }
  return 0
}
