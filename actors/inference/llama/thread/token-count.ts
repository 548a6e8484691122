/** Characters of a text that are tokenized at once to see how long it is. */
const pieceChars = 8_192

/**
 * Whether long texts have more tokens than this, about: they are counted in pieces. The engine's time for one text may
 * grow with the square of its length, so this comes before a text goes in whole.
 */
export function areBeyond(
  texts: readonly string[],
  tokens: number,
  tokenize: (text: string) => readonly unknown[],
): boolean {
  if (texts.reduce((sum, { length }) => sum + length, 0) <= pieceChars) return false
  let counted = 0
  for (const text of texts) {
    for (let from = 0; from < text.length && counted <= tokens; from += pieceChars) {
      counted += tokenize(text.slice(from, from + pieceChars)).length
    }
  }
  return counted > tokens
}
