import { describe, expect, it } from 'vitest'
import type { Answer, AnswerError, QMeshClient } from '../../runtime/index.ts'
import { createTestMesh } from './support/mesh.ts'

/** Greedy, and the tiny model then never ends its turn: always as long as asked. */
const long = { maxTokens: 400, temperature: 0 } as const

/** Reads one chunk and no more: the worker generates a window's worth and then holds the slot for its reader. */
async function hold(client: QMeshClient): Promise<Answer> {
  const answer = client.ask('hold the slot', long)
  const started = new Promise<void>((resolve) => {
    answer.on('started', () => resolve())
  })
  void answer[Symbol.asyncIterator]().next()
  await started
  return answer
}

describe('a prompt crosses the mesh', () => {
  it('streams tokens from a worker that the client found, and says who it was', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker()
    const client = await mesh.client()
    const answer = client.ask('hello', { maxTokens: 40, seed: 1 })
    let text = ''
    let tokens = 0
    for await (const chunk of answer) {
      text += chunk.text
      tokens += chunk.tokens.length
    }
    const result = await answer.result
    expect(result.text).toBe(text)
    expect(result.usage.completionTokens).toBe(tokens)
    expect(tokens).toBeGreaterThan(0)
    expect(result.workerId).toBe(worker.id)
    expect(result.modelId).toBe('tiny')
  })

  it('gives the same answer for the same seed, and the same greedy answer from every worker', async () => {
    const mesh = await createTestMesh()
    const workers = [await mesh.worker(), await mesh.worker()]
    const client = await mesh.client()
    const options = { maxTokens: 24, temperature: 0 }
    const texts = await Promise.all([
      ...workers.map((worker) => worker.ask('same?', { ...options, localOnly: true }).text()),
      client.ask('same?', options).text(),
    ])
    expect(new Set(texts).size).toBe(1)
    const seeded = () => client.ask('seeded', { maxTokens: 24, temperature: 1, seed: 7 }).text()
    expect(await seeded()).toBe(await seeded())
  })

  it('serves several clients on several workers at once', async () => {
    const mesh = await createTestMesh()
    const workers = await Promise.all([mesh.worker(), mesh.worker()])
    const clients = await Promise.all([mesh.client(), mesh.client(), mesh.client()])
    const results = await Promise.all(
      clients.flatMap((client) =>
        [0, 1, 2, 3].map((seed) => client.ask(`question ${seed}`, { maxTokens: 24, seed }).result),
      ),
    )
    expect(results).toHaveLength(12)
    const ids = new Set(workers.map(({ id }) => id))
    for (const result of results) {
      expect(ids).toContain(result.workerId)
      expect(result.usage.completionTokens).toBeGreaterThan(0)
    }
  })

  it('reports position and ETA while a request waits', async () => {
    const mesh = await createTestMesh()
    await mesh.worker({ models: [mesh.model({ slots: 1 })] })
    const client = await mesh.client()
    const held = await hold(client)
    const positions: number[] = []
    const waiting = [0, 1].map(() => client.ask('waiting', { maxTokens: 8 }))
    await Promise.all(
      waiting.map(
        (answer) =>
          new Promise<void>((resolve) => {
            answer.on('queued', ({ position, etaMs }) => {
              expect(etaMs).toBeGreaterThanOrEqual(0)
              positions.push(position)
              resolve()
            })
          }),
      ),
    )
    expect(new Set(positions)).toEqual(new Set([1, 2]))
    held.cancel()
    for (const answer of waiting) expect((await answer.result).usage.completionTokens).toBeGreaterThan(0)
  })

  it('cancels by AbortSignal and frees the slot', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ models: [mesh.model({ slots: 1 })] })
    const client = await mesh.client()
    const controller = new AbortController()
    const answer = client.ask('cancel me', { maxTokens: 400, signal: controller.signal })
    await expect(
      (async () => {
        for await (const _chunk of answer) controller.abort()
      })(),
    ).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    expect((await client.ask('next', { maxTokens: 8 }).result).usage.completionTokens).toBeGreaterThan(0)
    await expect.poll(() => worker.status().queue.slotsBusy).toBe(0)
  })

  it('says which model nobody holds', async () => {
    const mesh = await createTestMesh()
    await mesh.worker()
    const client = await mesh.client()
    await expect(client.ask('hi', { model: 'no-such-model', discoverMs: 500 }).result).rejects.toMatchObject({
      code: 'QM_NO_WORKERS',
      message: expect.stringContaining('no-such-model'),
    })
  })

  it('refuses a prompt longer than the context with the numbers', async () => {
    const mesh = await createTestMesh()
    await mesh.worker()
    const client = await mesh.client()
    await expect(client.ask('word '.repeat(2_000), { maxTokens: 8 }).result).rejects.toMatchObject({
      code: 'QM_CONTEXT_EXCEEDED',
      message: expect.stringMatching(/\d+.*512/),
    })
  })

  it('refuses at once what does not fit a full queue', async () => {
    const mesh = await createTestMesh()
    await mesh.worker({ models: [mesh.model({ slots: 1 })], queueCapacity: 1 })
    const client = await mesh.client()
    const held = await hold(client)
    const answers = Array.from({ length: 6 }, () =>
      client.ask('next', { maxTokens: 4, attemptsMax: 1, discoverMs: 1_000 }),
    )
    const codes = answers.map((answer) =>
      answer.result.then(
        () => 'ok',
        (error: AnswerError) => error.code,
      ),
    )
    expect(await Promise.race(codes)).toBe('QM_QUEUE_FULL')
    held.cancel()
    const all = await Promise.all(codes)
    expect(all.filter((code) => code === 'QM_QUEUE_FULL').length).toBeGreaterThanOrEqual(4)
    expect(all).toContain('ok')
  })

  it('lets a slow reader slow its own stream only', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker()
    const client = await mesh.client()
    const slow = client.ask('slow', long)
    const iterator = slow[Symbol.asyncIterator]()
    let { value, done } = await iterator.next()
    const fast = await client.ask('fast', long).result
    expect(fast.usage.completionTokens).toBe(long.maxTokens)
    // The other stream is complete, and this one still waits for its reader.
    await expect.poll(() => worker.status().queue.slotsBusy).toBe(1)
    let tokens = 0
    for (; !done; { value, done } = await iterator.next()) tokens += value?.tokens.length ?? 0
    expect(tokens).toBe(long.maxTokens)
    expect((await slow.result).usage.completionTokens).toBe(tokens)
  })

  it('answers its own prompts when it can reach nobody', async () => {
    const mesh = await createTestMesh()
    const node = await mesh.worker({ bootstrap: ['127.0.0.1:9'] })
    const result = await node.ask('alone', { maxTokens: 8 }).result
    expect(result.workerId).toBe(node.id)
    await expect.poll(() => node.status().network.state).toBe('offline')
  })

  it('moves waiting and running requests on when their worker stops politely', async () => {
    const mesh = await createTestMesh()
    const first = await mesh.worker({ models: [mesh.model({ slots: 1 })] })
    const client = await mesh.client()
    const running = client.ask('running', long)
    const iterator = running[Symbol.asyncIterator]()
    await iterator.next()
    const waiting = client.ask('waiting', { maxTokens: 8 })
    await new Promise<void>((resolve) => {
      waiting.on('queued', () => resolve())
    })
    const second = await mesh.worker()
    const serving = () => client.workers().filter(({ models }) => models.length > 0)
    await expect.poll(() => serving().length).toBe(2)
    const stopped = first.stop()
    expect((await waiting.result).workerId).toBe(second.id)
    await expect.poll(() => client.why(running.requestId).tries).toBe(2)
    while (!(await iterator.next()).done);
    const result = await running.result
    expect(result.attempts[0]).toMatchObject({ workerId: first.id, code: 'QM_DRAINING' })
    expect(result.workerId).toBe(second.id)
    expect(result.usage.completionTokens).toBe(long.maxTokens)
    await stopped
  })

  it('keeps two private meshes on one DHT apart', async () => {
    const mesh = await createTestMesh()
    const red = await mesh.worker({ secret: 'red red red' })
    await mesh.worker({ secret: 'blue blue blue' })
    const client = await mesh.client({ secret: 'red red red' })
    const results = await Promise.all([1, 2, 3, 4].map(() => client.ask('who?', { maxTokens: 4 }).result))
    expect(new Set(results.map(({ workerId }) => workerId))).toEqual(new Set([red.id]))
    expect(client.workers().map(({ workerId }) => workerId)).toEqual([red.id])
    const outsider = await mesh.client()
    await expect(outsider.ask('hi', { discoverMs: 500 }).result).rejects.toMatchObject({
      code: 'QM_NO_WORKERS',
    })
  })

  it('obeys stop strings and a JSON schema across the mesh', async () => {
    const mesh = await createTestMesh()
    await mesh.worker()
    const client = await mesh.client()
    const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] } as const
    const { text } = await client.ask('json', { jsonSchema: schema, maxTokens: 60, temperature: 0 }).result
    expect(typeof (JSON.parse(text) as { ok: unknown }).ok).toBe('boolean')
  })
})
