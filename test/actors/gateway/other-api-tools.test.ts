import { describe, expect, it } from 'vitest'
import { createGatewayRig, readEvents } from '../../support/gateway-rig.ts'
import { answerCalls, toolPort } from '../../support/tool-answers.ts'

const schema = { type: 'object', properties: { city: { type: 'string' } } }
const rig = () => createGatewayRig({ port: toolPort, reply: answerCalls })

describe('POST /v1/messages with tools', () => {
  const tools = [
    { name: 'weather', description: 'How it is.', input_schema: schema },
    { name: 'nap', input_schema: {} },
  ]
  const ask = (rest: object = {}) => ({
    model: 'tiny',
    max_tokens: 50,
    messages: [{ role: 'user', content: 'hi' }],
    tools,
    ...rest,
  })
  const use = { type: 'tool_use', id: 'a', name: 'weather', input: { city: 'Rome' } }
  const used = { role: 'assistant', content: [{ type: 'text', text: 'Let me see.' }, use] }
  const result = { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'sunny' }] }

  it('is asked with all that it has', async () => {
    const { post, asked } = await rig()
    const second = { ...use, id: 'b' }
    const body = ask({
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: [...used.content, second] },
        {
          role: 'user',
          content: [
            result,
            { type: 'tool_result', tool_use_id: 'b', content: 'no such city', is_error: true },
            { type: 'text', text: 'And' },
            { type: 'text', text: 'now?' },
          ],
        },
      ],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    })
    expect((await post('/v1/messages', body)).statusCode).toBe(200)
    const call = { name: 'weather', arguments: '{"city":"Rome"}' }
    expect(asked[0]?.input).toEqual([
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: 'Let me see.',
        toolCalls: [
          { id: 'a', ...call },
          { id: 'b', ...call },
        ],
      },
      { role: 'tool', toolCallId: 'a', content: 'sunny' },
      { role: 'tool', toolCallId: 'b', content: 'Error: no such city' },
      { role: 'user', content: 'And\nnow?' },
    ])
    expect(asked[0]?.options).toMatchObject({
      tools: [
        { name: 'weather', description: 'How it is.', parameters: schema },
        { name: 'nap', parameters: {} },
      ],
      toolChoice: 'required',
      parallelToolCalls: false,
    })
  })

  it('is answered with blocks', async () => {
    const { post } = await rig()
    expect((await post('/v1/messages', ask())).json()).toMatchObject({
      stop_reason: 'tool_use',
      content: [
        { type: 'text', text: 'Let me see.' },
        { type: 'tool_use', id: 'call_0', name: 'weather', input: { city: 'Rome' } },
        { type: 'tool_use', id: 'call_1', name: 'nap', input: {} },
      ],
    })
  })

  it('streams them one after the other', async () => {
    const { post } = await rig()
    const { names, data } = readEvents((await post('/v1/messages', ask({ stream: true }))).body)
    const blocks: string[] = []
    for (const { type, index, content_block: block, delta } of data as unknown as BlockEvent[]) {
      if (type === 'content_block_start') blocks[index] = `${block.type} ${block.name ?? ''}: `
      if (type === 'content_block_delta') blocks[index] += delta.text ?? delta.partial_json ?? ''
    }
    expect(blocks).toEqual(['text : Let me see.', 'tool_use weather: {"city": "Rome"}', 'tool_use nap: {}'])
    expect(names.filter((name) => name === 'content_block_stop')).toHaveLength(3)
    expect(names.slice(-2)).toEqual(['message_delta', 'message_stop'])
    expect(data.at(-2)).toMatchObject({ delta: { stop_reason: 'tool_use' } })
  })

  it('begins with a call where there is no text; of nothing at all it has one block', async () => {
    const call = await createGatewayRig({
      port: toolPort,
      reply: (asked) => {
        asked.say('<tool_call>{"name": "nap"}</tool_call>')
        asked.finish()
      },
    })
    const { data } = readEvents((await call.post('/v1/messages', ask({ stream: true }))).body)
    expect(data[1]).toMatchObject({
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'tool_use' },
    })
    const empty = await createGatewayRig({ port: toolPort, reply: (asked) => asked.finish() })
    const { names } = readEvents((await empty.post('/v1/messages', ask({ stream: true }))).body)
    expect(names).toEqual([
      'message_start',
      'content_block_start',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    expect((await empty.post('/v1/messages', ask())).json()).toMatchObject({
      content: [{ type: 'text', text: '' }],
    })
  })

  it('a call that was cut off is what there is of it, as text', async () => {
    const { post } = await createGatewayRig({
      port: toolPort,
      reply: (asked) => {
        asked.say('<tool_call>{"name": "weather", "arguments": {"ci')
        asked.finish({ finishReason: 'length' })
      },
    })
    expect((await post('/v1/messages', ask())).json()).toMatchObject({
      stop_reason: 'max_tokens',
      content: [{ type: 'text', text: '{"name": "weather", "arguments": {"ci' }],
    })
  })

  it.each([
    ['a search', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'web_search_20250305'],
    ['no schema', { tools: [{ name: 'f' }] }, 'input_schema'],
    ['a name', { tools: [{ name: 'a b', input_schema: {} }] }, 'tools[0].name'],
    ['a choice', { tool_choice: { type: 'tool', name: 'dance' } }, 'There is no tool "dance"'],
    ['a use by the user', { messages: [{ role: 'user', content: [use] }] }, 'has no "tool_use"'],
    [
      'a result by the assistant',
      { messages: [{ role: 'assistant', content: [result] }] },
      'has no "tool_result"',
    ],
    ['a result of nothing', { messages: [{ role: 'user', content: [result] }] }, 'messages[0]'],
    [
      'text before a result',
      { messages: [used, { role: 'user', content: [{ type: 'text', text: 'x' }, result] }] },
      'messages[0]',
    ],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, '"image"'],
    ['a model that cannot', { model: 'plain' }, 'these models support tools: "tiny"'],
  ])('%s that cannot be is refused in its shape', async (_, wrong, words) => {
    const { post, asked } = await rig()
    const reply = await post('/v1/messages', ask(wrong))
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining(words) },
    })
    expect(asked).toEqual([])
  })
})

