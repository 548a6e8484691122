import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ackFormat,
  cardFormat,
  checkName,
  decodeEntry,
  decodeProof,
  encodeEntry,
  encodeProof,
  headFormat,
  offerFormat,
  receiptFormat,
  resultFormat,
  scoreStatementFormat,
  toName,
} from '../../../protocol/trust/index.ts'
import { acks, cards, entries, heads, offers, proofs, receipts, results, statements } from './arbitraries.ts'

/** Reads back what was written, and writes it again. */
const roundTrip =
  <Value>(
    values: fc.Arbitrary<Value>,
    encode: (value: Value) => Buffer,
    decode: (bytes: Buffer) => unknown,
  ) =>
  (bytesMax: number): void => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value)
        expect(bytes.length).toBeLessThanOrEqual(bytesMax)
        expect(decode(bytes)).toEqual(value)
      }),
    )
  }

describe('every value comes back as it was, in no more bytes than documented:', () => {
  it.each([
    ['offer', 280, roundTrip(offers, offerFormat.encode, offerFormat.decode)],
    ['result', 155, roundTrip(results, resultFormat.encode, resultFormat.decode)],
    ['ack', 142, roundTrip(acks, ackFormat.encode, ackFormat.decode)],
    ['receipt', 585, roundTrip(receipts, receiptFormat.encode, receiptFormat.decode)],
    ['card', 241, roundTrip(cards, cardFormat.encode, cardFormat.decode)],
    ['head', 138, roundTrip(heads, headFormat.encode, headFormat.decode)],
    ['statement', 205, roundTrip(statements, scoreStatementFormat.encode, scoreStatementFormat.decode)],
    ['entry', 593, roundTrip(entries, encodeEntry, decodeEntry)],
    ['proof', 565, roundTrip(proofs, encodeProof, decodeProof)],
  ])('%s, at most %i', (_, bytesMax, check) => {
    expect(() => check(bytesMax)).not.toThrow()
  })
})

describe('any text', () => {
  const wild = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    // Noise seldom has a mark behind what cannot be seen, or spaces at its ends.
    fc
      .array(
        fc.constantFrom(
          ' ',
          '\u3000',
          'e',
          '\u0301',
          '\u200d',
          '\u001b',
          '\ud800',
          '\u{1f642}',
          '\u1100',
          '\u1161',
        ),
      )
      .map((parts) => parts.join('')),
  )

  it('can be made a name, and a name stays as it is', () => {
    fc.assert(
      fc.property(wild, (wanted) => {
        const name = toName(wanted)
        expect(checkName(name)).toBeUndefined()
        expect(toName(name)).toBe(name)
      }),
      { numRuns: 1_000 },
    )
  })
})
