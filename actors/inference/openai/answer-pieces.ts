import { createHash } from 'node:crypto'
import { StopFilter } from '../stop-strings.ts'
import { SeamFilter, type ResumeManner } from './seam-filter.ts'

/** Characters that one token stands for at most, as clients believe it. */
const pieceCharsMax = 256

/** A piece of text, and the number that stands for it where the mesh counts tokens. */
export interface Piece {
  readonly token: number
  readonly text: string
}

export interface AnswerPiecesInput {
  readonly stop: readonly string[]
  /** What other workers have given of the answer. */
  readonly begun: string
  readonly manner: ResumeManner
  /** Pieces that may still come. */
  readonly room: number
}

/**
 * Makes pieces of what the engine says: whole letters, without stop strings, none longer than a token may be, and no
 * more than were asked for. Each counts as one token, because what the engine's tokens are is not known.
 */
export class AnswerPieces {
  readonly #stops: StopFilter
  readonly #seam: SeamFilter
  #room: number
  /** Half of a letter of two units; the other half comes with the next text. */
  #half = ''
  #end: 'length' | 'stop-string' | undefined

  constructor({ stop, begun, manner, room }: AnswerPiecesInput) {
    this.#stops = new StopFilter(stop)
    this.#seam = new SeamFilter(begun, manner)
    this.#room = room
    if (room <= 0) this.#end = 'length'
  }

  /** Why nothing more can come, although the engine may say more; undefined while it can. */
  get end(): 'length' | 'stop-string' | undefined {
    return this.#end
  }

  push(said: string): Piece[] {
    if (this.#end) return []
    const whole = this.#half + said
    this.#half = /[\uD800-\uDBFF]$/.exec(whole)?.[0] ?? ''
    const letters = whole.slice(0, whole.length - this.#half.length)
    const { text, stoppedBy } = this.#stops.push(this.#seam.push(toWellFormed(letters)))
    const pieces = this.#cut(text)
    if (stoppedBy !== undefined) this.#end ??= 'stop-string'
    return pieces
  }

  /** The engine is done: what was held back was text after all. */
  flush(): Piece[] {
    if (this.#end) return []
    const { text, stoppedBy } = this.#stops.push(this.#seam.flush())
    const pieces = this.#cut(stoppedBy === undefined ? text + this.#stops.flush() : text)
    if (stoppedBy !== undefined) this.#end ??= 'stop-string'
    return pieces
  }

  #cut(text: string): Piece[] {
    const pieces: Piece[] = []
    for (let from = 0; from < text.length;) {
      if (this.#room === 0) {
        this.#end = 'length'
        break
      }
      const isSplit = /[\uD800-\uDBFF]/.test(text.charAt(from + pieceCharsMax - 1))
      const part = text.slice(from, from + pieceCharsMax - (isSplit ? 1 : 0))
      pieces.push({ token: toToken(part), text: part })
      from += part.length
      this.#room--
    }
    return pieces
  }
}

/** Half letters that have lost their other half are no text. */
const toWellFormed = (text: string): string =>
  text.replaceAll(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD')

/**
 * Three bytes of a hash of the text: no token of any tokenizer. Whoever signs for the numbers of an answer has signed for
 * its text.
 */
const toToken = (text: string): number => createHash('sha256').update(text).digest().readUIntBE(0, 3)
