import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import DHT from 'hyperdht'
import { describe, expect, test } from 'vitest'
import { inferenceNetwork, toTopic } from '../../protocol/index.ts'
import { createTestMesh } from './support/mesh.ts'

describe('models between nodes', () => {
  test('one adds a model, two fetch it at once and serve it, and a client that names only its id is answered', async () => {
    const mesh = await createTestMesh()
    const [giver, ...takers] = await Promise.all([mesh.client(), mesh.client(), mesh.client()])
    const { library } = giver.models ?? {}
    if (!library) throw new Error('a node with a data directory has models')
    const { hash } = await library.add(mesh.modelPath, { id: 'shared-model' })
    if (hash === null) throw new Error('what was added has a hash')
    await giver.models?.seed([])
    await expect.poll(() => giver.models?.seeds()).toMatchObject([{ state: 'offering' }])

    const pulled = await Promise.all(takers.map(async (taker) => taker.models?.pull(hash)))
    const expected = { id: 'shared-model', hash, wasHere: false }
    expect(pulled).toEqual([expect.objectContaining(expected), expect.objectContaining(expected)])
    expect(await takers[0]?.models?.pull('shared-model')).toMatchObject({ hash, wasHere: true })
    expect(await takers[1]?.models?.seeds()).toMatchObject([{ id: 'shared-model', hash }])
    const { size } = await stat(mesh.modelPath)
    const totals = [giver, ...takers].map((node) => node.status().totals)
    expect(totals).toMatchObject([{ fetchedModelBytes: 0 }, {}, {}])
    for (const total of totals.slice(1)) expect(total?.fetchedModelBytes).toBeGreaterThanOrEqual(size)
    // What one takes another gave, takers to each other included.
    const given = totals.reduce((sum, total) => sum + (total?.givenModelBytes ?? 0), 0)
    expect(given).toBeGreaterThanOrEqual(2 * size)

    await Promise.all([giver, ...takers].map((node) => node.stop()))
    const dirs = pulled.map((model) => join(model?.path ?? '', '../../..'))
    await Promise.all(
      dirs.map((dataDir) => mesh.worker({ dataDir, models: ['shared-model'], contextTokens: 512 })),
    )
    const client = await mesh.client()
    const answer = client.ask('the er on an', { model: 'shared-model', maxTokens: 8 })
    expect((await answer.result).usage.completionTokens).toBe(8)
    expect(client.workers().every(({ models }) => models.every((model) => model.hash === hash))).toBe(true)
  })

  test('a worker is found in the DHT under the hash of its model, until it stops', async () => {
    const mesh = await createTestMesh()
    const { sha256 } = mesh.model()
    const worker = await mesh.worker()
    await worker.ready
    const bootstrap = mesh.bootstrap.map((address) => ({
      host: '127.0.0.1',
      port: Number(address.split(':')[1]),
    }))
    const dht = new DHT({ bootstrap, host: '127.0.0.1' })
    // Our declaration of the DHT leaves out what only Hyperswarm calls.
    const looking = dht as unknown as {
      lookup(topic: Buffer): AsyncIterable<{ readonly peers: readonly { readonly publicKey: Buffer }[] }>
    }
    const topic = toTopic({ network: inferenceNetwork, secret: mesh.secret, modelId: sha256 })
    const holders = async (): Promise<string[]> => {
      const found = new Set<string>()
      for await (const { peers } of looking.lookup(topic))
        for (const { publicKey } of peers) found.add(publicKey.toString('hex'))
      return [...found]
    }
    try {
      await expect.poll(holders).toEqual([worker.id])
      const client = await mesh.client()
      const answer = client.ask('the er on an', { modelHash: sha256, maxTokens: 4 })
      expect((await answer.result).workerId).toBe(worker.id)
      // Who asked by the hash does not hold it, and is not found by those who ask next.
      expect(await holders()).toEqual([worker.id])
      await worker.stop()
      await expect.poll(holders).not.toContain(worker.id)
    } finally {
      await dht.destroy()
    }
  })

  test('a node without a data directory keeps no models', async () => {
    const mesh = await createTestMesh()
    expect((await mesh.client({ ephemeral: true })).models).toBeUndefined()
  })
})
