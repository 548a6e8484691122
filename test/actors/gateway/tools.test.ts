import { describe, expect, it } from 'vitest'
import { limits } from '../../../protocol/index.ts'
import { createGatewayRig, readEvents } from '../../support/gateway-rig.ts'
import { answerCalls, toolPort as port } from '../../support/tool-answers.ts'

const schema = { type: 'object', properties: { city: { type: 'string' } } }
const weather = {
  type: 'function',
  function: { name: 'weather', description: 'How it is.', parameters: schema },
}
const nap = { type: 'function', function: { name: 'nap' } }
const callWeather = { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } }

const calls = [
  { id: 'call_0', type: 'function', function: { name: 'weather', arguments: '{"city": "Rome"}' } },
  { id: 'call_1', type: 'function', function: { name: 'nap', arguments: '{}' } },
]

describe('a chat with tools', () => {
  it('is asked with all that it has', async () => {
    const { chat, asked } = await createGatewayRig({ port, reply: answerCalls })
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: null, tool_calls: [callWeather] },
      { role: 'tool', tool_call_id: 'a', content: [{ type: 'text', text: 'sunny' }] },
    ]
    const tool_choice = { type: 'function', function: { name: 'nap' } }
    await chat({ messages, tools: [weather, nap], tool_choice, parallel_tool_calls: false })
    expect(asked[0]?.input).toEqual([
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: '',
        toolCalls: [{ id: 'a', name: 'weather', arguments: '{"city":"Rome"}' }],
      },
      { role: 'tool', toolCallId: 'a', content: 'sunny' },
    ])
    expect(asked[0]?.options).toMatchObject({
      tools: [{ name: 'weather', description: 'How it is.', parameters: schema }, { name: 'nap' }],
      toolChoice: { name: 'nap' },
      parallelToolCalls: false,
    })
  })

  it('is answered with calls', async () => {
    const { chat } = await createGatewayRig({ port, reply: answerCalls })
    expect((await chat({ tools: [weather, nap] })).json()).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: { role: 'assistant', content: 'Let me see.', tool_calls: calls },
        },
      ],
    })
  })

  it('streams them: first who is called, then the arguments as they come', async () => {
    const { chat } = await createGatewayRig({ port, reply: answerCalls })
    const { data, isDone } = readEvents((await chat({ tools: [weather, nap], stream: true })).body)
    const choices = data.flatMap((event) => event['choices'] as Choice[])
    expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe('Let me see.')
    const parts = choices.flatMap(({ delta }) => delta.tool_calls ?? [])
    expect(parts.filter(({ id }) => id !== undefined)).toMatchObject([
      { index: 0, id: 'call_0', type: 'function', function: { name: 'weather' } },
      { index: 1, id: 'call_1', type: 'function', function: { name: 'nap' } },
    ])
    const joined = (index: number): string =>
      parts.flatMap((part) => (part.index === index ? [part.function.arguments] : [])).join('')
    expect([joined(0), joined(1)]).toEqual(['{"city": "Rome"}', '{}'])
    expect(parts.filter(({ index }) => index === 0).length).toBeGreaterThan(1)
    expect(choices.at(-1)).toMatchObject({ delta: {}, finish_reason: 'tool_calls' })
    expect(isDone).toBe(true)
  })

  it('that may not call is one without tools', async () => {
    const { chat, asked } = await createGatewayRig({ port, reply: answerCalls })
    const reply = await chat({ tools: [weather], tool_choice: 'none', model: 'plain' })
    expect(reply.json()).toMatchObject({ choices: [{ finish_reason: 'stop' }] })
    expect(asked[0]?.options).toMatchObject({ toolChoice: 'none' })
  })
})

interface Choice {
  readonly delta: {
    readonly content?: string
    readonly tool_calls?: { index: number; id?: string; function: { arguments: string } }[]
  }
}

const deep = (depth: number): object => (depth === 0 ? {} : { properties: { a: deep(depth - 1) } })
const many = Array.from({ length: limits.toolsMax + 1 }, (_, index) => ({
  type: 'function',
  function: { name: `f${index}` },
}))
const user = { role: 'user', content: 'hi' }
const called = { role: 'assistant', content: null, tool_calls: [callWeather] }
const result = { role: 'tool', tool_call_id: 'a', content: 'sunny' }
const named = (name: string, rest: object = {}) => ({
  tools: [{ type: 'function', function: { name, ...rest } }],
})
const long = 'x'.repeat(limits.toolDescriptionCharsMax)

