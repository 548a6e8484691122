/** The part of a model that turns tokens into text. */
export interface PieceDecoder {
  /** Text of some tokens; bytes that are not UTF-8 become U+FFFD, one for each maximal invalid part. */
  decode(tokens: readonly number[]): string
}

const replacement = '\uFFFD'
/** Tokens held back at most: a letter has four bytes, the rest is room for tokens without text. */
const openTokensMax = 16

/**
 * Turns a stream of tokens into a stream of text whose concatenation is the text of all tokens together.
 *
 * A token's text is cached, so most tokens cost no native call. A token that ends in half a letter decodes to a final
 * U+FFFD: that character is held back (`open`), and the tokens that may still complete it are decoded again with the
 * next one. Everything before it is certain, because UTF-8 is decoded from left to right.
 */
export class TokenText {
  readonly #decoder: PieceDecoder
  readonly #pieces: Map<number, string>
  /** Tokens whose joint text ends in a U+FFFD that is not certain yet. */
  #open: number[] = []
  /** Characters of the joint text of `#open` that went out before. */
  #sentChars = 0
  #openChars = 0

  /** @param pieces a cache that may be shared by all streams of a model. */
  constructor(decoder: PieceDecoder, pieces = new Map<number, string>()) {
    this.#decoder = decoder
    this.#pieces = pieces
  }

  push(token: number): string {
    const piece = this.#piece(token)
    if (this.#open.length === 0) {
      if (!piece.endsWith(replacement)) return piece
      this.#hold([token], piece.length - 1, piece.length)
      return piece.slice(0, -1)
    }
    const tokens = [...this.#open, token]
    const text = this.#decoder.decode(tokens)
    const sentChars = this.#sentChars
    if (!text.endsWith(replacement) || tokens.length > openTokensMax) {
      this.#hold([], 0, 0)
      return text.slice(sentChars)
    }
    // Longer than before: the open letter begins in the new token, and what precedes it in there is certain too.
    if (text.length > this.#openChars) this.#hold([token], piece.length - 1, piece.length)
    else this.#hold(tokens, sentChars, text.length)
    return text.slice(sentChars, -1)
  }

  /** The stream ended: the half letter is all there will be. */
  flush(): string {
    const isOpen = this.#open.length > 0
    this.#hold([], 0, 0)
    return isOpen ? replacement : ''
  }

  #hold(tokens: number[], sentChars: number, openChars: number): void {
    this.#open = tokens
    this.#sentChars = sentChars
    this.#openChars = openChars
  }

  #piece(token: number): string {
    let piece = this.#pieces.get(token)
    if (piece === undefined) {
      piece = this.#decoder.decode([token])
      this.#pieces.set(token, piece)
    }
    return piece
  }
}
