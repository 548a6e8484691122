/** Where the answer went on at another worker. */
export interface Mark {
  /** Characters of the text that came before. */
  readonly at: number
  readonly from: string
  readonly to: string
  readonly gapMs: number
}

/** A stretch of an answer: running text, or code between fences. `start` and `end` are its place in the whole. */
export interface Block {
  readonly kind: 'text' | 'code'
  readonly text: string
  readonly start: number
}

export type Part = Block | ({ readonly kind: 'mark' } & Mark)

/** Splits an answer at its code fences. A fence that is not closed yet runs to the end: the answer may still be coming. */
export function toBlocks(text: string): Block[] {
  const blocks: Block[] = []
  let kind: Block['kind'] = 'text'
  let [start, at] = [0, 0]
  const close = (end: number): void => {
    if (end > start) blocks.push({ kind, text: text.slice(start, end), start })
  }
  for (const line of text.split(/(?<=\n)/)) {
    const next = at + line.length
    if (/^\s{0,3}```/.test(line)) {
      close(at)
      kind = kind === 'text' ? 'code' : 'text'
      start = next
    }
    at = next
  }
  close(at)
  return blocks
}

/** Puts marks where they belong; a block that one falls into is cut in two. */
export function withMarks(blocks: readonly Block[], marks: readonly Mark[]): Part[] {
  const parts: Part[] = []
  let rest = [...marks]
  for (const block of blocks) {
    let { text, start } = block
    for (const mark of rest.filter(({ at }) => at < start + text.length)) {
      // Space before a word stays with what came before: the next part begins with the word.
      const cut =
        Math.max(0, mark.at - start) + (/^ */.exec(text.slice(Math.max(0, mark.at - start)))?.[0].length ?? 0)
      if (cut > 0) parts.push({ ...block, start, text: text.slice(0, cut) })
      parts.push({ kind: 'mark', ...mark })
      text = text.slice(cut)
      start += cut
    }
    rest = rest.filter(({ at }) => at >= start + text.length)
    parts.push({ ...block, start, text })
  }
  return [...parts, ...rest.map((mark) => ({ kind: 'mark' as const, ...mark }))]
}

/** A piece of running text. Links are only those of the web, spelled out. */
export interface Piece {
  readonly kind: 'plain' | 'code' | 'strong' | 'link'
  readonly text: string
}

const pieces = /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(https?:\/\/[^\s<>"'`)\]]+[^\s<>"'`)\].,;:!?])/g

export function toPieces(text: string): Piece[] {
  const found: Piece[] = []
  let at = 0
  for (const match of text.matchAll(pieces)) {
    const [whole, code, strong] = match
    if (match.index > at) found.push({ kind: 'plain', text: text.slice(at, match.index) })
    if (code !== undefined) found.push({ kind: 'code', text: whole.slice(1, -1) })
    else if (strong !== undefined) found.push({ kind: 'strong', text: whole.slice(2, -2) })
    else found.push({ kind: 'link', text: whole })
    at = match.index + whole.length
  }
  if (at < text.length) found.push({ kind: 'plain', text: text.slice(at) })
  return found
}
