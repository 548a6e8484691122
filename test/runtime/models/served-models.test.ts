import { describe, expect, it, onTestFinished } from 'vitest'
import type { ModelSpec } from '../../../actors/inference/engine.port.ts'
import { ModelLibrary } from '../../../runtime/models/index.ts'
import { ServedModels, type ServingNode } from '../../../runtime/models/served-models.ts'
import type { ModelStatus } from '../../../runtime/node-status.ts'
import { tempFolder, tinyFile } from '../../actors/models/store/store-rig.ts'

/** A node that takes up models and says nothing of them before it is told to. */
class FakeNode implements ServingNode {
  readonly listeners = new Set<() => void>()
  readonly specs: ModelSpec[] = []
  #models: readonly ModelStatus[] = []

  models(): readonly ModelStatus[] {
    return this.#models
  }
  addModel(spec: ModelSpec): Promise<void> {
    this.specs.push(spec)
    this.become([...this.#models, { id: spec.id, state: 'loading' }])
    return Promise.resolve()
  }
  removeModel(modelId: string): void {
    this.become(this.#models.filter(({ id }) => id !== modelId))
  }
  onModels(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }
  settled(): Promise<void> {
    return Promise.resolve()
  }
  become(models: readonly ModelStatus[]): void {
    this.#models = models
    for (const listener of this.listeners) listener()
  }
}

async function serve() {
  const library = await ModelLibrary.open({ dir: tempFolder() })
  onTestFinished(() => library.close())
  const node = new FakeNode()
  const served = new ServedModels({ library, node, named: [], isAll: true, defaults: {} })
  onTestFinished(() => served.close())
  const ids = (): string[] => node.models().map(({ id }) => id)
  return { library, node, served, ids }
}

describe('models that are served because they are here', () => {
  it('keep nobody waiting who stops, and none is taken up afterwards', async () => {
    const { library, node, served, ids } = await serve()
    const { path } = tinyFile(tempFolder())
    await library.add(path, { isTried: false })
    await expect.poll(ids).toEqual(['tiny'])
    // It is looked at still, for 15 s at most; whoever waits is told now.
    const updating = served.update()
    const startMs = performance.now()
    served.close()
    await updating
    expect(performance.now() - startMs).toBeLessThan(10_000)
    expect(node.listeners.size).toBe(0)
    await library.add(tinyFile(tempFolder(), { seed: 2 }).path, { id: 'late', isTried: false })
    await served.update()
    expect(ids()).toEqual(['tiny'])
  })

  it('are left out while their file is damaged', async () => {
    const { library, node, ids } = await serve()
    const { path, hash } = tinyFile(tempFolder())
    await library.store.adopt(path, tinyFile(tempFolder()).manifest, 'copy')
    library.emit('verified', hash, { isSound: true, damaged: [] })
    await expect.poll(ids).toEqual(['tiny'])
    node.become([{ id: 'tiny', state: 'loadable' }])
    const { writeFile } = await import('node:fs/promises')
    await writeFile(library.store.get(hash)?.path ?? '', Buffer.alloc(tinyFile(tempFolder()).bytes.length))
    expect(await library.verify('tiny')).toMatchObject({ isSound: false })
    await expect.poll(ids).toEqual([])
  })
})
