import { describe, expect, test } from 'vitest'
import { inferenceMessageTypes, limits, parseInferenceMessage } from '../../protocol/index.ts'
import { modelAd, samples } from '../support/messages.ts'

const parseKind = (value: unknown): string => parseInferenceMessage(value).kind
const text = (length: number): string => 'x'.repeat(length)
const hex = (length: number): string => 'a'.repeat(length)
const list = <T>(length: number, item: T): T[] => Array.from({ length }, () => item)

const { hello, status, prompt, response, ack } = samples
const queueStatus = samples['queue-status']
const failure = samples.inference_error

const embed = { ...prompt, messages: undefined, embed: ['x'] }
/** With names of two characters. */
const manyTools = (count: number) => list(count, 0).map((_, index) => ({ name: `f${index.toString(36)}` }))
const callsOf = (count: number) =>
  list(count, 0).map((_, index) => ({ id: `c${index}`, name: 'f', arguments: '{}' }))

/** Each bound: a message with `amount` of what is bounded, and the largest amount that is accepted. */
const bounds: readonly [string, number, (amount: number) => unknown][] = [
  ['prompt.tools', limits.toolsMax, (n) => ({ ...prompt, tools: manyTools(n) })],
  ['tool name characters', limits.toolNameCharsMax, (n) => ({ ...prompt, tools: [{ name: text(n) }] })],
  [
    'tool description characters',
    limits.toolDescriptionCharsMax,
    (n) => ({ ...prompt, tools: [{ name: 'f', description: text(n) }] }),
  ],
  [
    'tool parameters characters',
    limits.jsonSchemaCharsMax,
    (n) => ({ ...prompt, tools: [{ name: 'f', parameters: text(n) }] }),
  ],
  [
    'tools characters together',
    limits.toolsCharsMax,
    (n) => ({
      ...prompt,
      tools: manyTools(32).map((tool, index) => ({
        ...tool,
        parameters: text(index === 0 ? n - 31 * 4_096 - 2 : 4_094),
      })),
    }),
  ],
  [
    'message.toolCalls',
    limits.toolCallsMax,
    (n) => ({
      ...prompt,
      messages: [
        { role: 'assistant', content: '', toolCalls: callsOf(n) },
        ...callsOf(n).map(({ id }) => ({ role: 'tool', content: '', toolCallId: id })),
      ],
    }),
  ],
  [
    'tool call id characters',
    limits.toolCallIdCharsMax,
    (n) => ({
      ...prompt,
      messages: [
        { role: 'assistant', content: '', toolCalls: [{ id: text(n), name: 'f', arguments: '' }] },
        { role: 'tool', content: '', toolCallId: text(n) },
      ],
    }),
  ],
  [
    'characters of calls together with those of messages',
    limits.promptCharsMax,
    (n) => ({
      ...prompt,
      messages: [
        { role: 'assistant', content: text(9), toolCalls: [{ id: 'a', name: 'f', arguments: text(n - 20) }] },
        { role: 'tool', content: text(10), toolCallId: 'a' },
      ],
    }),
  ],
  ['hello.agent characters', limits.agentCharsMax, (n) => ({ ...hello, agent: text(n) })],
  ['hello.roles', limits.rolesMax, (n) => ({ ...hello, roles: list(n, 'worker') })],
  ['hello.roles characters', limits.capabilityCharsMax, (n) => ({ ...hello, roles: [text(n)] })],
  ['hello.models', limits.modelsMax, (n) => ({ ...hello, models: list(n, modelAd) })],
  ['hello.capabilities', limits.capabilitiesMax, (n) => ({ ...hello, capabilities: list(n, 'x') })],
  [
    'hello.capabilities characters',
    limits.capabilityCharsMax,
    (n) => ({ ...hello, capabilities: [text(n)] }),
  ],
  ['model id characters', limits.modelIdCharsMax, (n) => ({ ...prompt, modelId: text(n) })],
  [
    'model context',
    limits.contextTokensMax,
    (n) => ({ ...hello, models: [{ ...modelAd, contextTokens: n }] }),
  ],
  ['model slots', limits.slotsMax, (n) => ({ ...hello, models: [{ ...modelAd, slots: n }] })],
  ['status.models', limits.modelsMax, (n) => ({ ...status, models: list(n, modelAd) })],
  ['status.queueLength', limits.queueLengthMax, (n) => ({ ...status, queueLength: n })],
  ['status.queueCapacity', limits.queueLengthMax, (n) => ({ ...status, queueCapacity: n })],
  ['status.slots', limits.slotsMax, (n) => ({ ...status, slots: n })],
  ['status.slotsBusy', limits.slotsMax, (n) => ({ ...status, slotsBusy: n })],
  ['status.healthScore', 100, (n) => ({ ...status, healthScore: n })],
  ['status.effort bits', limits.effortBitsMax, (n) => ({ ...status, effort: { bits: n, seed: hex(32) } })],
  [
    'inference_error.effort bits',
    limits.effortBitsMax,
    (n) => ({ ...failure, effort: { bits: n, seed: hex(32) } }),
  ],
  ['status.effort seed characters', 32, (n) => ({ ...status, effort: { bits: 1, seed: hex(n) } })],
  ['prompt.effortNonce characters', 16, (n) => ({ ...prompt, effortNonce: hex(n) })],
  ['prompt.messages', limits.chatMessagesMax, (n) => ({ ...prompt, messages: list(n, prompt.messages[0]) })],
  [
    'prompt.messages characters together',
    limits.promptCharsMax,
    (n) => ({
      ...prompt,
      messages: [
        { role: 'user', content: text(n - 10) },
        { role: 'user', content: text(10) },
      ],
    }),
  ],
  [
    'prompt.prompt characters',
    limits.promptCharsMax,
    (n) => ({ ...prompt, messages: undefined, prompt: text(n) }),
  ],
  ['prompt.embed', limits.embedTextsMax, (n) => ({ ...embed, embed: list(n, 'x') })],
  ['prompt.embed characters', limits.promptCharsMax, (n) => ({ ...embed, embed: [text(n)] })],
  [
    'prompt.embed characters together',
    limits.promptCharsMax,
    (n) => ({ ...embed, embed: [text(n - 10), text(10)] }),
  ],
  [
    'model embedding size',
    limits.embeddingSizeMax,
    (n) => ({ ...hello, models: [{ ...modelAd, embeddingSize: n }] }),
  ],
  ['prompt.maxTokens', limits.outputTokensMax, (n) => ({ ...prompt, maxTokens: n })],
  ['prompt.stop', limits.stopStringsMax, (n) => ({ ...prompt, stop: list(n, 'x') })],
  ['prompt.stop characters', limits.stopStringCharsMax, (n) => ({ ...prompt, stop: [text(n)] })],
  ['prompt.jsonSchema characters', limits.jsonSchemaCharsMax, (n) => ({ ...prompt, jsonSchema: text(n) })],
  ['prompt.deadlineMs', limits.durationMsMax, (n) => ({ ...prompt, deadlineMs: n })],
  ['sampling.temperature', 5, (n) => ({ ...prompt, sampling: { temperature: n } })],
  ['sampling.topK', 1_000, (n) => ({ ...prompt, sampling: { topK: n } })],
  ['sampling.topP', 1, (n) => ({ ...prompt, sampling: { topP: n } })],
  ['sampling.minP', 1, (n) => ({ ...prompt, sampling: { minP: n } })],
  ['sampling.repeatPenalty', 2, (n) => ({ ...prompt, sampling: { repeatPenalty: n } })],
  ['sampling.repeatLastTokens', 1_024, (n) => ({ ...prompt, sampling: { repeatLastTokens: n } })],
  ['sampling.seed', 0xffff_ffff, (n) => ({ ...prompt, sampling: { seed: n } })],
  ['queue-status.position', limits.queueLengthMax, (n) => ({ ...queueStatus, position: n })],
  ['queue-status.etaMs', limits.durationMsMax, (n) => ({ ...queueStatus, etaMs: n })],
  ['queue-status.promptTokens', limits.contextTokensMax, (n) => ({ ...queueStatus, promptTokens: n })],
  ['response.seq', limits.outputTokensMax, (n) => ({ ...response, seq: n })],
  ['response.tokens', limits.responseTokensMax, (n) => ({ ...response, tokens: list(n, 1) })],
  ['response.tokens id', limits.tokenIdMax, (n) => ({ ...response, tokens: [n] })],
  ['response.text characters', limits.responseCharsMax, (n) => ({ ...response, text: text(n) })],
  ...(['promptTokens', 'cachedTokens'] as const).map(
    (field) =>
      [
        `finish.${field}`,
        limits.contextTokensMax,
        (n: number) => ({ ...response, finish: { ...response.finish, [field]: n } }),
      ] as const satisfies [string, number, (n: number) => unknown],
  ),
  ...(['queuedMs', 'firstTokenMs', 'totalMs'] as const).map(
    (field) =>
      [
        `finish.${field}`,
        limits.durationMsMax,
        (n: number) => ({ ...response, finish: { ...response.finish, [field]: n } }),
      ] as const satisfies [string, number, (n: number) => unknown],
  ),
  [
    'finish.completionTokens',
    limits.outputTokensMax,
    (n) => ({ ...response, finish: { ...response.finish, completionTokens: n } }),
  ],
  ['ack.received', limits.outputTokensMax, (n) => ({ ...ack, received: n })],
  [
    'inference_error.message characters',
    limits.errorMessageCharsMax,
    (n) => ({ ...failure, message: text(n) }),
  ],
  ['inference_error.code characters', limits.capabilityCharsMax, (n) => ({ ...failure, code: text(n) })],
  ['inference_error.retryAfterMs', limits.durationMsMax, (n) => ({ ...failure, retryAfterMs: n })],
]

