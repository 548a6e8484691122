import { expect, test } from 'vitest'
import { limits, promptSchema, type ChatMessage } from '../../../protocol/index.ts'
import { toQuestion, type AskOptions } from '../../../actors/request/ask-options.ts'
import { model } from './rig.ts'

const requestId = 'f'.repeat(32)

const user = { role: 'user' as const, content: 'hi' }

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
  ['"tools.0.name"', 'hi', { tools: [{ name: 'a b' }] }],
  ['"tools"', 'hi', { tools: [] }],
  [
    '"tools"',
    'hi',
    { tools: Array.from({ length: limits.toolsMax + 1 }, (_, index) => ({ name: `f${index}` })) },
  ],
  ['two functions have one name', 'hi', { tools: [{ name: 'f' }, { name: 'f' }] }],
  ['"tools.f.parameters": is not valid JSON', 'hi', { tools: [{ name: 'f', parameters: '{' }] }],
  ['"toolChoice"', 'hi', { tools: [{ name: 'f' }], toolChoice: 'any' }],
  [
    'names a function that "tools" does not have',
    'hi',
    { tools: [{ name: 'f' }], toolChoice: { name: 'g' } },
  ],
  ['"tools": needs chat messages', 'hi', { tools: [{ name: 'f' }], raw: true }],
  ['not both', 'hi', { tools: [{ name: 'f' }], jsonSchema: {} }],
  ['message "1"', [user, { role: 'tool', content: '', toolCallId: 'a' }], {}],
  [
    'message "1"',
    [user, { role: 'assistant', content: '', toolCalls: [{ id: 'a', name: 'f', arguments: '' }] }],
    {},
  ],
  ['toolCallId', [user, { role: 'tool', content: '' }], {}],
  ['toolCallId', [{ ...user, toolCallId: 'a' }], {}],
  ['makes calls', [{ ...user, toolCalls: [{ id: 'a', name: 'f', arguments: '' }] }], {}],
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

test('functions become part of the prompt, and a model that knows some is wanted', () => {
  const tools = [{ name: 'f', description: 'does', parameters: { type: 'object' }, strict: true }]
  const asked = toQuestion(requestId, 'hi', { tools, toolChoice: { name: 'f' }, parallelToolCalls: false })
  const prompt = asked.toPrompt(model, undefined)
  expect(promptSchema.parse(prompt)).toStrictEqual(prompt)
  expect(prompt).toMatchObject({
    tools: [{ ...tools[0], parameters: '{"type":"object"}' }],
    toolChoice: { name: 'f' },
    parallelToolCalls: false,
  })
  expect(asked).toMatchObject({ needsTools: true, reading: { names: ['f'], isParallel: false } })
  const silent = toQuestion(requestId, 'hi', { tools, toolChoice: 'none' })
  expect(silent).toMatchObject({ needsTools: false, reading: undefined })
  expect(silent.toPrompt(model, undefined)).not.toHaveProperty('tools')
  const told = toQuestion(requestId, [
    user,
    { role: 'assistant', content: '', toolCalls: [{ id: 'a', name: 'f', arguments: '{}' }] },
    { role: 'tool', content: '7', toolCallId: 'a' },
  ])
  expect(told).toMatchObject({ needsTools: true, reading: undefined })
})
