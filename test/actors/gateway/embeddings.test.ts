import { describe, expect, it, onTestFinished } from 'vitest'
import { decodeEmbeddings, QMeshError } from '../../../protocol/index.ts'
import type { GatewayPort } from '../../../actors/gateway/gateway.port.ts'
import { AnswerError } from '../../../actors/request/answer.ts'
import { createGatewayRig, sampleWorker, versatileWorker, workerId } from '../../support/gateway-rig.ts'
import { sampleEmbeddings, sampleVector } from '../../support/sample-embeddings.ts'

const url = '/v1/embeddings'
const body = { model: 'tiny-bert', input: 'a' }

/** A gateway that knows a worker with both kinds of models. */
const createRig = (port: Partial<GatewayPort> = {}) =>
  createGatewayRig({ port: { workers: () => [versatileWorker], ...port } })

interface List {
  readonly data: readonly { readonly index: number; readonly embedding: number[] | string }[]
}

describe('POST /v1/embeddings', () => {
  it('answers as OpenAI does, with numbers unless asked otherwise', async () => {
    const { post, embedded } = await createRig()
    const reply = await post(url, { ...body, input: ['a', 'b'], user: 'me' })
    expect(reply.statusCode).toBe(200)
    expect(reply.json()).toEqual({
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: expect.any(Array) },
        { object: 'embedding', index: 1, embedding: expect.any(Array) },
      ],
      model: 'tiny-bert',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    })
    const [first, second] = reply.json<List>().data.map(({ embedding }) => embedding as number[])
    expect([first, second].map((numbers) => Float32Array.from(numbers ?? []))).toEqual([
      sampleVector('a'),
      sampleVector('b'),
    ])
    expect(reply.headers).toMatchObject({ 'x-qmesh-worker': workerId, 'x-qmesh-request-id': /^0{32}$/ })
    expect(embedded).toMatchObject([{ texts: ['a', 'b'], options: { model: 'tiny-bert' } }])
    expect(embedded[0]?.options).not.toHaveProperty('user')
  })

  it("passes on the step of the caller's trace", async () => {
    const { post, embedded } = await createRig()
    const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
    await post(url, body, { traceparent })
    expect(embedded[0]?.options.traceparent).toBe(traceparent)
  })

  it('lets others have their turn between the vectors of a long list', async () => {
    let turns = 0
    const { post } = await createRig({
      embed: async (texts, options) => {
        const turn = (): void => {
          turns++
          again = setImmediate(turn)
        }
        let again = setImmediate(turn)
        onTestFinished(() => clearImmediate(again))
        return sampleEmbeddings(texts, options, { workerId, modelHash: 'ef'.repeat(32) })
      },
    })
    await post(url, { ...body, input: Array.from({ length: 200 }, (_, index) => `text ${index}`) })
    expect(turns).toBeGreaterThanOrEqual(200)
  })

  it('gives base64 when asked', async () => {
    const { post } = await createRig()
    const reply = await post(url, { ...body, encoding_format: 'base64' })
    const [{ embedding } = { embedding: '' }] = reply.json<List>().data
    expect(decodeEmbeddings(embedding as string, 1, 4)).toEqual([sampleVector('a')])
  })

  it('"auto" takes any model, "dimensions" one of that size', async () => {
    const { post, embedded } = await createRig()
    await post(url, { ...body, model: 'auto' })
    await post(url, { ...body, model: 'auto', dimensions: 4 })
    expect(embedded.map(({ options: { signal: _, ...options } }) => options)).toEqual([{}, { size: 4 }])
  })

  it.each([
    [400, 'missing_required_parameter', 'input', { input: undefined }],
    [400, 'missing_required_parameter', 'model', { model: undefined }],
    [400, 'invalid_value', 'input', { input: '' }],
    [400, 'invalid_value', 'input', { input: [] }],
    [400, 'invalid_value', 'input[1]', { input: ['a', ''] }],
    [400, 'unsupported_parameter', 'input', { input: [1, 2, 3] }],
    [400, 'unsupported_parameter', 'input', { input: [[1], [2]] }],
    [400, 'invalid_value', 'encoding_format', { encoding_format: 'int8' }],
    [400, 'invalid_value', 'dimensions', { dimensions: 0 }],
    [400, 'wrong_model_kind', 'dimensions', { dimensions: 8 }],
    [400, 'wrong_model_kind', 'model', { model: 'tiny' }],
    [404, 'model_not_found', 'model', { model: 'tiny-berta' }],
    [400, 'unknown_parameter', 'what', { what: 1 }],
  ])('%i %s: %s', async (status, code, param, wrong) => {
    const { post, embedded } = await createRig()
    const reply = await post(url, { ...body, ...wrong })
    expect(reply.json()).toMatchObject({ error: { code, param } })
    expect(reply.statusCode).toBe(status)
    expect(embedded).toEqual([])
  })

  it('takes as many texts as it says, and says so to more', async () => {
    const { post, embedded } = await createRig()
    const texts = (count: number) => Array.from({ length: count }, (_, index) => `text ${index}`)
    const most = await post(url, { ...body, input: texts(256) })
    expect(most.json<List>().data).toHaveLength(256)
    for (const count of [257, 70_000]) {
      const more = await post(url, { ...body, input: texts(count) })
      expect(more.statusCode).toBe(400)
      expect(more.json()).toMatchObject({
        error: {
          code: 'invalid_value',
          param: 'input',
          message: `The parameter "input" is not valid: ${count} inputs are too many: send at most 256 at once.`,
        },
      })
    }
    expect(embedded).toHaveLength(1)
  })

  it('a chat with a model for embeddings is refused, with what would do', async () => {
    const { chat, asked } = await createRig()
    const reply = await chat({ model: 'tiny-bert' })
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({
      error: {
        code: 'wrong_model_kind',
        qmesh_code: 'QM_MODEL_KIND',
        param: 'model',
        message: expect.stringContaining('/v1/embeddings'),
      },
    })
    expect(asked).toEqual([])
  })

  it('a name that nearly is one of a model of the other kind is not suggested', async () => {
    const { post, chat } = await createRig()
    const embedding = await post(url, { ...body, model: 'smollm2' })
    expect(embedding.json<{ error: { message: string } }>().error.message).toMatch(
      /There are "tiny-bert"; "auto" takes any/,
    )
    const talk = await chat({ model: 'tiny-brt' })
    expect(talk.json<{ error: { message: string } }>().error.message).not.toContain('"tiny-bert"')
  })

  it('says when nobody known has a model for embeddings', async () => {
    const [chatModel] = sampleWorker.models
    const { post } = await createRig({
      workers: () => [{ ...sampleWorker, models: chatModel ? [chatModel] : [] }],
    })
    const reply = await post(url, { ...body, model: 'minilm' })
    expect(reply.statusCode).toBe(404)
    expect(reply.json<{ error: { message: string } }>().error.message).toContain('for embeddings')
  })

  it('is in the list of models, by the numbers of its vectors', async () => {
    const { get } = await createRig()
    const models = (await get('/v1/models')).json<{ data: { id: string; embedding_size?: number }[] }>().data
    expect(models.map(({ id, embedding_size: size }) => [id, size])).toEqual([
      ['smollm2-135m', undefined],
      ['tiny', undefined],
      ['tiny-bert', 4],
    ])
  })

  it('a failure of the mesh is an error with its status, and counted', async () => {
    const requestId = 'ab'.repeat(16)
    const context = { requestId, partial: '', attempts: [] }
    const error = new AnswerError('QM_NO_WORKERS', 'nobody', context, { retryAfterMs: 2_000 })
    const { post, meter } = await createRig({ embed: () => Promise.reject(error) })
    const reply = await post(url, body)
    expect(reply.statusCode).toBe(503)
    expect(reply.headers).toMatchObject({ 'retry-after': '2', 'x-qmesh-request-id': requestId })
    expect(reply.json<{ error: { message: string } }>().error.message).toMatch(
      /^nobody "qmesh-node models pull all-minilm-l6-v2" .* "qmesh-node up --model all-minilm-l6-v2" serves it\.$/,
    )
    const metrics = await meter.registry.metrics()
    expect(metrics).toContain('qmesh_requests_total{outcome="failed",code="QM_NO_WORKERS"} 1')
    expect(metrics).toContain('qmesh_requests_open 0')
  })

  it('is counted', async () => {
    const { post, meter } = await createRig()
    await post(url, { ...body, input: ['a', 'b', 'c'] })
    const metrics = await meter.registry.metrics()
    expect(metrics).toContain('qmesh_requests_total{outcome="answered",code="embedding"} 1')
    expect(metrics).toContain('qmesh_tokens_total{kind="prompt"} 3')
    expect(metrics).toContain('qmesh_requests_open 0')
  })

  it('a caller that hangs up cancels it', async () => {
    let signal: AbortSignal | undefined
    const { url: start } = await createRig({
      embed: (_texts, options) =>
        new Promise((_, reject) => {
          signal = options?.signal
          signal?.addEventListener('abort', () => reject(new QMeshError('QM_CANCELLED')))
        }),
    })
    const hangUp = new AbortController()
    const reply = fetch(`${await start()}${url}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: hangUp.signal,
    })
    await expect.poll(() => signal !== undefined).toBe(true)
    hangUp.abort()
    await expect(reply).rejects.toThrow(/abort/i)
    await expect.poll(() => signal?.aborted).toBe(true)
  })

  it('nothing is begun by a gateway that is closing', async () => {
    const { post, drain, embedded } = await createRig()
    await drain()
    expect((await post(url, body)).statusCode).toBe(503)
    expect(embedded).toEqual([])
  })
})
