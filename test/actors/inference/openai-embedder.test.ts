import type { ServerResponse } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { EngineHost, GenerateRequest } from '../../../actors/inference/engine.port.ts'
import { createOpenAiEngine } from '../../../actors/inference/openai/openai-engine.ts'
import type { Patience } from '../../../actors/inference/openai/settings.ts'
import { decodeEmbeddings, defaultSampling, limits, toUnitVector } from '../../../protocol/index.ts'
import { OpenAiServer, type EngineRequest } from '../../support/openai-server.ts'

const options = { gpuLayers: 0, threads: 1, mlock: false }
const spec = {
  id: 'nomic-embed-text',
  path: 'http://127.0.0.1/v1',
  remoteName: 'nomic-embed-text',
  contextTokens: 100,
}
const size = 3

/** Long, as programs give them: the mesh's are of length 1. */
const vectorOf = (text: string): number[] => [text.length, 2, -3]

const inputOf = ({ body }: EngineRequest): string[] => body['input'] as string[]
const send = (response: ServerResponse, value: unknown, status = 200): void =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
const toList = (texts: readonly string[]) => ({
  object: 'list',
  // In any order: the index counts.
  data: texts.map((text, index) => ({ object: 'embedding', index, embedding: vectorOf(text) })).toReversed(),
  usage: { prompt_tokens: texts.length, total_tokens: texts.length },
})

/** A program with a model that makes embeddings and does not chat. */
async function createRig(patience: Partial<Patience> = {}) {
  const server = await OpenAiServer.start()
  onTestFinished(() => server.stop())
  server.models = ['nomic-embed-text']
  const rig = {
    server,
    logged: [] as string[],
    chat: (response: ServerResponse): void =>
      send(response, { error: { message: '"nomic-embed-text" does not support chat' } }, 400),
    embed: (request: EngineRequest, response: ServerResponse): void =>
      send(response, toList(inputOf(request))),
    load: async (): Promise<EngineHost> => {
      const engine = createOpenAiEngine({
        url: server.url,
        patience: { lookEveryMs: 60_000, ...patience },
        onLog: (_, message) => rig.logged.push(message),
      })
      const host = await engine.load(spec, options)
      onTestFinished(() => host.close())
      return host
    },
  }
  server.reply = (request, response) => {
    if (request.path === '/v1/embeddings') rig.embed(request, response)
    else rig.chat(response)
  }
  return rig
}

let jobs = 0
const toRequest = (embed: readonly string[]): GenerateRequest => ({
  jobId: `job-${++jobs}`,
  requestId: 'ab'.repeat(16),
  embed,
  sampling: defaultSampling,
  maxTokens: 1,
  stop: [],
})

async function start(host: EngineHost, texts: readonly string[]) {
  const request = toRequest(texts)
  const { promptTokens } = await host.prepare(request)
  return { promptTokens, generation: host.generate(request.jobId, () => {}) }
}

const finish = async (host: EngineHost, texts: readonly string[]) => {
  const { generation, promptTokens } = await start(host, texts)
  return { result: await generation.finished, promptTokens }
}

