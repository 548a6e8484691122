import { describe, expect, it } from 'vitest'
import {
  answerHello,
  createGatewayRig,
  otherId,
  question,
  readEvents,
  workerId,
} from '../../support/gateway-rig.ts'

describe('POST /v1/chat/completions', () => {
  it('answers as OpenAI does, and says which worker answered', async () => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    const reply = await chat()
    expect(reply.statusCode).toBe(200)
    const id = asked[0]?.requestId
    expect(reply.headers).toMatchObject({
      'x-qmesh-worker': workerId,
      'x-qmesh-request-id': id,
      'x-qmesh-handovers': '0',
    })
    expect(reply.json()).toEqual({
      id: `chatcmpl-${id}`,
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'tiny',
      system_fingerprint: 'qmesh_efefefefefefefef',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'hello world', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 2,
        total_tokens: 7,
        prompt_tokens_details: { cached_tokens: 2 },
      },
    })
  })

  it('passes on what was asked: roles, parts, sampling, length, ends', async () => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    const messages = [
      { role: 'system', content: 'be brief' },
      { role: 'developer', content: 'be kind' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'one' },
          { type: 'text', text: 'two' },
        ],
      },
      { role: 'assistant', content: 'three' },
      { role: 'user', content: 'four' },
    ]
    const body = {
      messages,
      temperature: 0.5,
      top_p: 0,
      top_k: 7,
      min_p: 0.1,
      repetition_penalty: 1.1,
      seed: 11,
      stop: 'END',
      max_completion_tokens: 9,
      // What switches off something that is not there, and what is about the caller, changes nothing.
      logprobs: false,
      tools: [],
      logit_bias: null,
      frequency_penalty: 0,
      user: 'me',
    }
    expect((await chat(body)).statusCode).toBe(200)
    expect(asked[0]?.input).toEqual([
      { role: 'system', content: 'be brief' },
      { role: 'system', content: 'be kind' },
      { role: 'user', content: 'one\ntwo' },
      { role: 'assistant', content: 'three' },
      { role: 'user', content: 'four' },
    ])
    expect(asked[0]?.options).toEqual({
      model: 'tiny',
      temperature: 0.5,
      topP: 1e-6,
      topK: 7,
      minP: 0.1,
      repeatPenalty: 1.1,
      seed: 11,
      stop: ['END'],
      maxTokens: 9,
      signal: expect.any(AbortSignal),
    })
  })

  it.each([
    [{ type: 'text' }, undefined],
    [{ type: 'json_object' }, { type: 'object', additionalProperties: true, minProperties: 1 }],
    [
      { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'string' } } },
      { type: 'string' },
    ],
    [
      {
        type: 'json_schema',
        json_schema: { schema: { $ref: '#/definitions/a', definitions: { a: { type: 'null' } } } },
      },
      { $ref: '#/$defs/a', $defs: { a: { type: 'null' } } },
    ],
  ])('response_format %j is the grammar of %j', async (format, jsonSchema) => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    expect((await chat({ response_format: format })).statusCode).toBe(200)
    expect(asked[0]?.options.jsonSchema).toEqual(jsonSchema)
  })

  it("passes on the step of the caller's trace, if that is one", async () => {
    const { post, asked } = await createGatewayRig({ reply: answerHello })
    const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
    for (const header of [traceparent, 'nonsense']) {
      const reply = await post('/v1/chat/completions', question, { traceparent: header })
      expect(reply.statusCode).toBe(200)
    }
    expect(asked.map(({ options }) => options.traceparent)).toEqual([traceparent, undefined])
  })

  it('"auto" takes any model', async () => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    expect((await chat({ model: 'auto' })).json()).toMatchObject({ model: 'tiny' })
    expect(asked[0]?.options).not.toHaveProperty('model')
  })

  it('n asks that many times at once, each with a seed of its own, and counts the prompt once', async () => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    const reply = await chat({ n: 3, seed: 2 ** 32 - 1 })
    expect(asked.map(({ options }) => options.seed)).toEqual([2 ** 32 - 1, 0, 1])
    expect(reply.json()).toMatchObject({
      choices: [{ index: 0 }, { index: 1 }, { index: 2 }],
      usage: { prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 },
    })
    expect(reply.headers['x-qmesh-request-id']).toBe(asked.map(({ requestId }) => requestId).join(', '))
  })

  it('when one of n fails, the others are cancelled', async () => {
    const { chat, asked } = await createGatewayRig({
      reply: ({ fail, options }) => (options.seed === 1 ? fail('QM_WORKER_LOST') : undefined),
    })
    const reply = await chat({ n: 3, seed: 0 })
    expect(reply.statusCode).toBe(502)
    expect(asked.map(({ isCancelled }) => isCancelled)).toEqual([true, true, true])
  })

  it('a caller that hangs up cancels the request, and is not counted as one that was answered', async () => {
    const rig = await createGatewayRig()
    const abort = new AbortController()
    const reply = rig.fetchChat({}, abort.signal).catch(() => 'gone')
    const asked = await rig.nextAsked()
    abort.abort()
    expect(await reply).toBe('gone')
    await expect.poll(() => asked.isCancelled).toBe(true)
    await rig.drain()
    const metrics = await rig.meter.registry.metrics()
    expect(metrics).toContain('route="/v1/chat/completions",method="POST",status="499"} 1')
    expect(metrics).not.toContain('status="200"')
  })
})

