import { type ByteReader, type ByteWriter, malformed } from '../trust/bytes.ts'
import type { Codec } from '../trust/codec.ts'

/** UTF-8 text behind its length as varint: longer than the texts of evidence, which have one byte for it. */
export const longText = (
  bytesMax: number,
  check: (value: string) => string | undefined = () => undefined,
): Codec<string> => ({
  write: (to, value) => {
    const bytes = Buffer.from(value)
    // Half of a surrogate pair becomes another character on its way into UTF-8.
    if (bytes.length > bytesMax || bytes.toString() !== value)
      throw malformed(`a text is longer than ${bytesMax} bytes, or not Unicode`)
    const wrong = check(value)
    if (wrong !== undefined) throw malformed(wrong)
    to.varint(bytes.length).bytes(bytes)
  },
  read: (from) => {
    const length = from.varint()
    if (length > bytesMax) throw malformed(`a text is longer than ${bytesMax} bytes`)
    const bytes = from.bytes(length)
    const value = bytes.toString()
    if (!Buffer.from(value).equals(bytes)) throw malformed('a text is not UTF-8')
    const wrong = check(value)
    if (wrong !== undefined) throw malformed(wrong)
    return value
  },
})

const flag = (from: ByteReader): boolean => {
  const byte = from.uint(1)
  if (byte > 1) throw malformed(`${byte} is neither 0 nor 1`)
  return byte === 1
}

/** Yes, no, or not known. */
export const optionalFlag: Codec<boolean | null> = {
  write: (to, value) => void to.uint(value === null ? 2 : Number(value), 1),
  read: (from) => {
    const byte = from.uint(1)
    if (byte > 2) throw malformed(`${byte} is neither yes, no nor unknown`)
    return byte === 2 ? null : byte === 1
  },
}

/** Something that may be left out of an object. */
export const optional = <Value>(of: Codec<Value>): Codec<Value | undefined> => ({
  write: (to, value) => {
    to.uint(value === undefined ? 0 : 1, 1)
    if (value !== undefined) of.write(to, value)
  },
  read: (from) => (flag(from) ? of.read(from) : undefined),
})

/** A list behind its length. */
export const list = <Value>(of: Codec<Value>, lengthMax: number): Codec<readonly Value[]> => ({
  write: (to, values) => {
    if (values.length > lengthMax) throw malformed(`a list has more than ${lengthMax} entries`)
    to.varint(values.length)
    for (const value of values) of.write(to, value)
  },
  read: (from) => {
    const length = from.varint()
    if (length > lengthMax) throw malformed(`a list has more than ${lengthMax} entries`)
    return Array.from({ length }, () => of.read(from))
  },
})

/** The fields of an object, in the order in which they are written down; one that is `undefined` is left out. */
export const fields = <Value extends object>(codecs: {
  readonly [Name in keyof Required<Value>]: Codec<Value[Name]>
}): Codec<Value> => {
  const entries = Object.entries(codecs) as [keyof Value & string, Codec<unknown>][]
  return {
    write: (to: ByteWriter, value) => {
      for (const [name, codec] of entries) codec.write(to, value[name])
    },
    read: (from) => {
      const pairs = entries.map(([name, codec]) => [name, codec.read(from)] as const)
      return Object.fromEntries(pairs.filter(([, value]) => value !== undefined)) as Value
    },
  }
}

/** One of several kinds of object, told apart by `kind`: its place in the list, then its fields. New kinds go last. */
export const union = <Value extends { readonly kind: string }>(
  kinds: readonly (readonly [Value['kind'], Codec<Value>])[],
): Codec<Value> => ({
  write: (to, value) => {
    const index = kinds.findIndex(([kind]) => kind === value.kind)
    const codec = kinds[index]?.[1]
    if (!codec) throw malformed(`"${value.kind}" is no kind that is known`)
    codec.write(to.uint(index, 1), value)
  },
  read: (from) => {
    const entry = kinds[from.uint(1)]
    if (!entry) throw malformed('it has a kind that is not known')
    return { ...entry[1].read(from), kind: entry[0] }
  },
})
