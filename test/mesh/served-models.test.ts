import { copyFile, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { QMeshClient, QMeshNode } from '../../runtime/index.ts'
import type { ModelTransfer } from '../../runtime/models/model-transfer.ts'
import { runMain } from '../bin/cli.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

const greedy = { maxTokens: 6, temperature: 0 } as const

function modelsOf(node: QMeshClient): ModelTransfer {
  if (!node.models) throw new Error('a node with a data directory has models')
  return node.models
}

const states = (node: QMeshNode) =>
  Object.fromEntries(node.status().models.map(({ id, state }) => [id, state]))

/** Somebody who offers a model that nobody serves. */
async function createGiver(mesh: TestMesh, id: string, seed: number) {
  const path = join(await mesh.tempDir(), `${id}.gguf`)
  writeTinyGguf(path, { isEndless: true, seed })
  const giver = await mesh.client()
  const { hash } = await modelsOf(giver).library.add(path, { id, isTried: false })
  await modelsOf(giver).seed([])
  await expect.poll(() => modelsOf(giver).seeds()).toMatchObject([{ state: 'offering' }])
  if (hash === null) throw new Error('what was added has a hash')
  return { giver, hash, path }
}

describe('a worker that serves all that is here', () => {
  it('answers with a model that it fetched after its start, and no more when that is removed', async () => {
    const mesh = await createTestMesh()
    const { hash } = await createGiver(mesh, 'fetched', 7)
    const worker = await mesh.worker({ serveAll: true, threads: 2, contextTokens: 512 })
    const client = await mesh.client()
    const before = await client.ask('the er on an', { ...greedy, model: 'tiny' }).result
    expect(states(worker)).toEqual({ tiny: 'ready' })

    expect(await modelsOf(worker).pull(hash)).toMatchObject({ id: 'fetched', isServed: true })
    expect(states(worker)).toEqual({ tiny: 'ready', fetched: 'loadable' })
    const answer = await client.ask('the er on an', { ...greedy, model: 'fetched' }).result
    expect(answer).toMatchObject({ modelId: 'fetched', workerId: worker.id })
    // The cores are shared anew: the first one comes back with fewer threads, and says the same as before.
    await expect.poll(() => states(worker)).toEqual({ tiny: 'ready', fetched: 'ready' })
    const threads = worker.status().models.map((model) => model.threads)
    expect(threads).toEqual([1, 1])
    const again = await client.ask('the er on an', { ...greedy, model: 'tiny' }).result
    expect(again.text).toBe(before.text)

    const { library } = modelsOf(worker)
    await expect(library.remove('fetched')).rejects.toMatchObject({ code: 'QM_MODEL_BUSY' })
    await modelsOf(worker).release('fetched')
    const { path } = await library.remove('fetched')
    await expect(stat(path ?? '')).rejects.toMatchObject({ code: 'ENOENT' })
    expect(states(worker)).toEqual({ tiny: 'ready' })
    await expect
      .poll(() => client.workers().flatMap(({ models }) => models.map(({ id }) => id)))
      .toEqual(['tiny'])
  })

  it('takes up what a command beside it adds, and the file that a name means from now on', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ serveAll: true, contextTokens: 512 })
    const { library } = modelsOf(worker)
    const paths = await Promise.all(
      [3, 4].map(async (seed) => {
        const path = join(await mesh.tempDir(), 'mine.gguf')
        writeTinyGguf(path, { isEndless: true, seed })
        return path
      }),
    )
    const hashes: unknown[] = []
    for (const path of paths) {
      const { hash } = await library.add(path, { id: 'mine', isTried: false })
      hashes.push(hash)
      await expect
        .poll(() => worker.status().models.find(({ id }) => id === 'mine'))
        .toMatchObject({ state: 'loadable', hash })
    }
    expect(hashes[0]).not.toBe(hashes[1])
    const client = await mesh.client()
    const answer = client.ask('the er on an', { ...greedy, model: 'mine' })
    expect((await answer.result).modelId).toBe('mine')
    expect(client.workers()[0]?.models.find(({ id }) => id === 'mine')).toMatchObject({ hash: hashes[1] })
  })

  it('hears of it when a command beside it finds a model damaged, finds it whole again, or removes it', async () => {
    const mesh = await createTestMesh()
    const dataDir = await mesh.tempDir()
    const worker = await mesh.worker({ serveAll: true, contextTokens: 512, dataDir, control: true })
    const path = join(await mesh.tempDir(), 'mine.gguf')
    writeTinyGguf(path, { isEndless: true, seed: 3 })
    const { library } = modelsOf(worker)
    const added = await library.add(path, { id: 'mine', how: 'copy', isTried: false })
    const mine = () => worker.status().models.find(({ id }) => id === 'mine')?.state
    await expect.poll(mine).toBe('loadable')

    const home = await mesh.tempDir()
    const command = (...args: string[]) => runMain(home, ['models', ...args, '--data-dir', dataDir])
    const blob = added.path ?? ''
    const bytes = await readFile(blob)
    const wrong = Buffer.from(bytes)
    wrong.writeUInt8(wrong.readUInt8(70_000) ^ 1, 70_000)
    await writeFile(blob, wrong)
    expect(await command('verify', 'mine')).toMatchObject({ code: 1 })
    await expect.poll(mine).toBeUndefined()
    await writeFile(blob, bytes)
    expect(await command('verify', 'mine')).toMatchObject({ code: 0 })
    await expect.poll(mine).toBe('loadable')
    expect(await command('cache', '--prune', '--limit-gb', '0')).toMatchObject({ code: 0 })
    await expect.poll(mine).toBeUndefined()
  })

  it('may start with none at all', async () => {
    const mesh = await createTestMesh()
    const { hash } = await createGiver(mesh, 'fetched', 7)
    const worker = await mesh.worker({ serveAll: true, models: [], contextTokens: 512 })
    expect(states(worker)).toEqual({})
    expect(await modelsOf(worker).pull(hash)).toMatchObject({ isServed: true })
    const client = await mesh.client()
    const answer = client.ask('the er on an', { ...greedy, model: 'fetched' })
    expect((await answer.result).workerId).toBe(worker.id)
  })

  it('answers under each name that a file has, and says so of those only', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ serveAll: true, contextTokens: 512 })
    const { library } = modelsOf(worker)
    const path = join(await mesh.tempDir(), 'copy.gguf')
    await copyFile(mesh.modelPath, path)
    await library.add(path, { id: 'another-name', isTried: false })
    expect(await modelsOf(worker).pull('another-name')).toMatchObject({ wasHere: true, isServed: true })
    expect(states(worker)).toEqual({ tiny: 'ready', 'another-name': 'loadable' })
    // What the node was started with is not offered a second time.
    await library.add(mesh.modelPath, { id: 'in-place', isTried: false })
    expect(await modelsOf(worker).pull('in-place')).toMatchObject({ isServed: false })
  })

  it('that was told which models to serve serves those, and no others', async () => {
    const mesh = await createTestMesh()
    const { hash } = await createGiver(mesh, 'fetched', 7)
    const worker = await mesh.worker()
    expect(await modelsOf(worker).pull(hash)).toMatchObject({ id: 'fetched', isServed: false })
    expect(states(worker)).toEqual({ tiny: 'ready' })
  })
})