describe('a streamed chat', () => {
  const chunk = (delta: object, finish: string | null = null) => ({
    id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
    object: 'chat.completion.chunk',
    created: expect.any(Number),
    model: 'tiny',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  })

  it('comes as the chunks that OpenAI sends, usage last', async () => {
    const { chat } = await createGatewayRig({ reply: answerHello })
    const reply = await chat({ stream: true, stream_options: { include_usage: true } })
    expect(reply.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'x-qmesh-worker': workerId,
      'cache-control': 'no-cache',
    })
    const { data, isDone } = readEvents(reply.body)
    expect(data).toEqual([
      { ...chunk({ role: 'assistant', content: '' }), usage: null },
      { ...chunk({ content: 'hello ' }), usage: null },
      { ...chunk({ content: 'world' }), usage: null },
      { ...chunk({}, 'stop'), usage: null },
      {
        ...chunk({}),
        choices: [],
        usage: {
          prompt_tokens: 5,
          completion_tokens: 2,
          total_tokens: 7,
          prompt_tokens_details: { cached_tokens: 2 },
        },
      },
    ])
    expect(isDone).toBe(true)
  })

  it('comes without usage unless asked for, and an answer cut off says so', async () => {
    const { chat } = await createGatewayRig({
      reply: (asked) => {
        asked.say('')
        asked.say('hi')
        asked.finish({ finishReason: 'length' })
      },
    })
    expect(readEvents((await chat({ stream: true })).body).data).toEqual([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'hi' }),
      chunk({}, 'length'),
    ])
  })

  it('of several answers is one stream, each chunk with its index', async () => {
    const { chat } = await createGatewayRig({ reply: answerHello })
    const { data } = readEvents((await chat({ stream: true, n: 2 })).body)
    const texts = ['', '']
    for (const { choices } of data as { choices: { index: number; delta: { content?: string } }[] }[]) {
      for (const { index, delta } of choices) texts[index] += delta.content ?? ''
    }
    expect(texts).toEqual(['hello world', 'hello world'])
  })

  it('tells the place in the queue, and where it went on, as comments', async () => {
    const rig = await createGatewayRig()
    const reply = await (async () => {
      const pending = rig.fetchChat({ stream: true })
      const asked = await rig.nextAsked()
      asked.emitter.emit('queued', { position: 2, etaMs: 700, promptTokens: 5 })
      // The head is here before the first token: whoever waits sees that it is waited for.
      const head = await pending
      asked.say('hello ')
      asked.emitter.emit('handover', {
        from: workerId,
        to: otherId,
        afterTokens: 1,
        gapMs: 12.4,
        code: 'QM_WORKER_LOST',
      })
      asked.say('world')
      asked.finish({ workerId: otherId })
      return head.text()
    })()
    const { comments, data } = readEvents(reply)
    expect(comments).toEqual([
      'place in the queue: 2, about 700 ms to go',
      `continued on another worker: from ${workerId} to ${otherId} after 1 tokens and 12 ms (QM_WORKER_LOST)`,
      `x-qmesh-worker ${otherId}`,
      'x-qmesh-handovers 1',
    ])
    expect(data).toHaveLength(4)
  })

  it('tells a handover where it happened, however far behind the reader is', async () => {
    const rig = await createGatewayRig()
    const pending = rig.fetchChat({ stream: true })
    const asked = await rig.nextAsked()
    // All of it happens before the gateway has read any.
    for (const text of ['one ', 'two ', 'three ']) asked.say(text)
    const handover = { from: workerId, to: otherId, gapMs: 12, code: 'QM_WORKER_LOST' } as const
    asked.emitter.emit('handover', { ...handover, afterTokens: 2 })
    asked.finish({ workerId: otherId })
    const told = (await (await pending).text())
      .split('\n')
      .flatMap((line) => /"content":"(\w+) "|^: (continued)/.exec(line)?.slice(1).filter(Boolean) ?? [])
    expect(told).toEqual(['one', 'two', 'continued', 'three'])
  })

  it('says that it lives while nothing happens', async () => {
    const rig = await createGatewayRig({ settings: { limits: { heartbeatMs: 5 } } })
    const pending = rig.fetchChat({ stream: true })
    const asked = await rig.nextAsked()
    const reply = await pending
    asked.finish()
    expect(readEvents(await reply.text()).comments).toContain('still here')
  })

  it('that fails before its first token is answered by a status', async () => {
    const { chat, asked } = await createGatewayRig({
      reply: ({ fail }) => fail('QM_QUEUE_FULL', undefined, 1_500),
    })
    const reply = await chat({ stream: true })
    expect(reply.statusCode).toBe(503)
    expect(reply.headers).toMatchObject({
      'retry-after': '2',
      'retry-after-ms': '1500',
      // To ask why.
      'x-qmesh-request-id': asked[0]?.requestId,
    })
    expect(reply.json()).toMatchObject({ error: { code: 'queue_full', qmesh_code: 'QM_QUEUE_FULL' } })
  })

  it('that fails later ends with an error event, and without the word that it is done', async () => {
    const { chat } = await createGatewayRig({
      reply: (asked) => {
        asked.say('half')
        asked.fail('QM_WORKER_LOST', 'gone')
      },
    })
    const reply = await chat({ stream: true })
    expect(reply.statusCode).toBe(200)
    const { data, isDone } = readEvents(reply.body)
    expect(data.at(-1)).toEqual({
      error: {
        message: 'gone',
        type: 'server_error',
        param: null,
        code: 'worker_lost',
        qmesh_code: 'QM_WORKER_LOST',
      },
    })
    expect(isDone).toBe(false)
  })

  it('whose reader hangs up is cancelled', async () => {
    const rig = await createGatewayRig()
    const abort = new AbortController()
    const pending = rig.fetchChat({ stream: true }, abort.signal)
    const asked = await rig.nextAsked()
    asked.say('hello')
    const reader = (await pending).body?.getReader()
    await reader?.read()
    abort.abort()
    await expect.poll(() => asked.isCancelled).toBe(true)
  })
})

