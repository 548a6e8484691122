import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeEmbeddings,
  embeddingBlockSchema,
  encodeEmbeddings,
  encodeFrame,
  limits,
  parseInferenceMessage,
  toNumbers,
  toUnitVector,
} from '../../protocol/index.ts'
import { samples } from '../support/messages.ts'

const shapes = fc.record({ count: fc.integer({ min: 1, max: 8 }), size: fc.integer({ min: 1, max: 64 }) })

/** Vectors of length 1 in any direction. */
const unitVectors = shapes.chain(({ count, size }) =>
  fc
    .array(
      fc
        .array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: size, maxLength: size })
        .map((numbers) => toUnitVector(numbers))
        .filter((vector) => vector !== undefined),
      { minLength: count, maxLength: count },
    )
    .map((vectors) => ({ vectors, count, size })),
)

test('what is encoded is decoded again, to the bit, and crosses the wire', () => {
  fc.assert(
    fc.property(unitVectors, ({ vectors, count, size }) => {
      const embeddings = encodeEmbeddings(vectors)
      const { finish } = samples.response
      const response = { ...samples.response, finish: { ...finish, embeddings } }
      expect(parseInferenceMessage(JSON.parse(JSON.stringify(response)))).toMatchObject({
        kind: 'message',
        message: { finish: { embeddings } },
      })
      expect(decodeEmbeddings(embeddings, count, size)).toEqual(vectors)
    }),
  )
})

test('any block is vectors of length 1 in the expected number and size, or says what is wrong', () => {
  const blocks = fc.oneof(
    fc.base64String(),
    fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    unitVectors.map(({ vectors }) => encodeEmbeddings(vectors)),
  )
  fc.assert(
    fc.property(blocks, shapes, (block, { count, size }) => {
      const decoded = decodeEmbeddings(block, count, size)
      if (typeof decoded === 'string') return
      expect(decoded).toHaveLength(count)
      for (const vector of decoded) {
        expect(vector).toHaveLength(size)
        expect(Math.hypot(...vector)).toBeCloseTo(1, 2)
      }
    }),
  )
})

test('one flipped bit in a number that matters is no vector of length 1, or another vector', () => {
  fc.assert(
    fc.property(unitVectors, fc.nat(), ({ vectors, count, size }, at) => {
      const bytes = Buffer.from(encodeEmbeddings(vectors), 'base64')
      const bit = at % (8 * bytes.length)
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(decodeEmbeddings(bytes.toString('base64'), count, size)).not.toEqual(vectors)
    }),
  )
})

test('numbers written as text are the same numbers when they are read', () => {
  fc.assert(
    fc.property(unitVectors, ({ vectors }) => {
      for (const vector of vectors) {
        const text = JSON.stringify(toNumbers(vector))
        // JSON has no zero below zero.
        expect(Float32Array.from(JSON.parse(text) as number[])).toEqual(vector.map((number) => number + 0))
      }
    }),
  )
})

test('the most and widest vectors there may be fit one frame', () => {
  const vector = toUnitVector(Array.from({ length: limits.embeddingSizeMax }, () => 1)) ?? new Float32Array()
  const vectors = Array.from({ length: limits.embedTextsMax }, () => vector)
  const embeddings = encodeEmbeddings(vectors)
  expect(embeddingBlockSchema.safeParse(embeddings).success).toBe(true)
  const { finish } = samples.response
  const message = { ...samples.response, finish: { ...finish, embeddings } }
  expect(encodeFrame(message).length).toBeLessThan(limits.frameBytesMax)
  expect(embeddingBlockSchema.safeParse(`${embeddings}AAAA`).success).toBe(false)
})

test.each([
  ['of one number, the smallest there is', [-Number.MIN_VALUE], [-1]],
  ['whose squares are 0', [3e-200, -4e-200], [0.6, -0.8]],
  ['whose squares are infinite', [3e200, -4e200], [0.6, -0.8]],
  ['of nothing', [], undefined],
  ['without a direction', [0, -0], undefined],
  ['that is not finite', [1, -Infinity], undefined],
  ['with what is no number', [1, Number.NaN], undefined],
])('a vector %s', (_, numbers, unit) => {
  expect(toUnitVector(numbers)).toEqual(unit && Float32Array.from(unit))
})
