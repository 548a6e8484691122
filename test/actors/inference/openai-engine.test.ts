import { onTestFinished, describe, expect, it } from 'vitest'
import type { EngineHost, GenerateRequest } from '../../../actors/inference/engine.port.ts'
import { createOpenAiEngine } from '../../../actors/inference/openai/openai-engine.ts'
import type { Patience } from '../../../actors/inference/openai/settings.ts'
import { defaultSampling, isOpaqueHash, limits, toOpaqueHash } from '../../../protocol/index.ts'
import { OpenAiServer, type EngineStream } from '../../support/openai-server.ts'

const options = { gpuLayers: 0, threads: 1, mlock: false }
const spec = {
  id: 'llama3.2-3b',
  path: 'http://127.0.0.1/v1',
  remoteName: 'llama3.2:3b',
  contextTokens: 8_192,
}
/** Nothing of what a test does not want to see happens by itself. */
const patient: Partial<Patience> = { lookEveryMs: 60_000, usageMs: 50 }

async function createRig(given: { key?: string; patience?: Partial<Patience>; slots?: number } = {}) {
  const server = await OpenAiServer.start()
  onTestFinished(() => server.stop())
  const logged: string[] = []
  const { key, patience, slots = 2 } = given
  const load = async (): Promise<EngineHost> => {
    const engine = createOpenAiEngine({
      url: server.url,
      key,
      patience: { ...patient, ...patience },
      onLog: (_, message) => logged.push(message),
    })
    const host = await engine.load({ ...spec, slots }, options)
    onTestFinished(() => host.close())
    return host
  }
  return { server, logged, load }
}

let jobs = 0
const toRequest = (given: Partial<GenerateRequest> = {}): GenerateRequest => ({
  jobId: `job-${++jobs}`,
  requestId: 'ab'.repeat(16),
  messages: [{ role: 'user', content: 'hi' }],
  sampling: { ...defaultSampling, temperature: 0, seed: 7 },
  maxTokens: 64,
  stop: [],
  ...given,
})

/** Runs a request whose reader takes everything at once. */
async function ask(host: EngineHost, given: Partial<GenerateRequest> = {}) {
  const request = toRequest(given)
  const { promptTokens } = await host.prepare(request)
  const tokens: number[] = []
  let text = ''
  const generation = host.generate(request.jobId, (chunk) => {
    tokens.push(...chunk.tokens)
    text += chunk.text
    queueMicrotask(() => generation.acknowledge((request.resume?.tokens.length ?? 0) + tokens.length))
  })
  const said = () => text
  const finished = generation.finished.then((result) => ({ result, text, tokens, promptTokens }))
  finished.catch(() => undefined)
  return { generation, finished, said }
}

const answerOf = async (host: EngineHost, given: Partial<GenerateRequest> = {}) =>
  (await ask(host, given)).finished

