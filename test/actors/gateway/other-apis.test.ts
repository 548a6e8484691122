import { describe, expect, it } from 'vitest'
import { answerHello, createGatewayRig, readEvents } from '../../support/gateway-rig.ts'

const said = { model: 'tiny', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }

describe('POST /v1/messages', () => {
  it("answers as Anthropic's API does", async () => {
    const { post, asked } = await createGatewayRig({
      reply: (one) => {
        one.say('hello')
        one.finish({ finishReason: 'stop-string' })
      },
    })
    const reply = await post('/v1/messages', {
      ...said,
      system: [{ type: 'text', text: 'be brief', cache_control: { type: 'ephemeral' } }],
      stop_sequences: ['END'],
      temperature: 1,
      top_k: 3,
      thinking: { type: 'disabled' },
    })
    expect(asked[0]).toMatchObject({
      input: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'hi' },
      ],
      options: { model: 'tiny', maxTokens: 9, stop: ['END'], temperature: 1, topK: 3 },
    })
    expect(reply.json()).toEqual({
      id: `msg_${asked[0]?.requestId}`,
      type: 'message',
      role: 'assistant',
      model: 'tiny',
      content: [{ type: 'text', text: 'hello' }],
      stop_reason: 'stop_sequence',
      stop_sequence: 'END',
      usage: {
        input_tokens: 3,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 2,
        output_tokens: 1,
      },
    })
  })

  it('streams the events that its clients wait for', async () => {
    const { post } = await createGatewayRig({
      reply: (asked) => {
        asked.emitter.emit('queued', { position: 0, etaMs: 1, promptTokens: 5 })
        queueMicrotask(() => answerHello(asked))
      },
    })
    const { names, data } = readEvents((await post('/v1/messages', { ...said, stream: true })).body)
    expect(names).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    expect(data.map(({ type }) => type)).toEqual(names)
    expect(data[0]).toMatchObject({
      message: { content: [], stop_reason: null, usage: { input_tokens: 5, output_tokens: 0 } },
    })
    expect(data[2]).toEqual({
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'text_delta', text: 'hello ' },
    })
    expect(data[5]).toMatchObject({ delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } })
  })

  it.each([
    [400, 'invalid_request_error', { max_tokens: undefined }],
    [400, 'invalid_request_error', { tools: [{ name: 'f' }] }],
    [400, 'invalid_request_error', { thinking: { type: 'enabled', budget_tokens: 1_024 } }],
    [400, 'invalid_request_error', { messages: [{ role: 'system', content: 'x' }] }],
    [
      400,
      'invalid_request_error',
      { messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] },
    ],
    [404, 'not_found_error', { model: 'nobodys' }],
  ])('%s %s: %j, in its own shape', async (status, type, wrong) => {
    const { post, asked } = await createGatewayRig()
    const reply = await post('/v1/messages', { ...said, ...wrong })
    expect(reply.statusCode).toBe(status)
    expect(reply.json()).toEqual({
      type: 'error',
      error: { type, message: expect.any(String), qmesh_code: expect.stringMatching(/^QM_/) },
    })
    expect(asked).toEqual([])
  })

  it.each([
    ['QM_QUEUE_FULL', 503, 'overloaded_error'],
    ['QM_RATE_LIMITED', 429, 'rate_limit_error'],
    ['QM_WORKER_LOST', 502, 'api_error'],
  ] as const)('%s is %s %s', async (code, status, type) => {
    const { post } = await createGatewayRig({ reply: ({ fail }) => fail(code) })
    const reply = await post('/v1/messages', said)
    expect(reply.statusCode).toBe(status)
    expect(reply.json()).toMatchObject({ type: 'error', error: { type } })
  })

  it('a stream that breaks ends with an error event', async () => {
    const { post } = await createGatewayRig({
      reply: (asked) => {
        asked.say('half')
        asked.fail('QM_WORKER_LOST')
      },
    })
    const { names, data } = readEvents((await post('/v1/messages', { ...said, stream: true })).body)
    expect(names.at(-1)).toBe('error')
    expect(data.at(-1)).toMatchObject({ type: 'error', error: { type: 'api_error' } })
  })

  it('keys are refused in its shape, too', async () => {
    const { post } = await createGatewayRig({ settings: { keys: ['a-key-of-some-length'] } })
    expect((await post('/v1/messages', said)).json()).toMatchObject({
      type: 'error',
      error: { type: 'authentication_error' },
    })
  })
})

describe('POST /v1/responses', () => {
  it('answers as OpenAI does', async () => {
    const { post, asked } = await createGatewayRig({ reply: answerHello })
    const reply = await post('/v1/responses', {
      model: 'tiny',
      instructions: 'be brief',
      input: [
        { role: 'user', content: 'hi' },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'yes?' }] },
        { role: 'developer', content: [{ type: 'input_text', text: 'be kind' }] },
      ],
      max_output_tokens: 9,
      text: { format: { type: 'json_schema', name: 'n', schema: { type: 'string' }, strict: true } },
    })
    expect(asked[0]).toMatchObject({
      input: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yes?' },
        { role: 'system', content: 'be kind' },
      ],
      options: { maxTokens: 9, jsonSchema: { type: 'string' } },
    })
    expect(reply.json()).toMatchObject({
      id: `resp_${asked[0]?.requestId}`,
      object: 'response',
      status: 'completed',
      output: [
        {
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'hello world', annotations: [] }],
        },
      ],
      usage: { input_tokens: 5, output_tokens: 2, total_tokens: 7 },
    })
  })

  it('streams numbered events, the whole response last; cut off, it is incomplete', async () => {
    const { post } = await createGatewayRig({
      reply: (asked) => {
        asked.say('hello')
        asked.finish({ finishReason: 'length' })
      },
    })
    const body = { model: 'tiny', input: 'hi', stream: true }
    const { names, data } = readEvents((await post('/v1/responses', body)).body)
    expect(names).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ])
    expect(data.map((event) => event['sequence_number'])).toEqual([...data.keys()])
    expect(data.at(-1)).toMatchObject({
      response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
    })
  })

  it.each([
    ['store', { store: true }],
    ['previous_response_id', { previous_response_id: 'resp_1' }],
    ['background', { background: true }],
    ['tools[0].type', { tools: [{ type: 'web_search' }] }],
    ['truncation', { truncation: 'auto' }],
    ['reasoning', { reasoning: { effort: 'high' } }],
    ['input[0].type', { input: [{ type: 'computer_call_output', call_id: '1', output: {} }] }],
  ])('%s is refused by its name', async (param, wrong) => {
    const { post, asked } = await createGatewayRig()
    const reply = await post('/v1/responses', { model: 'tiny', input: 'hi', ...wrong })
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({ error: { code: 'unsupported_parameter', param } })
    expect(asked).toEqual([])
  })
})
