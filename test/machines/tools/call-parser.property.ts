import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  CallParser,
  parseCalls,
  type CallParserOptions,
  type ParsedText,
} from '../../../machines/tools/index.ts'
import { limits, toolStyles } from '../../../protocol/index.ts'

/** Pieces of which calls are made, and of which they are not. */
const piece = fc.oneof(
  fc.constantFrom(
    ...(
      '<tool_call> </tool_call> [TOOL_CALLS] <tool_ [TOOL { } [ ] " \\ : , null 1 é 😀 ' +
      '"name" "arguments" "parameters" "f" "g" "\\u0066" {"name":"g","parameters":{}}'
    ).split(' '),
  ),
  fc.constantFrom(' ', '\n', '{"name": "f", "arguments": ', '{"a": [1, "x"]}'),
  fc.string({ maxLength: 3 }),
)
const text = fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join(''))
const options = fc.record({
  style: fc.constantFrom(...toolStyles),
  names: fc.constant(['f', 'g']),
  isParallel: fc.boolean(),
  toId: fc.constant((index: number) => `id${index}`),
})

/** The same, from text that comes in parts. */
function parseParts(parts: readonly string[], given: CallParserOptions) {
  const parser = new CallParser(given)
  const parsed: ParsedText[] = [...parts.map((part) => parser.push(part)), parser.finish()]
  const calls: { id: string; name: string; arguments: string }[] = []
  for (const { index, id, name, arguments: more } of parsed.flatMap((part) => part.calls)) {
    if (id !== undefined && name !== undefined) calls.push({ id, name, arguments: more })
    else
      calls.splice(index, 1, {
        ...(calls[index] ?? { id: '', name: '', arguments: '' }),
        arguments: `${calls[index]?.arguments ?? ''}${more}`,
      })
  }
  return { text: parsed.map((part) => part.text).join(''), calls }
}

it('however a text is cut, it has the same calls', () => {
  fc.assert(
    fc.property(text, options, fc.array(fc.nat({ max: 12 }), { maxLength: 30 }), (whole, given, lengths) => {
      const parts: string[] = []
      let from = 0
      for (const length of lengths) {
        parts.push(whole.slice(from, from + length))
        from += length
      }
      parts.push(whole.slice(from))
      expect(parseParts(parts, given)).toEqual(parseCalls(whole, given))
      // Tokens end in the middle of everything.
      expect(parseParts(whole.split(''), given)).toEqual(parseCalls(whole, given))
    }),
  )
})

it('calls are of functions that there are, as many as there may be, and text without any is untouched', () => {
  fc.assert(
    fc.property(text, options, (whole, given) => {
      const { text: rest, calls } = parseCalls(whole, given)
      for (const { name } of calls) expect(given.names).toContain(name)
      expect(calls.length).toBeLessThanOrEqual(given.isParallel ? limits.toolCallsMax : 1)
      expect(calls.map(({ id }) => id)).toEqual(calls.map((_, index) => `id${index}`))
      if (calls.length === 0) expect(rest).toBe(whole)
      expect(rest.length + calls.reduce((sum, call) => sum + call.arguments.length, 0)).toBeLessThanOrEqual(
        // An absent or empty set of arguments is written as "{}".
        whole.length + 2 * calls.length,
      )
    }),
  )
})

it('what was written is what is read', () => {
  const given = fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
  fc.assert(
    fc.property(fc.array(given, { minLength: 1, maxLength: 4 }), fc.boolean(), (all, isSpaced) => {
      const written = all.map((value) => JSON.stringify(value, null, isSpaced ? 2 : 0))
      const whole = written
        .map((one) => `<tool_call>{"name": "f", "arguments": ${one}}</tool_call>`)
        .join('\n')
      const { text: rest, calls } = parseCalls(whole, {
        style: 'hermes',
        names: ['f'],
        isParallel: true,
        toId: String,
      })
      expect(rest).toBe('')
      expect(calls.map((call) => call.arguments)).toEqual(written)
    }),
  )
})

it.each([
  ['marks', '<tool_call>'],
  ['halves of marks', '<tool_'],
  ['calls that never end', '<tool_call>{"name": "f", "arguments": {'],
  ['calls that break', '<tool_call>{"x": "'],
  ['quotes', '<tool_call>{"'],
  ['spaces', ' \n'],
  ['lists', '[TOOL_CALLS][{'],
  ['arguments before a name', '<tool_call>{"arguments": ['],
])('an answer full of %s takes time in proportion to its length', (_, unit) => {
  const time = (chars: number): number => {
    const whole = unit.repeat(Math.ceil(chars / unit.length))
    const startedAt = performance.now()
    for (const style of toolStyles) parseCalls(whole, { style, names: ['f'], isParallel: true, toId: String })
    return performance.now() - startedAt
  }
  time(200_000)
  // Ten times as much: a hundred times as long, if anything were looked at again and again.
  const [short, long] = [Math.min(time(200_000), time(200_000)), time(2_000_000)]
  expect(long).toBeLessThan(Math.max(1_500, 40 * short))
})