describe('what the node cannot do', () => {
  it.each([
    ['logprobs', { logprobs: true }],
    ['top_logprobs', { top_logprobs: 2 }],
    ['logit_bias', { logit_bias: { 50: 1 } }],
    ['frequency_penalty', { frequency_penalty: 0.5 }],
    ['presence_penalty', { presence_penalty: -1 }],
    ['modalities', { modalities: ['text', 'audio'] }],
    ['audio', { audio: { voice: 'a', format: 'mp3' } }],
    ['store', { store: true }],
    ['reasoning_effort', { reasoning_effort: 'high' }],
    ['messages[0].name', { messages: [{ role: 'user', name: 'bob', content: 'hi' }] }],
    [
      'messages[0].content[1].type',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'what is this?' },
              { type: 'image_url', image_url: { url: 'data:' } },
            ],
          },
        ],
      },
    ],
  ])('%s is refused by its name, and nothing is asked', async (param, body) => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    const reply = await chat(body)
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({
      error: { type: 'invalid_request_error', code: 'unsupported_parameter', param },
    })
    expect(asked).toEqual([])
  })

  it.each([
    ['missing_required_parameter', 'model', { model: undefined }],
    ['missing_required_parameter', 'messages', { messages: undefined }],
    ['invalid_value', 'messages', { messages: [] }],
    ['invalid_value', 'messages[0].role', { messages: [{ role: 'function', content: 'x' }] }],
    ['missing_required_parameter', 'messages[0].content', { messages: [{ role: 'user' }] }],
    ['invalid_value', 'messages[0].content', { messages: [{ role: 'user', content: 5 }] }],
    ['invalid_type', 'temperature', { temperature: 'hot' }],
    ['invalid_value', 'temperature', { temperature: 2.1 }],
    ['invalid_value', 'seed', { seed: -1 }],
    ['invalid_value', 'max_tokens', { max_tokens: 0 }],
    ['invalid_value', 'max_tokens', { max_tokens: 5, max_completion_tokens: 6 }],
    ['invalid_value', 'n', { n: 9 }],
    ['invalid_value', 'stream_options', { stream_options: { include_usage: true } }],
    ['invalid_type', 'stream', { stream: 'yes' }],
    ['unknown_parameter', 'temprature', { temprature: 1 }],
    ['unknown_parameter', 'response_format.schema', { response_format: { type: 'json_object', schema: {} } }],
  ])('%s: %s', async (code, param, body) => {
    const { chat, asked } = await createGatewayRig({ reply: answerHello })
    const reply = await chat(body)
    expect(reply.json()).toMatchObject({ error: { type: 'invalid_request_error', code, param } })
    expect(reply.statusCode).toBe(400)
    expect(asked).toEqual([])
  })

  it('a prompt that no frame can hold is refused before anybody is asked', async () => {
    const { chat, asked } = await createGatewayRig()
    const content = '€'.repeat(400_000)
    expect((await chat({ messages: [{ role: 'user', content }] })).json()).toMatchObject({
      error: { code: 'invalid_value', message: expect.stringContaining('bytes') },
    })
    expect(asked).toEqual([])
  })

  it('a model that nobody holds is refused, and one of nearly that name suggested', async () => {
    const { chat, asked } = await createGatewayRig()
    const reply = await chat({ model: 'SmolLM2:135M' })
    expect(reply.statusCode).toBe(404)
    expect(reply.json()).toMatchObject({
      error: {
        code: 'model_not_found',
        param: 'model',
        message: expect.stringContaining('"smollm2-135m"'),
      },
    })
    expect((await chat({ model: 'gpt-4o' })).json()).toMatchObject({
      error: { message: expect.stringMatching(/There are "smollm2-135m", "tiny"; "auto" takes any/) },
    })
    expect(asked).toEqual([])
  })

  it('while no worker is known, a request waits for one instead', async () => {
    const { chat, asked } = await createGatewayRig({ port: { workers: () => [] }, reply: answerHello })
    expect((await chat({ model: 'any-model' })).statusCode).toBe(200)
    expect(asked[0]?.options.model).toBe('any-model')
  })

  it('nothing new is begun while the gateway drains, and what runs goes on', async () => {
    const rig = await createGatewayRig()
    const running = rig.chat()
    const asked = await rig.nextAsked()
    const drained = rig.drain()
    const late = await rig.chat()
    expect(late.statusCode).toBe(503)
    expect(late.json()).toMatchObject({ error: { code: 'node_stopping' } })
    expect((await rig.get('/readyz')).statusCode).toBe(503)
    answerHello(asked)
    expect((await running).statusCode).toBe(200)
    await drained
  })
})

