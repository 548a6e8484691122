import { fork, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Engine, EngineHost, GenerationResult } from '../../actors/inference/engine.port.ts'
import { encodeEmbeddings, limits } from '../../protocol/index.ts'
import type { QMeshClient } from '../../runtime/index.ts'
import { writeTinyBert, type TinyBertOptions } from '../support/tiny-bert.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

/** A tiny model for embeddings, as a node loads it. */
async function bert(mesh: TestMesh, options: TinyBertOptions = {}) {
  const path = writeTinyBert(join(await mesh.tempDir(), 'tiny-bert.gguf'), options)
  return { id: 'tiny-bert', path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') }
}

const seen = (node: QMeshClient, workers: number): Promise<void> =>
  expect.poll(() => node.workers().filter(({ models }) => models.length > 0).length).toBe(workers)

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, number, index) => sum + number * (b[index] ?? 0), 0)

/** An engine whose hosts change what they made before anybody sees it. */
const withResults =
  (change: (result: GenerationResult) => GenerationResult) =>
  (engine: Engine): Engine => ({
    ...engine,
    load: async (spec, options) => {
      const host = await engine.load(spec, options)
      return new Proxy(host, {
        get: (target, name) => {
          if (name !== 'generate') {
            const value: unknown = Reflect.get(target, name)
            return typeof value === 'function' ? (value as () => unknown).bind(target) : value
          }
          return ((jobId, onChunk) => {
            const generation = target.generate(jobId, onChunk)
            return {
              cancel: () => generation.cancel(),
              acknowledge: (tokens) => generation.acknowledge(tokens),
              finished: generation.finished.then(change),
            }
          }) satisfies EngineHost['generate']
        },
      })
    },
  })

