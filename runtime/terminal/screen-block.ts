import { oneLine } from '../plain-text.ts'

/** The part of a terminal that is drawn on. */
export interface Screen {
  readonly columns: number
  readonly rows: number
  write(text: string): void
}

/** A line of a block; a heading is drawn bold. Text of others in it is made plain, and cut where the screen ends. */
export type Line = string | { readonly heading: string }

const escape = '\u001B['
/** Everything between these two appears at once on terminals that know them; others ignore them. */
const [beginFrame, endFrame] = [`${escape}?2026h`, `${escape}?2026l`]
/** Letters may be wider than they are counted: a line that is too long ends at the margin instead of taking two. */
const [withoutWrap, withWrap] = [`${escape}?7l`, `${escape}?7h`]
const [clearToEndOfLine, clearToEnd] = [`${escape}K`, `${escape}J`]
const [bold, notBold] = [`${escape}1m`, `${escape}22m`]

/**
 * Lines on a terminal that are drawn anew in their place, below others that stay. A line is written over and then cleared
 * to its end, never the other way round: nothing flickers, also where a terminal shows what is half drawn.
 */
export class ScreenBlock {
  readonly #screen: Screen
  /** As it was drawn. */
  #block: readonly string[] = []

  constructor(screen: Screen) {
    this.#screen = screen
  }

  /** Lines that fit: with one more the screen would move up, and the way back would end too early. */
  get linesMax(): number {
    return Math.max(1, this.#screen.rows - 1)
  }

  /** Draws these lines in the place of those before; writes nothing when they are the same. */
  show(lines: readonly Line[]): void {
    const next = lines.slice(0, this.linesMax).map((line) => this.#paint(line))
    const isSame = next.length === this.#block.length && next.every((line, at) => line === this.#block[at])
    if (!isSame) this.#draw([], next)
  }

  /** A line that stays, above the block. */
  say(line: string): void {
    this.#draw([oneLine(line)], this.#block)
  }

  /** Somebody cleared the screen, or it has another size: what was drawn is not where it was. */
  forget(): void {
    this.#block = []
  }

  #draw(said: readonly string[], next: readonly string[]): void {
    const up = this.#block.length > 0 ? `\r${escape}${this.#block.length}A` : ''
    // What stays may be long: it wraps, as the terminal does it.
    const lines = [
      ...said.map((line) => `${line}${clearToEndOfLine}\n`),
      withoutWrap,
      ...next.map((line) => `${line}${clearToEndOfLine}\n`),
      withWrap,
    ]
    this.#screen.write(`${beginFrame}${up}${lines.join('')}${clearToEnd}${endFrame}`)
    this.#block = next
  }

  #paint(line: Line): string {
    if (typeof line === 'string') return fit(line, this.#screen.columns)
    return `${bold}${fit(line.heading, this.#screen.columns)}${notBold}`
  }
}

/** Text of others, cut where a line ends. */
function fit(line: string, columns: number): string {
  const plain = oneLine(line)
  return plain.length < columns ? plain : `${plain.slice(0, Math.max(0, columns - 2))}…`
}