describe('POST /v1/completions', () => {
  it('continues texts as they are, each as often as asked', async () => {
    const { post, asked } = await createGatewayRig({ reply: answerHello })
    const body = { model: question.model, prompt: ['one', 'two'], n: 2, max_tokens: 4, stop: ['a', 'b'] }
    const reply = await post('/v1/completions', body)
    expect(asked.map(({ input }) => input)).toEqual(['one', 'one', 'two', 'two'])
    expect(asked[0]?.options).toMatchObject({ raw: true, maxTokens: 4, stop: ['a', 'b'] })
    expect(reply.json()).toMatchObject({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      choices: [0, 1, 2, 3].map((index) => ({ index, text: 'hello world', finish_reason: 'stop' })),
      usage: { prompt_tokens: 10, completion_tokens: 8 },
    })
  })

  it('streams', async () => {
    const { post } = await createGatewayRig({ reply: answerHello })
    const body = { model: 'tiny', prompt: 'one', stream: true, stream_options: { include_usage: true } }
    const { data, isDone } = readEvents((await post('/v1/completions', body)).body)
    expect(data).toMatchObject([
      { object: 'text_completion', choices: [{ text: 'hello ', finish_reason: null }], usage: null },
      { choices: [{ text: 'world' }] },
      { choices: [{ text: '', finish_reason: 'stop' }] },
      { choices: [], usage: { total_tokens: 7 } },
    ])
    expect(isDone).toBe(true)
  })

  it.each([
    ['unsupported_parameter', 'echo', { echo: true }],
    ['unsupported_parameter', 'suffix', { suffix: 'x' }],
    ['unsupported_parameter', 'logprobs', { logprobs: 0 }],
    ['unsupported_parameter', 'best_of', { best_of: 2 }],
    ['unsupported_parameter', 'prompt', { prompt: [1, 2, 3] }],
    ['unsupported_parameter', 'prompt', { prompt: [[1], [2]] }],
    ['missing_required_parameter', 'prompt', { prompt: undefined }],
    ['invalid_value', 'n', { prompt: ['a', 'b', 'c'], n: 3 }],
  ])('%s: %s', async (code, param, body) => {
    const { post } = await createGatewayRig({ reply: answerHello })
    const reply = await post('/v1/completions', { model: 'tiny', prompt: 'x', ...body })
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({ error: { code, param } })
  })
})
