/** What a header says of the vocabulary, as far as the engine follows it where it reads a text. */
export interface GgufVocabulary {
  readonly model?: string | undefined
  readonly tokens?: readonly string[] | undefined
  readonly precompiled_charsmap?: readonly number[] | undefined
}

/**
 * What is wrong with a vocabulary with which the engine ends its process over some text, or never comes to an end:
 * reading one text does not show it, and anybody may send the other. Undefined where nothing is.
 */
export function unsoundVocabulary({
  model,
  tokens = [],
  precompiled_charsmap: map = [],
}: GgufVocabulary): string | undefined {
  const read = model === undefined ? undefined : byteReaders[model]
  const bytes = new Set(read && tokens.map(read).filter((byte) => byte >= 0))
  if (read && bytes.size < 256) return 'its vocabulary has no token for some byte'
  if (map.length > 0 && !isClosed(Uint8Array.from(map))) return 'its table of characters leads out of itself'
  return undefined
}

/** By which byte alone a token stands for, in vocabularies that must have one for each: at any other text it is -1. */
const byteReaders: Readonly<Record<string, (token: string) => number>> = {
  llama: (token) => toHexByte(/^<0x([0-9A-F]{2})>$/, token) ?? toCharByte(token) ?? -1,
  // Written as Python writes bytes.
  rwkv: (token) => toHexByte(/^\\x([0-9a-f]{2})$/, token) ?? toEscapedByte(token) ?? toCharByte(token) ?? -1,
}

function toHexByte(pattern: RegExp, token: string): number | undefined {
  const [, digits] = pattern.exec(token) ?? []
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}

const toCharByte = (token: string): number | undefined =>
  token.length === 1 && token < '\u0080' ? token.charCodeAt(0) : undefined

const escapes: Readonly<Record<string, number>> = {
  '\\t': 9,
  '\\n': 10,
  '\\r': 13,
  '\\\\': 92,
  "\\'": 39,
  '\\"': 34,
}
const toEscapedByte = (token: string): number | undefined => escapes[token]

/**
 * Whether every way through a table of characters stays within it. It is a trie as a double array: behind the length of
 * the array in bytes stand its units, and then texts that end with a zero byte, at which the values point.
 */
function isClosed(map: Uint8Array): boolean {
  if (map.length < 9 || map.at(-1) !== 0) return false
  const view = new DataView(map.buffer, map.byteOffset, map.byteLength)
  const unitBytes = view.getUint32(0, true)
  const units = Math.floor(unitBytes / 4)
  const textBytes = map.length - 4 - unitBytes
  if (units === 0 || textBytes <= 0) return false
  const unitAt = (index: number): number => view.getUint32(4 + 4 * index, true)
  const baseOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6)
  const seen = new Set<number>()
  const open = [baseOf(unitAt(0))]
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    if (seen.has(place)) continue
    seen.add(place)
    for (let byte = 1; byte < 256; byte++) {
      const index = (place ^ byte) >>> 0
      if (index >= units) return false
      const unit = unitAt(index)
      if ((unit & 0x8000_00ff) !== byte) continue
      const next = (index ^ baseOf(unit)) >>> 0
      const isEnd = (unit & 0x100) !== 0
      if (isEnd && (next >= units || (unitAt(next) & 0x7fff_ffff) >= textBytes)) return false
      open.push(next)
    }
  }
  return true
}
