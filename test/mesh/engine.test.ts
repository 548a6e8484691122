import { onTestFinished, describe, expect, it } from 'vitest'
import { isOpaqueHash, toOpaqueHash } from '../../protocol/index.ts'
import type { QMeshClient, QMeshNode } from '../../runtime/index.ts'
import { OpenAiServer } from '../support/openai-server.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

async function startEngine(): Promise<OpenAiServer> {
  const server = await OpenAiServer.start()
  onTestFinished(() => server.stop())
  return server
}

/** What `qmesh-node up --engine openai` does. */
const engineOf = (url: string, model = 'llama3.2:3b') => ({
  engine: 'openai' as const,
  engineUrl: url,
  engineModel: model,
  models: [],
})

async function untilWorkers(client: QMeshClient, count: number): Promise<void> {
  const have = () => client.workers().filter(({ models }) => models.length > 0).length >= count
  if (have()) return
  await new Promise<void>((resolve) => {
    const check = (): void => {
      if (!have()) return
      client.off('workers', check)
      resolve()
    }
    client.on('workers', check)
  })
}

describe('a program that runs models becomes a worker of the mesh', () => {
  it('answers others under an opaque hash, and its key is shown nowhere', async () => {
    const mesh = await createTestMesh()
    const engine = await startEngine()
    engine.key = 'sk-very-secret'
    const worker = await mesh.worker({ ...engineOf(engine.url), engineKey: 'sk-very-secret', engineSlots: 3 })
    const client = await mesh.client()
    const result = await client.ask('hello', { model: 'llama3.2-3b' }).result
    expect(result).toMatchObject({
      text: 'Hello from elsewhere',
      workerId: worker.id,
      modelHash: toOpaqueHash('openai', 'llama3.2:3b'),
      usage: { completionTokens: 3 },
    })
    const [model] = worker.status().models
    expect(model).toMatchObject({ state: 'ready', backend: 'remote', path: engine.url, slots: 3, threads: 0 })
    const told = JSON.stringify([worker.status(), client.why(), client.workers()])
    expect(told).not.toContain('sk-very-secret')
  })

  it('stops asking when the reader leaves', async () => {
    const mesh = await createTestMesh()
    const engine = await startEngine()
    engine.talk = (stream) => stream.say('once upon a time')
    await mesh.worker(engineOf(engine.url))
    const client = await mesh.client()
    for await (const { text } of client.ask('a story')) {
      expect(text).toBe('once upon a time')
      break
    }
    await (
      await engine.nextRequest()
    ).gone
  })

  it('serves beside files, and neither takes the other for its own', async () => {
    const mesh = await createTestMesh()
    const engine = await startEngine()
    engine.models = ['tiny']
    const remote = await mesh.worker(engineOf(engine.url, 'tiny'))
    const local = await mesh.worker()
    const client = await mesh.client()
    await untilWorkers(client, 2)
    const hashes = client.workers().map(({ workerId, models }) => ({ workerId, hash: models[0]?.hash ?? '' }))
    expect(hashes).toContainEqual({ workerId: remote.id, hash: toOpaqueHash('openai', 'tiny') })
    const file = hashes.find(({ workerId }) => workerId === local.id)
    expect(isOpaqueHash(file?.hash ?? '')).toBe(false)
    // The same name, but not the same model: an answer that the one began, the other cannot go on with.
    engine.talk = (stream) => {
      stream.say('I began this, ')
      setImmediate(() => void engine.stop())
    }
    const modelHash = toOpaqueHash('openai', 'tiny')
    await expect(client.ask('go', { modelHash, discoverMs: 300 }).result).rejects.toMatchObject({
      code: 'QM_ENGINE_CRASHED',
      partial: 'I began this, ',
    })
  })

  it('comes back when its program does', async () => {
    const mesh = await createTestMesh()
    const engine = await startEngine()
    const { port } = engine
    const worker = await mesh.worker(engineOf(engine.url))
    const client = await mesh.client()
    await client.ask('hello').result
    const inState = (node: QMeshNode, state: string) =>
      new Promise<void>((resolve) => {
        const check = (): void => {
          if (node.status().models[0]?.state !== state) return
          node.off('models', check)
          resolve()
        }
        node.on('models', check)
        check()
      })
    engine.talk = (stream) => {
      stream.say('so')
      setImmediate(() => void engine.stop())
    }
    await expect(client.ask('hello', { discoverMs: 100 }).result).rejects.toMatchObject({
      code: 'QM_ENGINE_CRASHED',
    })
    await inState(worker, 'recovering')
    const again = await OpenAiServer.start(port)
    onTestFinished(() => again.stop())
    await inState(worker, 'ready')
    expect(await client.ask('hello').text()).toBe('Hello from elsewhere')
  })

  it('waits for a program that was not started yet, and says so', async () => {
    const mesh = await createTestMesh()
    const engine = await startEngine()
    const { url, port } = engine
    await engine.stop()
    const tries: unknown[] = []
    const worker = await mesh.worker({
      ...engineOf(url),
      wrapEngine: (real) => ({
        load: (...given) =>
          real.load(...given).catch(async (error: unknown) => {
            tries.push(error)
            const again = await OpenAiServer.start(port)
            onTestFinished(() => again.stop())
            throw error
          }),
      }),
    })
    expect(tries).toMatchObject([{ code: 'QM_ENGINE_UNAVAILABLE' }])
    expect(worker.status().models[0]?.state).toBe('ready')
  })
})

