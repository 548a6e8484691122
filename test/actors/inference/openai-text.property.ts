import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerPieces } from '../../../actors/inference/openai/answer-pieces.ts'
import { EventLines } from '../../../actors/inference/openai/event-lines.ts'
import { limits } from '../../../protocol/index.ts'

/** Few different letters, so that stop strings and beginnings come about; some of two units. */
const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '🙂', 'é'), maxLength: 600 })
const cuts = fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 20 })

function cutAt<Part extends { slice(from: number, to?: number): Part }>(
  whole: Part,
  at: readonly number[],
): Part[] {
  const places = [0, ...at.toSorted((a, b) => a - b)]
  return places.map((from, index) => whole.slice(from, places[index + 1]))
}

function say(parts: readonly string[], input: { stop: string[]; begun: string; room: number }) {
  const answer = new AnswerPieces({ ...input, manner: 'continues' })
  const pieces = [...parts.flatMap((part) => answer.push(part)), ...answer.flush()]
  return { pieces, text: pieces.map((piece) => piece.text).join(''), end: answer.end }
}

describe('what an engine says', () => {
  const stop = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\n'), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  })
  const begun = fc.oneof(fc.constant(''), text)

  it('is the same text however it is cut', () => {
    fc.assert(
      fc.property(text, cuts, stop, begun, fc.boolean(), (said, at, stops, before, isRepeated) => {
        const whole = isRepeated ? before + said : said
        const input = { stop: stops, begun: before, room: 100_000 }
        const { text: cut, end } = say(cutAt(whole, at), input)
        const once = say([whole], input)
        expect(cut).toBe(once.text)
        expect(end).toBe(once.end)
        for (const one of stops) expect(cut).not.toContain(one)
      }),
    )
  })

  it('without stop strings it is what was said, less the beginning that the reader has', () => {
    fc.assert(
      fc.property(text, cuts, begun, (said, at, before) => {
        const plain = say(cutAt(said, at), { stop: [], begun: '', room: 100_000 })
        expect(plain.text).toBe(said)
        const isTelling = before.length >= 16
        const again = say(cutAt(before + said, at), { stop: [], begun: before, room: 100_000 })
        expect(again.text).toBe(isTelling ? said : before + said)
      }),
    )
  })

  it('comes in pieces that clients believe: whole letters, not too long, not too many', () => {
    fc.assert(
      fc.property(text, cuts, fc.integer({ min: 0, max: 6 }), (said, at, room) => {
        const { pieces, end } = say(cutAt(said, at), { stop: [], begun: '', room })
        expect(pieces.length).toBeLessThanOrEqual(room)
        for (const { token, text: part } of pieces) {
          expect(part.length).toBeGreaterThan(0)
          expect(part.length).toBeLessThanOrEqual(256)
          expect(part).not.toMatch(/[\uD800-\uDBFF]$|^[\uDC00-\uDFFF]/)
          expect(token).toBeLessThanOrEqual(limits.tokenIdMax)
        }
        if (pieces.map((piece) => piece.text).join('') !== said) expect(end).toBe('length')
      }),
    )
  })

  it('is read from bytes that are cut anywhere', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 40, unit: 'grapheme' }), { maxLength: 10 }),
        cuts,
        (said, at) => {
          const events = said.map((one) => JSON.stringify(one))
          const bytes = Buffer.from(`: hello\n${events.map((event) => `data: ${event}\r\n\r\n`).join('')}`)
          const lines = new EventLines()
          expect(cutAt(bytes, at).flatMap((part) => lines.push(part))).toEqual(events)
        },
      ),
    )
  })
})