describe('bounds', () => {
  test.each(bounds)('%s: the limit is accepted and one more is refused', (_, max, create) => {
    expect(parseInferenceMessage(create(max))).toMatchObject({ kind: 'message' })
    expect(parseKind(create(max + 1))).toBe('invalid')
  })

  test.each([
    ['a fraction of a token', { ...prompt, maxTokens: 1.5 }],
    ['no token at all', { ...prompt, maxTokens: 0 }],
    ['a negative sequence number', { ...response, seq: -1 }],
    ['a negative token', { ...response, tokens: [-1] }],
    ['infinity', { ...queueStatus, etaMs: Number.POSITIVE_INFINITY }],
    ['a number as text', { ...ack, received: '1' }],
    ['an id in capitals', { ...ack, requestId: ack.requestId.toUpperCase() }],
    ['an id that is too short', { ...ack, requestId: ack.requestId.slice(1) }],
    ['a model id that climbs', { ...prompt, modelId: '../tiny' }],
    ['an unknown role of a message', { ...prompt, messages: [{ role: 'tool', content: '' }] }],
    ['an unknown finish reason', { ...response, finish: { ...response.finish, reason: 'bored' } }],
    ['an unknown health state', { ...status, state: 'dead' }],
    ['no messages', { ...prompt, messages: [] }],
    ['neither messages nor prompt', { ...prompt, messages: undefined }],
    ['messages and prompt', { ...prompt, prompt: 'hi' }],
    ['messages and texts to embed', { ...embed, messages: prompt.messages }],
    ['a raw prompt and texts to embed', { ...embed, prompt: 'hi' }],
    ['no texts to embed', { ...embed, embed: [] }],
    ['an empty text to embed', { ...embed, embed: [''] }],
    ['embeddings with a stop string', { ...embed, stop: ['x'] }],
    ['embeddings by a JSON schema', { ...embed, jsonSchema: '{}' }],
    ['embeddings that go on', { ...embed, modelHash: hex(64), resume: { tokens: [1], chars: 1 } }],
    ['embeddings with an offer', { ...embed, evidence: { offer: 'AAAA', salt: hex(32) } }],
    ['embeddings that are no base64', { ...response, finish: { ...response.finish, embeddings: '?' } }],
    ['a model with vectors of no numbers', { ...hello, models: [{ ...modelAd, embeddingSize: 0 }] }],
    ['an empty stop string', { ...prompt, stop: [''] }],
    ['a proof of another length', { ...hello, proof: 'ab' }],
  ])('%s is refused', (_, value) => {
    expect(parseKind(value)).toBe('invalid')
  })
})