describe('a model for embeddings that another program runs', () => {
  it('is one by what it does: it refuses to chat, and makes a vector', async () => {
    const rig = await createRig()
    const host = await rig.load()
    expect(host.model).toMatchObject({ embeddingSize: size, backend: 'remote', slots: 1, contextTokens: 100 })
    await expect(host.prepare({ ...toRequest([]), embed: undefined, prompt: 'hi' })).rejects.toMatchObject({
      code: 'QM_MODEL_KIND',
    })
  })

  it('a model that chats is one that answers, though the program makes vectors with it, too', async () => {
    const rig = await createRig()
    rig.server.reply = undefined
    const host = await rig.load()
    expect(host.model.embeddingSize).toBeUndefined()
    await expect(host.prepare(toRequest(['a']))).rejects.toMatchObject({ code: 'QM_MODEL_KIND' })
    expect(rig.server.requests).toEqual([])
  })

  it.each([500, 429, 503])('a program that only fails now (%i) is not taken for one', async (status) => {
    const rig = await createRig()
    rig.chat = (response) => send(response, { error: { message: 'not now' } }, status)
    const loaded: unknown = await rig.load().catch((error: unknown) => error)
    // One that is busy is believed to answer.
    expect(loaded).toMatchObject(
      status === 500 ? { code: 'QM_ENGINE_UNAVAILABLE' } : { model: { id: 'nomic-embed-text' } },
    )
    expect(loaded).not.toHaveProperty('model.embeddingSize')
    expect(rig.server.requests.filter(({ path }) => path === '/v1/embeddings')).toEqual([])
  })

  it('that neither chats nor makes vectors is refused with why it does not chat', async () => {
    const rig = await createRig()
    rig.embed = (_request, response) => send(response, { error: { message: 'no' } }, 400)
    await expect(rig.load()).rejects.toMatchObject({
      code: 'QM_ENGINE_UNAVAILABLE',
      message: expect.stringContaining('does not support chat'),
    })
  })

  it('gives its vectors in the order of the texts, each of length 1', async () => {
    const rig = await createRig()
    const host = await rig.load()
    const texts = ['a', 'bb', 'ccc']
    const { result, promptTokens } = await finish(host, texts)
    expect(decodeEmbeddings(result.embeddings ?? '', 3, size)).toEqual(
      texts.map((text) => toUnitVector(vectorOf(text))),
    )
    expect(result).toMatchObject({ promptTokens, completionTokens: 0, cachedTokens: 0, reason: 'stop' })
    const { path, headers, body } = await rig.server.nextRequest(rig.server.requests.length - 1)
    expect(path).toBe('/v1/embeddings')
    expect(headers.accept).toBe('application/json')
    expect(body).toEqual({ model: 'nomic-embed-text', input: texts, encoding_format: 'float' })
  })

  it('refuses a text beyond its context before it is sent', async () => {
    const rig = await createRig()
    const host = await rig.load()
    const before = rig.server.requests.length
    await expect(host.prepare(toRequest(['a', 'x'.repeat(400)]))).rejects.toMatchObject({
      code: 'QM_CONTEXT_EXCEEDED',
    })
    // Together they may be longer.
    const many = Array.from({ length: 8 }, () => 'x'.repeat(200))
    expect((await finish(host, many)).promptTokens).toBeGreaterThan(100)
    expect(rig.server.requests).toHaveLength(before + 1)
  })

  const numbers = (embedding: unknown, index = 0) => ({ data: [{ index, embedding }] })
  it.each<[string, unknown]>([
    ['nonsense', 'nonsense'],
    ['no vector', { data: [] }],
    ['two for one', { data: [...toList(['a']).data, ...toList(['b']).data] }],
    ['one of another size', numbers([1, 2])],
    ['one without direction', numbers([0, 0, 0])],
    ['one with words', numbers([1, 'x', 2])],
    ['one for another text', numbers([1, 2, 3], 1)],
    ['base64', numbers('AAAA')],
    ['one that is too long', numbers(Array.from({ length: limits.embeddingSizeMax + 1 }, () => 1))],
    ['an answer without end', { data: [], rest: 'x'.repeat(2 * 1024 * 1024) }],
  ])('%s fails the request and nothing else', async (_what, answer) => {
    const rig = await createRig()
    const host = await rig.load()
    const good = rig.embed
    rig.embed = (_request, response) => send(response, answer)
    await expect(finish(host, ['a'])).rejects.toMatchObject({ code: 'QM_INFERENCE_FAILED' })
    rig.embed = good
    expect((await finish(host, ['a'])).result.embeddings).toBeDefined()
  })

  it('one that is busy sends the request elsewhere', async () => {
    const rig = await createRig()
    const host = await rig.load()
    rig.embed = (_request, response) => send(response, { error: { message: 'busy' } }, 503)
    await expect(finish(host, ['a'])).rejects.toMatchObject({ code: 'QM_OVERLOADED' })
  })

  it('a cancel hangs up', async () => {
    const rig = await createRig()
    const host = await rig.load()
    const before = rig.server.requests.length
    rig.embed = () => {}
    const { generation } = await start(host, ['a'])
    const { gone } = await rig.server.nextRequest(before)
    generation.cancel()
    await expect(generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await gone
  })

  it('is lost when a request finds it gone', async () => {
    const rig = await createRig()
    const host = await rig.load()
    const before = rig.server.requests.length
    rig.embed = () => {}
    const { generation } = await start(host, ['a'])
    await rig.server.nextRequest(before)
    await rig.server.stop()
    await expect(generation.finished).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    expect(await host.lost).toMatchObject({ code: 'QM_ENGINE_CRASHED' })
  })

  it('silence ends it', async () => {
    const rig = await createRig({ firstMs: 50 })
    const host = await rig.load()
    rig.embed = () => {}
    await expect(finish(host, ['a'])).rejects.toMatchObject({ code: 'QM_INFERENCE_FAILED' })
  })
})
