import { expect, test } from 'vitest'
import { limits, promptSchema, type ChatMessage } from '../../../protocol/index.ts'
import { toQuestion, type AskOptions } from '../../../actors/request/ask-options.ts'
import { model } from './rig.ts'

const requestId = 'f'.repeat(32)

const wrong: readonly (readonly [name: string, input: string | ChatMessage[], options: object])[] = [
  ['"temperature"', 'hi', { temperature: -1 }],
  ['"topK"', 'hi', { topK: 1.5 }],
  ['"maxTokens"', 'hi', { maxTokens: 0 }],
  ['"maxTokens"', 'hi', { maxTokens: limits.outputTokensMax + 1 }],
  ['"seed"', 'hi', { seed: 2 ** 32 }],
  ['"stop.0"', 'hi', { stop: [''] }],
  ['"stop"', 'hi', { stop: Array.from({ length: limits.stopStringsMax + 1 }, () => 'x') }],
  ['"model"', 'hi', { model: 'Not A Model' }],
  ['"jsonSchema"', 'hi', { jsonSchema: '{' }],
  ['"signal"', 'hi', { signal: 'now' }],
  ['"deadlineMs"', 'hi', { deadlineMs: 0 }],
  ['"tempreature"', 'hi', { tempreature: 1 }],
  ['"raw"', [{ role: 'user', content: 'hi' }], { raw: true }],
  ['message', [], {}],
  ['"0.role"', [{ role: 'robot' as 'user', content: 'hi' }], {}],
  [
    `${limits.promptCharsMax} characters`,
    Array.from({ length: 2 }, () => ({ role: 'user' as const, content: 'x'.repeat(limits.promptCharsMax) })),
    {},
  ],
  ['fit one frame', '€'.repeat(limits.promptCharsMax - 1), {}],
]

test.each(wrong)('a wrong %s is refused by name', (name, input, options) => {
  expect(() => toQuestion(requestId, input, options as AskOptions)).toThrowError(
    expect.objectContaining({ code: 'QM_REQUEST_INVALID', message: expect.stringContaining(name) }),
  )
})

test('a schema that is nested too deep, or without end, is refused', () => {
  const endless: Record<string, unknown> = {}
  endless['properties'] = endless
  expect(() => toQuestion(requestId, 'hi', { jsonSchema: endless })).toThrowError(/nested deeper/)
})

test('a question becomes a prompt that a worker accepts, for the model that was chosen', () => {
  const question = toQuestion(requestId, 'hi', { jsonSchema: { type: 'object' }, stop: ['\n'], seed: 9 })
  const prompt = question.toPrompt(model, 1_500)
  expect(promptSchema.parse(prompt)).toStrictEqual(prompt)
  expect(prompt).toMatchObject({
    modelId: 'tiny',
    modelHash: model.hash,
    messages: [{ role: 'user', content: 'hi' }],
    maxTokens: 512,
    deadlineMs: 1_500,
    jsonSchema: '{"type":"object"}',
    sampling: { seed: 9, temperature: 0.6 },
  })
  expect(question.toPrompt({ ...model, contextTokens: 256 }, undefined).maxTokens).toBe(128)
})

test('a seed is drawn for what is sampled and none for what is greedy', () => {
  expect(toQuestion(requestId, 'hi').seed).toBeTypeOf('number')
  expect(toQuestion(requestId, 'hi', { temperature: 0 }).seed).toBeUndefined()
})

test('the turns of one conversation share their affinity, other conversations do not', () => {
  const turn: ChatMessage[] = [
    { role: 'system', content: 's' },
    { role: 'user', content: 'a' },
  ]
  const later: ChatMessage[] = [...turn, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }]
  const keyOf = (messages: ChatMessage[]): string | undefined => toQuestion(requestId, messages).affinityKey
  expect(keyOf(later)).toBe(keyOf(turn))
  expect(
    keyOf([
      { role: 'system', content: 's' },
      { role: 'user', content: 'other' },
    ]),
  ).not.toBe(keyOf(turn))
})
