/** Whatever JSON can hold, or bytes. */
export type IndexValue = string | number | boolean | null | readonly unknown[] | object | Uint8Array

/** Bytes of a key. */
const keyBytesMax = 1_024

const bytesTag = Buffer.of(0)
const jsonTag = Buffer.of(1)

/**
 * The UTF-8 bytes of a key.
 *
 * @throws RangeError for a key that is empty, longer than 1,024 bytes, or has a lone surrogate, which has no bytes
 */
export function toKeyBytes(key: string): Buffer {
  const bytes = Buffer.from(key)
  if (bytes.length === 0 || bytes.length > keyBytesMax || bytes.toString() !== key) {
    throw new RangeError(`A key of the index must be a text of 1 to ${keyBytesMax} bytes.`)
  }
  return bytes
}

export const encodeValue = (value: IndexValue): Buffer =>
  value instanceof Uint8Array
    ? Buffer.concat([bytesTag, value])
    : Buffer.concat([jsonTag, Buffer.from(JSON.stringify(value))])

/** @throws SyntaxError when the value is damaged */
export function decodeValue(bytes: Buffer): IndexValue {
  if (bytes[0] === 0) return bytes.subarray(1)
  if (bytes[0] === 1) return JSON.parse(bytes.toString('utf8', 1)) as IndexValue
  throw new SyntaxError('A value of the index has no known type.')
}