describe('an engine that another program is', () => {
  it('is a model with an opaque hash, equal wherever it has this name and different from every file', async () => {
    const { load } = await createRig()
    const { model } = await load()
    expect(model).toMatchObject({ id: 'llama3.2-3b', backend: 'remote', contextTokens: 8_192, slots: 2 })
    expect(model.hash).toBe(toOpaqueHash('openai', 'llama3.2:3b'))
    expect(model.hash).toMatch(/^[0-9a-f]{64}$/)
    expect(isOpaqueHash(model.hash)).toBe(true)
    expect(toOpaqueHash('openai', 'llama3.2:1b')).not.toBe(model.hash)
    expect(toOpaqueHash('other', 'llama3.2:3b')).not.toBe(model.hash)
    expect(isOpaqueHash('ef'.repeat(32))).toBe(false)
  })

  it('streams, counts each piece as a token, and sends what was asked for', async () => {
    const { server, load } = await createRig({ key: 'sk-very-secret' })
    server.key = 'sk-very-secret'
    const host = await load()
    const { text, tokens, result, promptTokens } = await answerOf(host, {
      stop: ['END'],
      sampling: { ...defaultSampling, temperature: 0.5, topK: 3, seed: 9 },
    })
    expect(text).toBe('Hello from elsewhere')
    expect(tokens).toHaveLength(3)
    expect(new Set(tokens).size).toBe(3)
    expect(result).toMatchObject({ reason: 'stop', completionTokens: 3, cachedTokens: 0, promptTokens })
    expect(result.resumeMode).toBeUndefined()
    const [{ path, headers, body } = await server.nextRequest()] = server.requests
    expect(path).toBe('/v1/chat/completions')
    expect(headers.authorization).toBe('Bearer sk-very-secret')
    expect(body).toMatchObject({
      model: 'llama3.2:3b',
      messages: [{ role: 'user', content: 'hi' }],
      stream: true,
      max_tokens: 64,
      temperature: 0.5,
      top_k: 3,
      seed: 9,
      stop: ['END'],
    })
    expect(body).not.toHaveProperty('min_p')
  })

  it('has room the moment an answer has ended', async () => {
    const { load } = await createRig({ slots: 1 })
    const host = await load()
    const [first, second] = [toRequest(), toRequest()]
    for (const request of [first, second]) await host.prepare(request)
    const generation = host.generate(first.jobId, () => {})
    const next = generation.finished.then(() => host.generate(second.jobId, () => {}).finished)
    await expect(next).resolves.toMatchObject({ reason: 'stop' })
  })

  it('continues a raw prompt, and takes a schema along', async () => {
    const { server, load } = await createRig()
    server.talk = (stream) => {
      stream.say('{"a":1}')
      stream.end()
    }
    const host = await load()
    const jsonSchema = '{"type":"object"}'
    await answerOf(host, { messages: undefined, prompt: 'Once', jsonSchema })
    const { path, body } = await server.nextRequest()
    expect(path).toBe('/v1/completions')
    expect(body).toMatchObject({
      prompt: 'Once',
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
    })
    server.talk = (stream) => {
      stream.say('Of course! Here it is.')
      stream.end()
    }
    await expect(answerOf(host, { jsonSchema })).rejects.toMatchObject({ code: 'QM_INFERENCE_FAILED' })
    await expect(host.prepare(toRequest({ jsonSchema: '[]' }))).rejects.toMatchObject({
      code: 'QM_JSON_SCHEMA_INVALID',
    })
  })

  it('goes on from text: of a chat as the beginning of the answer, of a prompt as more of it', async () => {
    const { server, load } = await createRig()
    const host = await load()
    server.talk = (stream) => {
      stream.say(' and the end')
      stream.end()
    }
    const begun = 'The beginning'
    const resume = { tokens: [1, 2], chars: begun.length, text: begun }
    const { result, text, tokens } = await answerOf(host, { resume })
    expect(text).toBe(' and the end')
    expect(tokens).toHaveLength(1)
    expect(result).toMatchObject({ resumeMode: 'text', completionTokens: 3 })
    await answerOf(host, { resume, messages: undefined, prompt: 'Tell: ' })
    const [chat, raw] = server.requests
    expect(chat?.body.messages).toEqual([
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: begun },
    ])
    expect(chat?.body.max_tokens).toBe(62)
    expect(raw?.body.prompt).toBe(`Tell: ${begun}`)
  })

  it('does not say twice what an engine says again that does not know how to go on', async () => {
    const { server, load } = await createRig()
    const host = await load()
    server.talk = (stream) => {
      for (const word of ['It was a dark ', 'and stormy night', '; the rain', ' fell.']) stream.say(word)
      stream.end()
    }
    const begun = 'It was a dark and stormy night'
    const resume = { tokens: [1, 2, 3], chars: begun.length, text: begun }
    expect((await answerOf(host, { resume })).text).toBe('; the rain fell.')
  })

  it('leaves out a beginning of any length that an engine says again always, as llama-server does', async () => {
    const { server, load } = await createRig()
    server.manner = 'echoes'
    const host = await load()
    server.talk = (stream, { body }) => {
      stream.say(`${body.messages?.at(-1)?.content ?? ''} sea`)
      stream.say(' is blue.')
      stream.end()
    }
    const resume = { tokens: [1], chars: 3, text: 'The' }
    expect((await answerOf(host, { resume })).text).toBe(' sea is blue.')
    expect((await server.nextRequest()).body.messages?.at(-1)).toEqual({ role: 'assistant', content: 'The' })
  })

  it('has an engine that takes no beginning answer anew, and gives no other answer behind half of one', async () => {
    const { server, load } = await createRig()
    server.manner = 'refuses'
    const host = await load()
    const words = ['The', ' sea', ' is', ' blue.']
    server.talk = (stream) => {
      for (const word of words) stream.say(word)
      stream.end()
    }
    const resume = { tokens: [1, 2], chars: 7, text: 'The sea' }
    const { text, result } = await answerOf(host, { resume })
    expect(text).toBe(' is blue.')
    expect(result).toMatchObject({ completionTokens: 4, resumeMode: 'text' })
    expect((await server.nextRequest()).body).toMatchObject({
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 64,
    })
    words[1] = ' ocean'
    await expect(answerOf(host, { resume })).rejects.toMatchObject({ code: 'QM_INFERENCE_FAILED' })
    server.talk = (stream) => {
      stream.say('The')
      stream.end()
    }
    await expect(answerOf(host, { resume })).rejects.toMatchObject({ code: 'QM_INFERENCE_FAILED' })
  })

  it('refuses what it cannot do: tokens without text, an exact resume, more than its context', async () => {
    const { load } = await createRig()
    const host = await load()
    await expect(host.prepare(toRequest({ resume: { tokens: [1], chars: 1 } }))).rejects.toMatchObject({
      code: 'QM_RESUME_INVALID',
    })
    await expect(
      host.prepare(toRequest({ resume: { tokens: [1], chars: 1, text: 'a', mode: 'exact' } })),
    ).rejects.toMatchObject({ code: 'QM_RESUME_INVALID' })
    await expect(
      host.prepare(toRequest({ messages: [{ role: 'user', content: 'x'.repeat(30_000) }] })),
    ).rejects.toMatchObject({ code: 'QM_CONTEXT_EXCEEDED' })
  })

  it('learns from the figures of the engine what a token is', async () => {
    const { server, load } = await createRig()
    const host = await load()
    const messages = [{ role: 'user' as const, content: 'word '.repeat(200) }]
    const before = (await host.prepare(toRequest({ messages }))).promptTokens
    server.talk = (stream) => {
      stream.say('ok')
      stream.end('stop', 204)
    }
    for (let round = 0; round < 12; round++) await answerOf(host, { messages })
    const after = (await host.prepare(toRequest({ messages }))).promptTokens
    expect(before).toBeGreaterThan(300)
    expect(after).toBeGreaterThanOrEqual(204)
    expect(after).toBeLessThan(225)
  })

  it('ends at a stop string that is cut anywhere, and at the length asked for', async () => {
    const { server, load } = await createRig()
    const host = await load()
    const gone: Promise<void>[] = []
    server.talk = (stream, request) => {
      gone.push(request.gone)
      for (const word of ['a', ' b', ' ST', 'OP', ' c', ' d']) stream.say(word)
    }
    expect(await answerOf(host, { stop: ['1', '2', '3', '4', 'STOP'] })).toMatchObject({
      text: 'a b ',
      result: { reason: 'stop-string' },
    })
    expect(await answerOf(host, { maxTokens: 2 })).toMatchObject({
      text: 'a b',
      result: { reason: 'length' },
    })
    expect(server.requests[0]?.body['stop']).toEqual(['1', '2', '3', '4'])
    // Nobody wants the rest, and the engine is told.
    await Promise.all(gone)
  })

  it('keeps letters whole, and cuts what is longer than a token may be', async () => {
    const { server, load } = await createRig()
    const host = await load()
    const emoji = '🙂'.repeat(300)
    server.talk = (stream) => {
      stream.raw('data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n')
      stream.raw('data: {"choices":[{"delta":{"content":"\\ude42"}}]}\r\n\r\n')
      stream.say(emoji)
      stream.end()
    }
    const chunks: string[] = []
    const request = toRequest()
    await host.prepare(request)
    await host.generate(request.jobId, ({ text }) => chunks.push(text)).finished
    expect(chunks.join('')).toBe(`🙂${emoji}`)
    expect(chunks[0]).toBe('🙂')
    expect(chunks.every((text) => text.length <= 256 && !/[\uD800-\uDBFF]$/.test(text))).toBe(true)
  })

  it('waits for its reader, and is told to stop by a hang-up', async () => {
    const { server, load } = await createRig()
    const host = await load()
    server.talk = (stream) => {
      for (let index = 0; index < 1_000; index++) stream.say(`${index} `)
    }
    const request = toRequest({ maxTokens: 2_000 })
    await host.prepare(request)
    let tokens = 0
    let arrived: () => void = () => {}
    const until = (count: number) =>
      new Promise<void>((resolve) => {
        arrived = () => (tokens >= count ? resolve() : undefined)
        arrived()
      })
    const generation = host.generate(request.jobId, (chunk) => {
      tokens += chunk.tokens.length
      arrived()
    })
    await until(limits.unackedTokensMax)
    generation.acknowledge(10)
    await until(limits.unackedTokensMax + 10)
    expect(tokens).toBe(limits.unackedTokensMax + 10)
    generation.cancel()
    await expect(generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await (
      await server.nextRequest()
    ).gone
    expect(tokens).toBe(limits.unackedTokensMax + 10)
  })

  it('runs as many at once as it has slots', async () => {
    const { server, load } = await createRig({ slots: 1 })
    const host = await load()
    server.talk = () => {}
    const first = await ask(host)
    await server.nextRequest()
    await expect(answerOf(host)).rejects.toMatchObject({ code: 'QM_INTERNAL' })
    first.generation.cancel()
    await expect(first.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
  })
})

describe('an engine that cannot be used says what to do', () => {
  const failure = async (load: () => Promise<EngineHost>): Promise<string> => {
    const error = await load().then(
      () => new Error('it loaded'),
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'QM_ENGINE_UNAVAILABLE' })
    return (error as Error).message
  }

  it('nobody is there', async () => {
    const { server, load } = await createRig()
    const { url } = server
    const loading = (): Promise<EngineHost> =>
      createOpenAiEngine({ url, patience: patient }).load(spec, options)
    await (await load()).close()
    await server.stop()
    expect(await failure(loading)).toMatch(/is not there.*ECONNREFUSED.*start it/)
  })

  it('the model is not there', async () => {
    const { server, load } = await createRig()
    server.models = ['qwen3:8b', 'evil\u001b[2J']
    const message = await failure(load)
    expect(message).toMatch(/no model "llama3\.2:3b", it has "qwen3:8b", "evil \[2J"/)
    server.models = ['llama3.2:3b:latest', 'x']
    await load()
  })

  it('the key is wrong, and none is repeated', async () => {
    const { server, load } = await createRig({ key: 'sk-mine' })
    server.key = 'sk-other'
    const message = await failure(load)
    expect(message).toMatch(/401.*engineKey/)
    expect(message).not.toContain('sk-')
    expect(message).not.toContain('\u001b')
  })

  it('another kind of server is there', async () => {
    const { server, load } = await createRig()
    server.models = 'none'
    server.reply = (_, response) => void response.end('<html>hello</html>')
    expect(await failure(load)).toMatch(/where a stream of events was asked for/)
    server.reply = (_, response) => void response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end()
    expect(await failure(load)).toMatch(/sends us elsewhere, where we do not go/)
  })

  it('one that is slow is no fault', async () => {
    const { server, load } = await createRig({ patience: { trialMs: 50 } })
    server.reply = () => {}
    expect((await load()).model.slots).toBe(2)
  })
})