describe('tools that cannot be', () => {
  it.each([
    ['33 of them', 'invalid_value', 'tools', { tools: many }],
    ['a name with a space', 'invalid_value', 'tools[0].function.name', named('get weather')],
    ['a name of 65', 'invalid_value', 'tools[0].function.name', named('x'.repeat(65))],
    [
      'no name',
      'missing_required_parameter',
      'tools[0].function.name',
      { tools: [{ type: 'function', function: {} }] },
    ],
    ['one name twice', 'invalid_value', 'tools', { tools: [nap, nap] }],
    [
      'a schema too deep',
      'invalid_value',
      'tools[0].function.parameters',
      named('f', { parameters: deep(17) }),
    ],
    [
      'a schema too long',
      'invalid_value',
      'tools[0].function.parameters',
      named('f', { parameters: { title: 'x'.repeat(limits.jsonSchemaCharsMax) } }),
    ],
    [
      'too long a description',
      'invalid_value',
      'tools[0].function.description',
      named('f', { description: `${long}x` }),
    ],
    [
      'too much in all',
      'invalid_value',
      null,
      {
        tools: many
          .slice(0, 17)
          .map(({ function: f }) => ({ type: 'function', function: { ...f, description: long } })),
      },
    ],
    ['another kind', 'unsupported_parameter', 'tools[0].type', { tools: [{ type: 'web_search' }] }],
    [
      'a choice that is not there',
      'invalid_value',
      'tool_choice',
      { tools: [nap], tool_choice: { type: 'function', function: { name: 'dance' } } },
    ],
    ['a call of nothing', 'invalid_value', 'tool_choice', { tool_choice: 'required' }],
    ['a choice that is no word', 'invalid_value', 'tool_choice', { tools: [nap], tool_choice: 'any' }],
    [
      'JSON at the same time',
      'unsupported_parameter',
      'response_format',
      { tools: [nap], response_format: { type: 'json_object' } },
    ],
    ['the older way', 'unsupported_parameter', 'functions', { functions: [{ name: 'f' }] }],
    [
      'a result without an id',
      'missing_required_parameter',
      'messages[2].tool_call_id',
      { messages: [user, called, { role: 'tool', content: 'sunny' }] },
    ],
    ['a result of no call', 'invalid_value', 'messages[1]', { messages: [user, result] }],
    ['a result twice', 'invalid_value', 'messages[3]', { messages: [user, called, result, result] }],
    ['a call without a result', 'invalid_value', 'messages[1]', { messages: [user, called, user] }],
    ['a call at the end', 'invalid_value', 'messages[1]', { messages: [user, called] }],
    [
      'two calls of one id',
      'invalid_value',
      'messages[1]',
      { messages: [user, { ...called, tool_calls: [callWeather, callWeather] }, result] },
    ],
    ['a model that cannot', 'unsupported_parameter', 'tools', { model: 'plain', tools: [nap] }],
    [
      'results for one that cannot',
      'unsupported_parameter',
      'messages',
      { model: 'plain', messages: [user, called, result] },
    ],
  ])('%s: %s of %s', async (_, code, param, body) => {
    const { chat, asked } = await createGatewayRig({ port, reply: answerCalls })
    const reply = await chat(body)
    expect(reply.json()).toMatchObject({ error: { type: 'invalid_request_error', code, param } })
    expect(reply.statusCode).toBe(400)
    expect(asked).toEqual([])
  })

  it('a model that cannot is told apart from those that can, and from one that nobody knows yet', async () => {
    const { chat } = await createGatewayRig({ port, reply: answerCalls })
    expect((await chat({ model: 'plain', tools: [nap] })).json()).toMatchObject({
      error: {
        message:
          'The chat template of the model "plain" knows no functions; these models support tools: "tiny".',
        qmesh_code: 'QM_TOOLS_UNSUPPORTED',
      },
    })
    expect((await chat({ model: 'auto', tools: [nap] })).statusCode).toBe(200)
    const poor = await createGatewayRig({ reply: answerCalls })
    expect((await poor.chat({ model: 'auto', tools: [nap] })).json()).toMatchObject({
      error: { message: expect.stringContaining('no known model supports tools.') },
    })
    const empty = await createGatewayRig({ port: { workers: () => [] }, reply: answerCalls })
    expect((await empty.chat({ tools: [nap] })).statusCode).toBe(200)
  })
})
