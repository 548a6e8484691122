import { describe, expect, it } from 'vitest'
import { unsoundVocabulary } from '../../../../actors/models/facts/vocabulary-check.ts'

/** A table in which one letter, `a`, stands for a text at `textAt`. */
function tableOf({ units = 256, textAt = 0, base = 0, text = 'b\0' } = {}): number[] {
  const bytes = Buffer.alloc(4 + 4 * units)
  bytes.writeUInt32LE(4 * units)
  const letter = 'a'.charCodeAt(0)
  // Its value stands where its own base leads: at unit 1.
  bytes.writeUInt32LE(base << 10, 4)
  const at = base ^ letter
  if (at < units) bytes.writeUInt32LE((((at ^ 1) << 10) | 0x100 | letter) >>> 0, 4 + 4 * at)
  bytes.writeUInt32LE((0x8000_0000 | textAt) >>> 0, 8)
  return [...bytes, ...Buffer.from(text)]
}

describe('a table of characters', () => {
  const check = (map: readonly number[]) => unsoundVocabulary({ model: 't5', precompiled_charsmap: map })

  it('is sound where no way leads out of it', () => {
    expect(check(tableOf())).toBeUndefined()
    expect(check([])).toBeUndefined()
    // What the engine reads as signed bytes is the same.
    expect(check(tableOf().map((byte) => (byte << 24) >> 24))).toBeUndefined()
  })

  it.each([
    ['too short for any byte', tableOf({ units: 128 })],
    ['of nothing', [0, 0, 0, 0, 98, 0, 0, 0, 0, 0]],
    ['that begins outside', tableOf({ base: 512 })],
    ['with a text that is not there', tableOf({ textAt: 2 })],
    ['with a text without an end', tableOf({ text: 'b' })],
    ['that is cut', tableOf().slice(0, 600)],
    ['of a few bytes', [0, 2, 0, 0]],
  ])('is not sound when it is one %s', (_, map) => {
    expect(check(map)).toContain('table of characters')
  })
})

describe('bytes that have no token', () => {
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
  const pieces = bytes.map((byte) => `<0x${hex(byte).toUpperCase()}>`)
  const escaped = bytes.map((byte) => {
    const character = String.fromCharCode(byte)
    if (character === '\\') return '\\\\'
    return byte >= 0x20 && byte < 0x7f ? character : `\\x${hex(byte)}`
  })

  it.each([
    ['llama', pieces],
    ['rwkv', escaped],
  ])('are found in a vocabulary of the kind %s', (model, tokens) => {
    expect(unsoundVocabulary({ model, tokens: ['the', ...tokens] })).toBeUndefined()
    expect(unsoundVocabulary({ model, tokens: tokens.toSpliced(0xc3, 1, 'the') })).toContain('some byte')
    expect(unsoundVocabulary({ model })).toContain('some byte')
  })

  it('do no harm in others', () => {
    expect(unsoundVocabulary({ model: 'bert', tokens: ['the'] })).toBeUndefined()
    expect(unsoundVocabulary({})).toBeUndefined()
  })
})
