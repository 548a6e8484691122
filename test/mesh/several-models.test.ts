import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { QMeshClient, QMeshNode } from '../../runtime/index.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import type { Engine } from '../../actors/inference/engine.port.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

const greedy = { maxTokens: 24, temperature: 0 } as const
const facts = { contextTokens: 512, slots: 1 } as const

/** Megabytes for one tiny model of one slot, and not for two. */
const memoryBudget = 3

/** Two models that differ in their weights. */
async function createTwo(mesh: TestMesh) {
  const dir = await mesh.tempDir()
  const paths = { one: join(dir, 'one.gguf'), two: join(dir, 'two.gguf') }
  writeTinyGguf(paths.one, { isEndless: true, seed: 1 })
  writeTinyGguf(paths.two, { isEndless: true, seed: 2 })
  return {
    models: [
      { path: paths.one, ...facts },
      { path: paths.two, ...facts },
    ],
  }
}

/** Counts the hosts that are open at the same time: each is a thread. */
function createCounter() {
  const count = { open: 0, most: 0, loads: 0 }
  const wrapEngine = (engine: Engine): Engine => ({
    ...engine,
    load: async (spec, options) => {
      count.loads++
      count.most = Math.max(count.most, ++count.open)
      const host = await engine.load(spec, options)
      const close = host.close.bind(host)
      let closing: Promise<void> | undefined
      host.close = () => (closing ??= close().finally(() => count.open--))
      return host
    },
  })
  return { count, wrapEngine }
}

const states = (node: QMeshNode) =>
  Object.fromEntries(node.status().models.map(({ id, state }) => [id, state]))

const adsOf = (client: QMeshClient) =>
  Object.fromEntries(
    client
      .workers()
      .flatMap(({ models }) => models.map(({ id, state = 'loaded', loadMs }) => [id, { state, loadMs }])),
  )

describe('a worker whose memory holds one of its two models', () => {
  it('serves both in turn, loses nothing, and says which one has to be loaded', async () => {
    const mesh = await createTestMesh()
    const { models } = await createTwo(mesh)
    const { count, wrapEngine } = createCounter()
    const worker = await mesh.worker({ models, memoryBudget, wrapEngine })
    expect(states(worker)).toEqual({ one: 'ready', two: 'loadable' })
    const client = await mesh.client()
    const first = await client.ask('hello', { ...greedy, model: 'one' }).result
    expect(adsOf(client)).toEqual({
      one: { state: 'loaded', loadMs: undefined },
      two: { state: 'loadable', loadMs: expect.any(Number) },
    })
    const etas: number[] = []
    const asked = client.ask('hello', { ...greedy, model: 'two' })
    asked.on('queued', ({ etaMs }) => etas.push(etaMs))
    const second = await asked.result
    expect(second.modelId).toBe('two')
    expect(second.text).not.toBe(first.text)
    // It was told how long loading takes, not that it goes next.
    expect(etas[0]).toBeGreaterThan(100)
    expect(etas[0]).toBeLessThan(60_000)
    expect(states(worker)).toEqual({ one: 'loadable', two: 'ready' })

    const names = ['one', 'two', 'two', 'one'] as const
    const results = await Promise.all(names.map((model) => client.ask('hello', { ...greedy, model }).result))
    expect(results.map(({ modelId }) => modelId)).toEqual(names)
    expect(new Set(results.map(({ text }) => text))).toEqual(new Set([first.text, second.text]))
    for (const { attempts } of results) expect(attempts).toHaveLength(1)
    // Two were asked for and each was loaded: a batch is served before the other's turn comes.
    expect(count.loads).toBeLessThanOrEqual(4)
    expect(count.most).toBe(1)
    await worker.stop()
    expect(count.open).toBe(0)
  }, 180_000)
})
