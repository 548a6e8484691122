import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeFrame, inferenceMessageTypes, limits, parseInferenceMessage } from '../../protocol/index.ts'
import { samples } from '../support/messages.ts'

const kinds = ['message', 'unknown', 'invalid']
const fieldNames = [...new Set(Object.values(samples).flatMap((sample) => Object.keys(sample)))]

test('any JSON value is a message, unknown or invalid, and never a throw', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      expect(kinds).toContain(parseInferenceMessage(value).kind)
    }),
  )
})

test('a known type with any fields is a message or invalid, with a short reason', () => {
  const anyMessage = fc
    .tuple(
      fc.constantFrom(...inferenceMessageTypes),
      fc.dictionary(fc.constantFrom(...fieldNames, '__proto__', 'constructor'), fc.jsonValue()),
    )
    .map(([type, fields]) => ({ ...samples[type], ...fields, type }))
  fc.assert(
    fc.property(anyMessage, (value) => {
      const parsed = parseInferenceMessage(value)
      expect(kinds).toContain(parsed.kind)
      const detail = parsed.kind === 'invalid' ? parsed.detail : ''
      expect(detail.length).toBeLessThanOrEqual(limits.errorMessageCharsMax)
    }),
  )
})

test('what was accepted once is accepted again after crossing the wire, and means the same', () => {
  const mutated = fc
    .tuple(fc.constantFrom(...inferenceMessageTypes), fc.nat(), fc.jsonValue())
    .map(([type, at, value]) => {
      const names = Object.keys(samples[type]).filter((name) => name !== 'type')
      const name = names[at % names.length]
      return name === undefined ? samples[type] : { ...samples[type], [name]: value }
    })
  fc.assert(
    fc.property(mutated, (value) => {
      const parsed = parseInferenceMessage(value)
      if (parsed.kind !== 'message') return
      const crossed: unknown = JSON.parse(encodeFrame(parsed.message).subarray(4).toString())
      expect(parseInferenceMessage(crossed)).toEqual({
        kind: 'message',
        message: JSON.parse(JSON.stringify(parsed.message)),
      })
    }),
  )
})
