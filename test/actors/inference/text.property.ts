import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StopFilter } from '../../../actors/inference/stop-strings.ts'
import { TokenText } from '../../../actors/inference/llama/thread/token-text.ts'

/** A vocabulary of arbitrary bytes: token n is `pieces[n]`, decoded as the engine does. */
const decoderOf = (pieces: readonly Uint8Array[]) => ({
  decode: (tokens: readonly number[]) =>
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(
      Buffer.concat(tokens.map((token) => pieces[token] ?? new Uint8Array())),
    ),
})

const letters = fc.constantFrom('é', '€', '😀', 'a', '中', '\uFFFD')
/** Bytes that are often almost, but not quite, UTF-8. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  letters.map((letter) => Buffer.from(letter)),
  letters.chain((letter) =>
    fc.nat(Buffer.from(letter).length).map((cut) => Buffer.from(letter).subarray(0, cut)),
  ),
  letters.chain((letter) =>
    fc.nat(Buffer.from(letter).length).map((cut) => Buffer.from(letter).subarray(cut)),
  ),
)

describe('text of a stream of tokens', () => {
  it('is the text of all tokens together, whatever bytes they cut letters into', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 40 }), (pieces) => {
        const decoder = decoderOf(pieces)
        const tokens = pieces.flatMap((piece, token) => (piece.length > 0 ? [token] : []))
        const stream = new TokenText(decoder)
        const parts = tokens.map((token) => stream.push(token))
        expect(parts.join('') + stream.flush()).toBe(decoder.decode(tokens))
      }),
      { numRuns: 2_000 },
    )
  })

  it('never shows half a letter that its other half completes', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.infiniteStream(fc.integer({ min: 1, max: 3 })),
        (text, cuts) => {
          const all = Buffer.from(text.replaceAll('\uFFFD', ''))
          const pieces: Buffer[] = []
          for (let at = 0; at < all.length;) {
            const size = cuts.next().value ?? 1
            pieces.push(all.subarray(at, at + size))
            at += size
          }
          const stream = new TokenText(decoderOf(pieces))
          const parts = pieces.map((_, token) => stream.push(token))
          expect(parts.join('')).not.toContain('\uFFFD')
        },
      ),
    )
  })
})

describe('the stop filter', () => {
  const abc = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 })
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  })

  it('lets through exactly what stands before the first stop string, however the text is cut', () => {
    fc.assert(
      fc.property(fc.array(abc, { maxLength: 8 }), stops, (parts, stopStrings) => {
        const filter = new StopFilter(stopStrings)
        let shown = ''
        let isStopped = false
        for (const part of parts) {
          const { text, stoppedBy } = filter.push(part)
          shown += text
          if (stoppedBy !== undefined) {
            isStopped = true
            break
          }
        }
        if (!isStopped) shown += filter.flush()
        const whole = parts.join('')
        expect(isStopped).toBe(stopStrings.some((stop) => whole.includes(stop)))
        for (const stop of stopStrings) expect(shown).not.toContain(stop)
        expect(whole.startsWith(shown)).toBe(true)
        const isCutRight = isStopped
          ? stopStrings.some((stop) => whole.startsWith(stop, shown.length))
          : shown === whole
        expect(isCutRight).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })
})
