/**
 * What a terminal would obey instead of show: controls (C0, DEL, C1), the separators some take for a new line, and the
 * embeddings, overrides and isolates that reorder what stands around them, by which a text can look like another.
 */
const obeyed = /[\p{Cc}\u2028-\u202E\u2066-\u2069]/gu

/**
 * Text of others for a terminal: control characters could move the cursor, change the title, answer queries or hide
 * what was written, so each is replaced by a visible sign. Line feed and tab stay. Works on any cut of a text.
 */
export function plainText(text: string): string {
  return text.replaceAll(obeyed, (character) => {
    if (character === '\n' || character === '\t') return character
    if (character === '\r') return ''
    const code = character.charCodeAt(0)
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\u{FFFD}'
  })
}

/** The same on one line. */
export const oneLine = (text: string): string => plainText(text).replaceAll(/[\n\t]/g, ' ')
