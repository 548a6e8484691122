import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  nameCharsMax,
  toSafeName,
  toSafeText,
  toSafeValue,
  wordCharsMax,
} from '../../../runtime/inspect/safe-value.ts'

/** Strings of a value and the names of its fields. */
function stringsOf(value: unknown): { texts: string[]; names: string[] } {
  const found = { texts: [] as string[], names: [] as string[] }
  const visit = (current: unknown): void => {
    if (typeof current === 'string') found.texts.push(current)
    if (typeof current !== 'object' || current === null) return
    if (!Array.isArray(current)) found.names.push(...Object.keys(current))
    for (const inner of Object.values(current)) visit(inner)
  }
  visit(value)
  return found
}

const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withSparseArray: true,
  maxDepth: 6,
})

test('whatever it is given, what comes out is small JSON with short strings', () => {
  fc.assert(
    fc.property(anything, (value) => {
      const json = JSON.stringify(toSafeValue(value))
      const { texts, names } = stringsOf(JSON.parse(json))
      for (const text of texts) expect(text.length).toBeLessThanOrEqual(wordCharsMax)
      for (const name of names) expect(name.length).toBeLessThanOrEqual(nameCharsMax)
      expect(json.length).toBeLessThan(60_000)
    }),
  )
})

/** What a person writes: at least two words. */
const sentence = fc
  .array(fc.string({ unit: 'grapheme', minLength: 3, maxLength: 12 }), { minLength: 2, maxLength: 20 })
  .map((words) => words.join(' '))

/** Where it may hide: at any depth, under any name, in any kind of thing. */
const hidden = (secret: unknown): fc.Arbitrary<unknown> =>
  fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      fc.constant(secret),
      fc.dictionary(fc.stringMatching(/^[a-zA-Z]{1,9}$/), tie('node'), { minKeys: 1, maxKeys: 4 }),
      fc.array(tie('node'), { minLength: 1, maxLength: 4 }),
      tie('node').map((inner) => new Map([[inner, inner]])),
      tie('node').map((inner) => Object.assign(new Error(JSON.stringify([inner])), { inner, code: inner })),
    ),
  })).node

test('no sentence comes through, wherever it stands', () => {
  fc.assert(
    fc.property(
      sentence.chain((text) => fc.tuple(fc.constant(text), hidden(text))),
      ([text, value]) => {
        expect(JSON.stringify(toSafeValue(value))).not.toContain(JSON.stringify(text).slice(1, -1))
      },
    ),
  )
})

/** As random as real ones: fast-check itself likes zeros. */
const bytes = fc
  .tuple(fc.nat(), fc.integer({ min: 16, max: 64 }))
  .map(([seed, size]) => createHash('sha512').update(String(seed)).digest().subarray(0, size))

test('no key comes through: not as hex, base64, bytes or numbers', () => {
  fc.assert(
    fc.property(
      bytes,
      fc.constantFrom('hex', 'base64', 'base64url', 'bytes', 'numbers', 'uuid'),
      fc.constantFrom(
        (text: unknown) => text,
        (text: unknown) => `x.${String(text)}:y`,
      ),
      (key, form, wrap) => {
        const hex = Buffer.from(key).toString('hex')
        const uuid = hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
        const text =
          form === 'uuid'
            ? uuid
            : form === 'bytes' || form === 'numbers'
              ? ''
              : Buffer.from(key).toString(form)
        const value = form === 'bytes' ? key : form === 'numbers' ? [...key] : wrap(text)
        const json = JSON.stringify([toSafeValue(value), toSafeValue({ a: [value] })])
        // What is left of it tells two apart, and is less than a fifth of the smallest.
        if (form === 'bytes' || form === 'numbers') expect(json).not.toContain(key.slice(0, 9).join(','))
        else
          for (let at = 0; at + 16 <= text.length; at++) expect(json).not.toContain(text.slice(at, at + 16))
      },
    ),
  )
})

test('what a program says comes through as it is', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z]{2,8}([A-Z][a-z]{3,7}){0,2}([.:-][a-z]{2,6}){0,2}$/), (word) => {
      expect(toSafeText(word)).toBe(word)
      expect(toSafeName(word)).toBe(word)
    }),
  )
})