interface BlockEvent {
  readonly type: string
  readonly index: number
  readonly content_block: { readonly type: string; readonly name?: string }
  readonly delta: { readonly text?: string; readonly partial_json?: string }
}

describe('POST /v1/responses with tools', () => {
  const tools = [
    { type: 'function', name: 'weather', description: 'How it is.', parameters: schema, strict: true },
    { type: 'function', name: 'nap', parameters: null, strict: null },
  ]
  const ask = (rest: object = {}) => ({ model: 'tiny', input: 'hi', tools, ...rest })
  const call = { type: 'function_call', call_id: 'a', name: 'weather', arguments: '{"city":"Rome"}' }
  const output = { type: 'function_call_output', call_id: 'a', output: 'sunny' }

  it('is asked with all that it has', async () => {
    const { post, asked } = await rig()
    const input = [
      { role: 'user', content: 'hi' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Let me see.' }] },
      { ...call, id: 'fc_1', status: 'completed' },
      { ...call, call_id: 'b' },
      output,
      { ...output, call_id: 'b', output: [{ type: 'input_text', text: 'rain' }] },
    ]
    const body = ask({ input, tool_choice: { type: 'function', name: 'nap' }, parallel_tool_calls: false })
    expect((await post('/v1/responses', body)).statusCode).toBe(200)
    const given = { name: 'weather', arguments: '{"city":"Rome"}' }
    expect(asked[0]?.input).toEqual([
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: 'Let me see.',
        toolCalls: [
          { id: 'a', ...given },
          { id: 'b', ...given },
        ],
      },
      { role: 'tool', toolCallId: 'a', content: 'sunny' },
      { role: 'tool', toolCallId: 'b', content: 'rain' },
    ])
    expect(asked[0]?.options).toMatchObject({
      tools: [
        { name: 'weather', description: 'How it is.', parameters: schema, strict: true },
        { name: 'nap' },
      ],
      toolChoice: { name: 'nap' },
      parallelToolCalls: false,
    })
  })

  const items = [
    { type: 'message', content: [{ type: 'output_text', text: 'Let me see.' }], status: 'completed' },
    {
      type: 'function_call',
      call_id: 'call_0',
      name: 'weather',
      arguments: '{"city": "Rome"}',
      status: 'completed',
    },
    { type: 'function_call', call_id: 'call_1', name: 'nap', arguments: '{}', status: 'completed' },
  ]

  it('is answered with items', async () => {
    const { post } = await rig()
    expect((await post('/v1/responses', ask())).json()).toMatchObject({
      status: 'completed',
      output: items,
      tools,
      tool_choice: 'auto',
    })
  })

  it('streams them one after the other', async () => {
    const { post } = await rig()
    const { names, data } = readEvents((await post('/v1/responses', ask({ stream: true }))).body)
    expect(data.map((event) => event['sequence_number'])).toEqual([...data.keys()])
    expect(names.filter((name, index) => name !== names[index - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ])
    const done = data.filter(({ type }) => type === 'response.output_item.done')
    expect(done).toMatchObject(items.map((item, index) => ({ output_index: index, item })))
    expect(data.at(-1)).toMatchObject({ response: { output: items } })
    const deltas = data.filter(({ type }) => type === 'response.function_call_arguments.delta')
    expect(deltas.map(({ delta }) => delta).join('')).toBe('{"city": "Rome"}{}')
    expect(deltas[0]).toMatchObject({ item_id: 'fc_call_0', output_index: 1 })
  })

  it.each([
    ['unsupported_parameter', 'tools[0].type', { tools: [{ type: 'web_search' }] }],
    [
      'invalid_value',
      'tools[0].name',
      { tools: [{ type: 'function', name: 'a b', parameters: {}, strict: false }] },
    ],
    ['invalid_value', 'tool_choice', { tool_choice: { type: 'function', name: 'dance' } }],
    ['invalid_value', 'input[0]', { input: [output] }],
    [
      'invalid_value',
      'input[1]',
      { input: [{ role: 'user', content: 'hi' }, call, { role: 'user', content: 'hi' }] },
    ],
    [
      'missing_required_parameter',
      'input[0].call_id',
      { input: [{ type: 'function_call_output', output: '' }] },
    ],
    ['unsupported_parameter', 'input[0].type', { input: [{ type: 'item_reference', id: 'x' }] }],
    ['unsupported_parameter', 'text', { text: { format: { type: 'json_object' } } }],
    ['unsupported_parameter', 'max_tool_calls', { max_tool_calls: 1 }],
    ['unsupported_parameter', 'tools', { model: 'plain' }],
  ])('%s: %s', async (code, param, wrong) => {
    const { post, asked } = await rig()
    const reply = await post('/v1/responses', ask(wrong))
    expect(reply.json()).toMatchObject({ error: { code, param } })
    expect(reply.statusCode).toBe(400)
    expect(asked).toEqual([])
  })
})