describe('an engine that is broken or hostile harms nobody', () => {
  const cases: Record<string, (stream: EngineStream) => void> = {
    'garbage instead of JSON': (stream) => stream.raw('data: {"choices": [{{{\n\n'),
    'JSON of another shape': (stream) => stream.raw('data: {"choices": "none"}\n\n'),
    'a null': (stream) => stream.raw('data: null\n\n'),
    'text that is none': (stream) => stream.raw('data: {"choices":[{"delta":{"content":{"a":1}}}]}\n\n'),
    'an error in mid-answer': (stream) => {
      stream.say('so far')
      stream.raw('data: {"error":{"message":"secret of the owner","code":500}}\n\n')
    },
    'a line without an end': (stream) => stream.raw(`data: ${'x'.repeat(300_000)}`),
    'a hang-up in mid-answer': (stream) => {
      stream.say('so far')
      setImmediate(() => stream.hangUp())
    },
    'an end that is none': (stream) => {
      stream.say('so far')
      stream.response.end()
    },
    'comments for ever': (stream) => {
      const comments = `: ${'still here '.repeat(500)}\n`.repeat(10)
      const more = (): void => {
        if (!stream.response.destroyed && stream.response.write(comments)) setImmediate(more)
        else stream.response.once('drain', more)
      }
      more()
    },
    'events for ever that say nothing': (stream) => {
      const events = 'data: {"choices":[]}\n\n'.repeat(100)
      const more = (): void => {
        if (!stream.response.destroyed && stream.response.write(events)) setImmediate(more)
        else stream.response.once('drain', more)
      }
      more()
    },
  }
  it.each(Object.keys(cases))('%s', async (name) => {
    const { server, load } = await createRig()
    const host = await load()
    server.talk = (stream) => cases[name]?.(stream)
    const error: unknown = await answerOf(host).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'QM_INFERENCE_FAILED' })
    // What the engine said is not for the client.
    expect((error as Error).message).toMatch(/^the engine of this worker/)
    expect((error as Error).message).not.toMatch(/secret|127\.0\.0\.1/)
    // The next one is none the worse for it.
    server.talk = (stream) => {
      stream.say('fine')
      stream.end()
    }
    expect((await answerOf(host)).text).toBe('fine')
  })

  it('silence', async () => {
    const { server, load } = await createRig({ patience: { firstMs: 60, gapMs: 60 } })
    const host = await load()
    server.talk = () => {}
    await expect(answerOf(host)).rejects.toMatchObject({
      code: 'QM_INFERENCE_FAILED',
      message: 'the engine of this worker made no progress',
    })
    server.talk = (stream) => stream.say('one word')
    await expect(answerOf(host)).rejects.toMatchObject({ code: 'QM_INFERENCE_FAILED' })
    // The answer is complete; an engine that keeps the line is not waited for.
    server.talk = (stream) => {
      stream.say('whole')
      stream.raw('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
    }
    expect((await answerOf(host)).text).toBe('whole')
  })

  it('more text than was asked for', async () => {
    const { server, load } = await createRig()
    const host = await load()
    server.talk = (stream) => {
      for (let index = 0; index < 500; index++) stream.say('x'.repeat(1_000))
    }
    const { tokens, text, result } = await answerOf(host, { maxTokens: 8 })
    expect(tokens).toHaveLength(8)
    expect(text).toBe('x'.repeat(256 * 7 + 232).slice(0, text.length))
    expect(text.length).toBeLessThanOrEqual(8 * 256)
    expect(result.reason).toBe('length')
  })

  it.each([
    [429, { 'retry-after': '7' }, 'QM_OVERLOADED', 7_000],
    [503, {}, 'QM_OVERLOADED', 2_000],
    [500, {}, 'QM_INFERENCE_FAILED', undefined],
    [401, {}, 'QM_INFERENCE_FAILED', undefined],
    [302, { location: 'http://127.0.0.1:9/elsewhere' }, 'QM_INFERENCE_FAILED', undefined],
  ] as const)('status %i', async (status, headers, code, retryAfterMs) => {
    const { server, logged, load } = await createRig()
    const host = await load()
    server.reply = (_, response) =>
      void response.writeHead(status, headers).end('{"error":{"message":"no\\u001b[0m"}}')
    const error: unknown = await answerOf(host).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code, retryAfterMs })
    expect(server.requests).toHaveLength(1)
    expect(logged.at(-1)).toContain(String(status))
    expect(logged.at(-1)).not.toContain('\u001b')
  })

  it('a context that is too small is said as such', async () => {
    const { server, load } = await createRig()
    const host = await load()
    server.reply = (_, response) =>
      void response
        .writeHead(400)
        .end('{"error":{"message":"the request exceeds the available context size","code":400}}')
    await expect(answerOf(host)).rejects.toMatchObject({ code: 'QM_CONTEXT_EXCEEDED' })
  })
})

describe('an engine that goes away', () => {
  it('is lost at once when a request finds it gone, and so is everything on it', async () => {
    const { server, load } = await createRig()
    const host = await load()
    server.talk = (stream) => stream.say('so far')
    const running = await ask(host)
    await server.nextRequest()
    await server.stop()
    await expect(running.finished).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    expect(await host.lost).toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    await expect(host.prepare(toRequest())).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
  })

  it('is missed when nobody asks, too', async () => {
    const { server, logged, load } = await createRig({ patience: { lookEveryMs: 20 } })
    const host = await load()
    await server.stop()
    expect(await host.lost).toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    expect(logged.at(-1)).toMatch(/start it/)
  })
})
