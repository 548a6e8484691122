import { ByteReader, ByteWriter, malformed } from './bytes.ts'

/** How one value becomes bytes and back. Bounds are checked both ways: what we sign, others must be able to read. */
export interface Codec<Value> {
  write(to: ByteWriter, value: Value): void
  read(from: ByteReader): Value
}

export type Fields<Value> = { readonly [Name in keyof Value]: Codec<Value[Name]> }

const bounded = (value: number, min: number, max: number): number => {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw malformed(`${value} is not a whole number from ${min} to ${max}`)
}

export const uint = (size: 1 | 2 | 4, max = 256 ** size - 1): Codec<number> => ({
  write: (to, value) => void to.uint(bounded(value, 0, max), size),
  read: (from) => bounded(from.uint(size), 0, max),
})

export const varint = (max: number = Number.MAX_SAFE_INTEGER): Codec<number> => ({
  write: (to, value) => void to.varint(bounded(value, 0, max)),
  read: (from) => bounded(from.varint(), 0, max),
})

/** A number from −max to max, as zigzag varint: 0, −1, 1, −2, … */
export const signed = (max: number): Codec<number> => ({
  write: (to, value) => {
    const checked = bounded(value, -max, max)
    to.varint(checked < 0 ? -2 * checked - 1 : 2 * checked)
  },
  read: (from) => {
    const zigzag = from.varint()
    return bounded(zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2, -max, max)
  },
})

/** Bytes of a fixed length, as lower-case hex. */
export const hex = (length: number): Codec<string> => ({
  write: (to, value) => {
    if (value.length !== 2 * length || !/^[0-9a-f]*$/.test(value))
      throw malformed(`${length} bytes of hex were expected`)
    to.bytes(Buffer.from(value, 'hex'))
  },
  read: (from) => from.bytes(length).toString('hex'),
})

/** The same, or nothing: one byte says which. */
export const optionalHex = (length: number): Codec<string> => ({
  write: (to, value) => {
    to.uint(value === '' ? 0 : 1, 1)
    if (value !== '') hex(length).write(to, value)
  },
  read: (from) => (bounded(from.uint(1), 0, 1) === 1 ? hex(length).read(from) : ''),
})

/** One of a list, as its place in it; the list may grow at its end only. */
export const oneOf = <Value extends string>(values: readonly Value[]): Codec<Value> => ({
  write: (to, value) => void to.uint(bounded(values.indexOf(value), 0, values.length - 1), 1),
  read: (from) => {
    const value = values[from.uint(1)]
    if (value === undefined) throw malformed('it has a kind that is not known')
    return value
  },
})

/** Named bits of one byte, from the lowest; the others must be 0. */
export const bits = <Name extends string>(
  names: readonly Name[],
): Codec<Readonly<Record<Name, boolean>>> => ({
  write: (to, value) => {
    to.uint(
      names.reduce((byte, name, index) => byte | (value[name] ? 1 << index : 0), 0),
      1,
    )
  },
  read: (from) => {
    const byte = bounded(from.uint(1), 0, 2 ** names.length - 1)
    const pairs = names.map((name, index) => [name, (byte & (1 << index)) !== 0] as const)
    return Object.fromEntries(pairs) as Record<Name, boolean>
  },
})

/**
 * Short UTF-8 text behind its length in bytes, at most 255.
 *
 * @param check what is wrong with a text, if something is; it decides what counts as evidence, so it must answer alike
 *   in every version of every runtime
 */
export const text = (bytesMax: number, check: (value: string) => string | undefined): Codec<string> => ({
  write: (to, value) => {
    const bytes = Buffer.from(value)
    const wrong = bytes.length > bytesMax ? `a text is longer than ${bytesMax} bytes` : check(value)
    if (wrong !== undefined) throw malformed(wrong)
    to.uint(bytes.length, 1).bytes(bytes)
  },
  read: (from) => {
    const bytes = from.bytes(bounded(from.uint(1), 0, bytesMax))
    const value = bytes.toString()
    if (!Buffer.from(value).equals(bytes)) throw malformed('a text is not UTF-8')
    const wrong = check(value)
    if (wrong !== undefined) throw malformed(wrong)
    return value
  },
})

/** A list of fixed length. */
export const tuple = (length: number, of: Codec<number>): Codec<readonly number[]> => ({
  write: (to, values) => {
    bounded(values.length, length, length)
    for (const value of values) of.write(to, value)
  },
  read: (from) => Array.from({ length }, () => of.read(from)),
})

/** A thing inside another, behind its length. */
export const nested = <Value>(format: Format<Value>, bytesMax: number): Codec<Value> => ({
  write: (to, value) => {
    const bytes = format.encode(value)
    to.varint(bounded(bytes.length, 0, bytesMax)).bytes(bytes)
  },
  read: (from) => format.decode(from.bytes(bounded(from.varint(), 0, bytesMax))),
})

/** A nested thing, or null. */
export const nullable = <Value>(of: Codec<Value>): Codec<Value | null> => ({
  write: (to, value) => {
    to.uint(value === null ? 0 : 1, 1)
    if (value !== null) of.write(to, value)
  },
  read: (from) => (bounded(from.uint(1), 0, 1) === 1 ? of.read(from) : null),
})

/** The canonical encoding of one kind of thing: one value, one sequence of bytes. */
export interface Format<Value> {
  /** @throws QMeshError `QM_EVIDENCE_INVALID` for a value out of bounds */
  readonly encode: (value: Value) => Buffer
  /** @throws QMeshError `QM_EVIDENCE_INVALID` */
  readonly decode: (bytes: Uint8Array) => Value
}

/** A version byte, then the fields in the order in which they are written down. */
export function format<Value extends object>(version: number, fields: Fields<Value>): Format<Value> {
  const entries = Object.entries(fields) as [keyof Value & string, Codec<unknown>][]
  return {
    encode: (value) => {
      const to = new ByteWriter().uint(version, 1)
      for (const [name, codec] of entries) codec.write(to, value[name])
      return to.toBuffer()
    },
    decode: (bytes) => {
      const from = new ByteReader(bytes)
      const found = from.uint(1)
      if (found !== version)
        throw malformed(`it is of version ${found}, and this software knows version ${version}`)
      const value = Object.fromEntries(entries.map(([name, codec]) => [name, codec.read(from)]))
      from.end()
      return value as Value
    },
  }
}