describe('an answer moves to another worker as text', () => {
  const words = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => `word${from + index} `)

  async function twoWorkers(mesh: TestMesh) {
    const engines = [await startEngine(), await startEngine()] as const
    const workers = [
      await mesh.worker(engineOf(engines[0].url)),
      await mesh.worker(engineOf(engines[1].url)),
    ] as const
    const client = await mesh.client()
    await untilWorkers(client, 2)
    return { engines, workers, client }
  }

  it('goes on from what the reader has, in one stream, and says "resume: text"', async () => {
    const mesh = await createTestMesh()
    const { engines, workers, client } = await twoWorkers(mesh)
    let first: OpenAiServer | undefined
    for (const engine of engines) {
      engine.talk = (stream, { body }) => {
        const begun = body.messages?.at(-1)
        if (begun?.role === 'assistant') {
          expect(begun.content).toBe(words(0, 20).join(''))
          for (const word of words(20, 30)) stream.say(word)
          stream.end()
          return
        }
        first = engine
        for (const word of words(0, 20)) stream.say(word)
        setImmediate(() => void engine.stop())
      }
    }
    const result = await client.ask('count', { maxTokens: 100 }).result
    expect(result.text).toBe(words(0, 30).join(''))
    expect(result.usage.completionTokens).toBe(30)
    expect(result.finishReason).toBe('stop')
    const left = engines.findIndex((engine) => engine === first)
    expect(result.handovers).toMatchObject([
      { from: workers[left]?.id, to: workers[1 - left]?.id, afterTokens: 20, resume: 'text' },
    ])
    expect(client.why(result.requestId).attempts.at(-1)?.handover).toMatchObject({
      afterTokens: 20,
      resume: 'text',
    })
  })

  it('does not promise an exact one', async () => {
    const mesh = await createTestMesh()
    const { engines, client } = await twoWorkers(mesh)
    for (const engine of engines) {
      engine.talk = (stream) => {
        for (const word of words(0, 20)) stream.say(word)
        setImmediate(() => void engine.stop())
      }
    }
    const answer = client.ask('count', { maxTokens: 100, resume: 'exact', discoverMs: 100 })
    await expect(answer.result).rejects.toMatchObject({ code: 'QM_RESUME_INVALID' })
  })
})

describe('the gateway of another mesh as an engine', () => {
  it('must not be one of the same', async () => {
    const mesh = await createTestMesh()
    const source = await mesh.worker({ gateway: true, gatewayPort: 0 })
    const url = `${source.status().gateway?.url}/v1`
    // Before it is loaded or after it, whenever the two nodes have met.
    const refused = new Promise<unknown>((resolve) => {
      const starting = mesh.worker({
        ...engineOf(url, 'tiny'),
        wrapEngine: (real) => ({
          load: (...given) =>
            real.load(...given).catch((error: unknown) => {
              resolve(error)
              throw error
            }),
        }),
      })
      // It is never ready.
      starting.catch(resolve)
    })
    const error = await refused
    expect(error).toMatchObject({ code: 'QM_ENGINE_UNAVAILABLE' })
    expect((error as Error).message).toMatch(/gateway of the mesh that this node serves/)
  })

  it('gives the answers of that mesh, and goes on with one where its worker left it', async () => {
    const there = await createTestMesh()
    // The text of a random model has more tokens when it is read than when it was written.
    const model = { ...there.model({ slots: 4 }), contextTokens: 2_048 }
    const source = await there.worker({ gateway: true, gatewayPort: 0, models: [model] })
    const url = `${source.status().gateway?.url}/v1`
    const here = await createTestMesh()
    const workers = [
      await here.worker(engineOf(url, 'tiny')),
      await here.worker(engineOf(url, 'tiny')),
    ] as const
    const client = await here.client()
    await untilWorkers(client, 2)
    const options = { maxTokens: 400, temperature: 0 }
    const whole = await source.ask('tell me', { ...options, localOnly: true }).result
    const same = await client.ask('tell me', options).result
    expect(same.text).toBe(whole.text)

    const answer = client.ask('tell me', options)
    let worker: QMeshNode | undefined
    answer.on('worker', ({ workerId, attempt }) => {
      if (attempt === 0) worker = workers.find(({ id }) => id === workerId)
    })
    let text = ''
    for await (const chunk of answer) {
      if (text === '') worker?.drain()
      text += chunk.text
    }
    const moved = await answer.result
    expect(moved.text).toBe(text)
    expect(moved.handovers).toMatchObject([{ from: worker?.id, resume: 'text' }])
    const { afterTokens } = moved.handovers[0] ?? { afterTokens: 0 }
    expect(afterTokens).toBeGreaterThan(0)
  })
})
