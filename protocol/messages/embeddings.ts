import { z } from 'zod'
import { limits } from '../limits.ts'

const floatBytes = Float32Array.BYTES_PER_ELEMENT
const toBase64Chars = (bytes: number): number => 4 * Math.ceil(bytes / 3)

/** How far the length of a vector may be from 1: what 32 bits leave of 4,096 squares. */
const lengthTolerance = 1e-3

/** Texts of one prompt; together no longer than a prompt of text may be. */
export const embedTextsSchema = z
  .array(z.string().min(1).max(limits.promptCharsMax))
  .min(1)
  .max(limits.embedTextsMax)
  .refine((texts) => texts.reduce((sum, { length }) => sum + length, 0) <= limits.promptCharsMax, {
    message: `the texts are longer than ${limits.promptCharsMax} characters together`,
  })

/** The vectors of one finish, see `encodeEmbeddings`. */
export const embeddingBlockSchema = z
  .string()
  .max(toBase64Chars(limits.embedTextsMax * limits.embeddingSizeMax * floatBytes))
  .regex(/^[A-Za-z0-9+/]+={0,2}$/)

/** Vectors one after the other, each number as a 32-bit float in little-endian order, all of it as base64. */
export function encodeEmbeddings(vectors: readonly Float32Array[]): string {
  const size = vectors[0]?.length ?? 0
  const bytes = Buffer.alloc(vectors.length * size * floatBytes)
  for (const [row, vector] of vectors.entries()) {
    for (const [column, number] of vector.entries())
      bytes.writeFloatLE(number, (row * size + column) * floatBytes)
  }
  return bytes.toString('base64')
}

/**
 * The vectors of a block that is to hold so many of such a size.
 *
 * @returns what is wrong with it, for the log, where it does not: of another length, or with a vector that has no
 *   direction or is not of length 1
 */
export function decodeEmbeddings(block: string, count: number, size: number): Float32Array[] | string {
  const bytesExpected = count * size * floatBytes
  const bytes = Buffer.from(block, 'base64')
  if (bytes.length !== bytesExpected || block.length !== toBase64Chars(bytesExpected)) {
    return `${bytes.length} bytes of embeddings, where ${count} of ${size} numbers take ${bytesExpected}`
  }
  const vectors: Float32Array[] = []
  for (let row = 0; row < count; row++) {
    const vector = Float32Array.from({ length: size }, (_, column) =>
      bytes.readFloatLE((row * size + column) * floatBytes),
    )
    // Not a number where one of them is none, and infinite where one is.
    const length = lengthOf(vector)
    if (!(Math.abs(length - 1) <= lengthTolerance)) return `an embedding of the length ${length}`
    vectors.push(vector)
  }
  return vectors
}

/**
 * The vector of length 1 in the same direction.
 *
 * @returns undefined where there is none: all numbers are 0, or one is not finite
 */
export function toUnitVector(numbers: ArrayLike<number>): Float32Array | undefined {
  // Squares of very small and very large numbers are 0 and infinite: those of their shares are neither.
  let largest = 0
  for (let index = 0; index < numbers.length; index++)
    largest = Math.max(largest, Math.abs(numbers[index] ?? 0))
  if (!(largest > 0 && largest < Infinity)) return undefined
  const shares = Float64Array.from(numbers, (number) => number / largest)
  const length = lengthOf(shares)
  return Float32Array.from(shares, (share) => share / length)
}

/** The numbers of a vector with no more digits than it takes to tell them apart: as text they are half as long. */
export const toNumbers = (vector: Float32Array): number[] =>
  Array.from(vector, (number) => Number(number.toPrecision(9)))

function lengthOf(numbers: ArrayLike<number>): number {
  let squares = 0
  // Not `reduce`: it is no part of every list of numbers, and this runs a hundred thousand times for one answer.
  for (let index = 0; index < numbers.length; index++) squares += (numbers[index] ?? 0) ** 2
  return Math.sqrt(squares)
}