describe('parseInferenceMessage', () => {
  test('knows every sample as its own type and gives it back unchanged', () => {
    expect(Object.keys(samples).toSorted()).toEqual(inferenceMessageTypes.toSorted())
    for (const sample of Object.values(samples)) {
      expect(parseInferenceMessage(JSON.parse(JSON.stringify(sample)))).toEqual({
        kind: 'message',
        message: sample,
      })
    }
  })

  test.each([[null], [1], ['hello'], [[]], [{}], [{ type: 1 }], [{ type: null }]])(
    '%j is invalid, not unknown: it has no type',
    (value) => {
      expect(parseKind(value)).toBe('invalid')
    },
  )

  test.each(['toString', '__proto__', 'constructor', 'prompt2', ''])(
    'the type %j is of a later version',
    (type) => {
      expect(parseKind({ type })).toBe('unknown')
    },
  )

  test('unknown fields are dropped', () => {
    expect(parseInferenceMessage({ ...samples.cancel, reason: 'later version' })).toEqual({
      kind: 'message',
      message: samples.cancel,
    })
  })

  test('what is invalid names the field, and the request if its id is valid', () => {
    expect(parseInferenceMessage({ ...ack, received: -1 })).toMatchObject({
      kind: 'invalid',
      detail: expect.stringContaining('ack.received'),
      requestId: ack.requestId,
    })
    expect(parseInferenceMessage({ ...ack, requestId: 'nonsense' })).not.toHaveProperty('requestId')
  })

  test('an error code of a later version reads as a failure of the worker', () => {
    expect(parseInferenceMessage({ ...failure, code: 'QM_FROM_THE_FUTURE' })).toMatchObject({
      message: { code: 'QM_INFERENCE_FAILED' },
    })
  })

  test('what a client leaves out gets its default', () => {
    expect(parseInferenceMessage({ ...prompt, sampling: {}, stop: undefined })).toEqual({
      kind: 'message',
      message: prompt,
    })
  })
})