describe('embeddings across the mesh', () => {
  it('OpenAI’s client gets them from another node, in both encodings, and each kind of model its own requests', async () => {
    const mesh = await createTestMesh()
    const node = await mesh.client({ gateway: true, gatewayPort: 0 })
    const model = await bert(mesh)
    const worker = await mesh.worker({ models: [model, mesh.model()], tiers: { [node.id]: 'master' } })
    await seen(node, 1)
    const openai = new OpenAI({
      baseURL: `${node.status().gateway?.url ?? ''}/v1`,
      apiKey: 'none',
      maxRetries: 0,
    })

    // The client asks for base64 unless it is told otherwise.
    const { data, response } = await openai.embeddings
      .create({ model: 'tiny-bert', input: ['the dog', 'the cat', 'the dog'] })
      .withResponse()
    const [dog, cat, again] = data.data.map(({ embedding }) => embedding)
    expect(dog).toHaveLength(32)
    expect(again).toEqual(dog)
    expect(cat).not.toEqual(dog)
    expect(dot(dog ?? [], dog ?? [])).toBeCloseTo(1, 5)
    expect(data.usage).toEqual({ prompt_tokens: 12, total_tokens: 12 })
    expect(data.model).toBe('tiny-bert')
    expect(response.headers.get('x-qmesh-worker')).toBe(worker.id)
    expect(node.requests()[0]).toMatchObject({ state: 'answered', model: 'tiny-bert', embedding: true })
    const float = await openai.embeddings.create({
      model: 'auto',
      input: 'the dog',
      encoding_format: 'float',
      dimensions: 32,
    })
    expect(Float32Array.from(float.data[0]?.embedding ?? [])).toEqual(Float32Array.from(dog ?? []))

    // More than one prompt holds, in order; alone each is what it is in company.
    const texts = Array.from({ length: 2 * limits.embedTextsMax + 3 }, (_, index) => `text ${index}`)
    const many = await openai.embeddings.create({ model: 'tiny-bert', input: texts })
    expect(many.data.map(({ index }) => index)).toEqual(texts.map((_, index) => index))
    const alone = await openai.embeddings.create({ model: 'tiny-bert', input: `text ${texts.length - 1}` })
    expect(many.data.at(-1)?.embedding).toEqual(alone.data[0]?.embedding)
    expect(new Set(many.data.map(({ embedding }) => embedding.join())).size).toBe(texts.length)

    // Each kind of model gets its own requests.
    expect((await openai.models.retrieve('tiny-bert')) as object).toMatchObject({ embedding_size: 32 })
    const chat = { model: 'auto', messages: [{ role: 'user' as const, content: 'hi' }], max_tokens: 1 }
    for (let times = 0; times < 8; times++) {
      expect((await openai.chat.completions.create(chat)).model).toBe('tiny')
    }
    expect(node.requests()[0]).not.toHaveProperty('embedding')
    await expect(openai.chat.completions.create({ ...chat, model: 'tiny-bert' })).rejects.toMatchObject({
      status: 400,
      code: 'wrong_model_kind',
      message: expect.stringContaining('/v1/embeddings'),
    })
    await expect(openai.embeddings.create({ model: 'tiny', input: 'x' })).rejects.toMatchObject({
      status: 400,
      code: 'wrong_model_kind',
    })
    await expect(
      openai.embeddings.create({ model: 'tiny-bert', input: 'x', dimensions: 16 }),
    ).rejects.toMatchObject({ status: 400, param: 'dimensions', message: expect.stringContaining('32') })
    await expect(
      openai.embeddings.create({ model: 'tiny-bert', input: 'a '.repeat(200) }),
    ).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' })

    // In code the same is said at once, and not after looking for a worker.
    const askedAtMs = performance.now()
    await expect(node.ask('hi', { model: 'tiny-bert' }).result).rejects.toMatchObject({
      code: 'QM_MODEL_KIND',
    })
    await expect(node.embed('hi', { model: 'tiny' })).rejects.toMatchObject({ code: 'QM_MODEL_KIND' })
    expect(performance.now() - askedAtMs).toBeLessThan(15_000)

    await expect(node.embed([], {})).rejects.toMatchObject({ code: 'QM_REQUEST_INVALID' })
    await expect(node.embed(['a', ''])).rejects.toThrow(/text 2 of 2: is empty/)
    const aborted = new AbortController()
    const cancelled = node.embed(texts, { signal: aborted.signal })
    aborted.abort()
    await expect(cancelled).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await expect.poll(() => worker.status().queue.slotsBusy).toBe(0)
  })

  it('a list of a newcomer that needs more requests than a worker takes at once is paced, not failed', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ models: [await bert(mesh)] })
    const client = await mesh.client()
    await seen(client, 1)
    // A newcomer may send 16 requests at once, and 4 a second.
    const texts = Array.from({ length: 20 * limits.embedTextsMax }, (_, index) => `text ${index % 7}`)
    const { vectors, requests, size } = await client.embed(texts)
    expect(size).toBe(32)
    expect(vectors).toHaveLength(texts.length)
    expect(requests).toHaveLength(20)
    expect(new Set(requests.map(({ workerId }) => workerId))).toEqual(new Set([worker.id]))
    for (const [index, vector] of vectors.entries()) expect(vector).toEqual(vectors[index % 7])
  })

  it('a worker that is killed in the middle is replaced by another, and nothing is lost', async () => {
    const mesh = await createTestMesh()
    // Slow enough to be killed while it reads.
    const model = await bert(mesh, { contextTokens: 512, layers: 4, size: 128, feedForward: 512 })
    const workers = await Promise.all([forkWorker(mesh, model.path), forkWorker(mesh, model.path)])
    const client = await mesh.client()
    await seen(client, 2)
    const texts = Array.from({ length: 34 }, (_, index) => `${index} ${'the dog '.repeat(120)}`)
    const killed: string[] = []
    const timer = setInterval(() => {
      const busy = client.workers().find(({ inFlight }) => inFlight > 0)
      const victim = workers.find(({ id }) => id === busy?.workerId)
      if (!victim || killed.length > 0) return
      killed.push(victim.id)
      victim.child.kill('SIGKILL')
    }, 5)
    onTestFinished(() => clearInterval(timer))
    const { vectors, requests } = await client.embed(texts)
    expect(killed).toHaveLength(1)
    const survivor = workers.find(({ id }) => !killed.includes(id))
    expect(requests.map(({ workerId }) => workerId)).toEqual([survivor?.id, survivor?.id])
    expect(requests[0]?.attempts).toMatchObject([
      { workerId: killed[0], code: 'QM_WORKER_LOST' },
      { workerId: survivor?.id },
    ])
    const [first] = (await client.embed(texts.slice(0, 1))).vectors
    expect(first).toEqual(vectors[0])
  })

  it('a model that is not loaded says what it is, and is loaded when somebody asks', async () => {
    const mesh = await createTestMesh()
    const model = await bert(mesh)
    const worker = await mesh.worker({ models: [mesh.model(), { ...model, load: 'demand' }] })
    const client = await mesh.client()
    await seen(client, 1)
    expect(client.workers()[0]?.models).toMatchObject([
      { id: 'tiny' },
      { id: 'tiny-bert', state: 'loadable', embeddingSize: 32, slots: 1, contextTokens: 128 },
    ])
    await expect(client.ask('hi', { model: 'tiny-bert' }).result).rejects.toMatchObject({
      code: 'QM_MODEL_KIND',
    })
    const { vectors, usage } = await client.embed(['the dog', 'the cat'])
    expect(vectors).toHaveLength(2)
    expect(usage).toEqual({ promptTokens: 8 })
    expect(worker.status().models).toMatchObject([
      { id: 'tiny' },
      { id: 'tiny-bert', state: 'ready', embeddingSize: 32 },
    ])
  })

  // What else a worker may send is in `test/actors/request/dispatcher.test.ts`.
  const honest = (numbers: number): number[] => [1, ...Array.from({ length: numbers - 1 }, () => 0)]
  const toBlock = (numbers: readonly number[]): string => encodeEmbeddings([Float32Array.from(numbers)])
  it('a worker whose vector is none is left for another one', async () => {
    const mesh = await createTestMesh()
    const model = await bert(mesh)
    const wrapEngine = withResults((result) => ({
      ...result,
      embeddings: toBlock([Number.NaN, ...honest(31)]),
    }))
    const liar = await mesh.worker({ models: [model], wrapEngine })
    const client = await mesh.client()
    await seen(client, 1)
    await expect(client.embed('the dog', { discoverMs: 500 })).rejects.toMatchObject({
      code: 'QM_WORKER_MISBEHAVED',
    })
    const other = await mesh.worker({ models: [model] })
    await seen(client, 2)
    const results = await Promise.all(Array.from({ length: 8 }, () => client.embed('the dog')))
    const attempts = results.flatMap(({ requests }) => requests.flatMap((request) => request.attempts))
    expect(new Set(results.map(({ requests }) => requests[0]?.workerId))).toEqual(new Set([other.id]))
    for (const { workerId, code } of attempts)
      expect(code).toBe(workerId === liar.id ? 'QM_WORKER_MISBEHAVED' : undefined)
  })

  it('a worker that answers a chat with embeddings is left for another one', async () => {
    const mesh = await createTestMesh()
    const change = (result: GenerationResult): GenerationResult => ({
      ...result,
      embeddings: toBlock(honest(32)),
    })
    await mesh.worker({ wrapEngine: withResults(change) })
    const client = await mesh.client()
    await seen(client, 1)
    await expect(client.ask('hi', { maxTokens: 1, discoverMs: 500 }).result).rejects.toMatchObject({
      code: 'QM_WORKER_MISBEHAVED',
    })
  })
})

interface Up {
  readonly child: ChildProcess
  readonly id: string
}

/** A worker in a process of its own. */
async function forkWorker(mesh: TestMesh, modelPath: string): Promise<Up> {
  const child = fork(
    new URL('support/worker-process.ts', import.meta.url),
    [modelPath, await mesh.tempDir(), mesh.secret, ...mesh.bootstrap],
    { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const [id] = (await once(child, 'message')) as [string]
  return { child, id }
}
