import { describe, expect, it } from 'vitest'
import type { QMeshClient } from '../../runtime/index.ts'
import type { ModelTransfer } from '../../runtime/models/model-transfer.ts'
import { createTestMesh } from './support/mesh.ts'

function modelsOf(node: QMeshClient): ModelTransfer {
  if (!node.models) throw new Error('a node with a data directory has models')
  return node.models
}

const heldBy = (node: QMeshClient) =>
  modelsOf(node)
    .library.catalogs()
    .map(({ version, models }) => ({ version, models }))

describe('a signed catalog among nodes', () => {
  it('reaches whoever trusts its publisher through others, wins when it is newer, and never goes back', async () => {
    const mesh = await createTestMesh()
    const publisher = await mesh.client()
    const trusting = { trustedPublishers: [publisher.id] }
    const dirs = { relay: await mesh.tempDir(), late: await mesh.tempDir(), behind: await mesh.tempDir() }
    const relay = await mesh.client({ ...trusting, dataDir: dirs.relay })
    const behind = await mesh.client({ ...trusting, dataDir: dirs.behind })
    const stranger = await mesh.client()

    const { library } = modelsOf(publisher)
    await library.add(mesh.modelPath, { id: 'the-shared-one', isTried: false })
    await modelsOf(publisher).publish('the-shared-one')
    for (const node of [relay, behind])
      await expect.poll(() => heldBy(node)).toEqual([{ version: 1, models: 1 }])
    // It is the file that the relay has to give later on.
    expect(await modelsOf(relay).pull('the-shared-one')).toMatchObject({
      id: 'the-shared-one',
      wasHere: false,
    })
    await behind.stop()

    await modelsOf(publisher).publish('the-shared-one', { description: 'better' })
    await expect.poll(() => heldBy(relay)).toEqual([{ version: 2, models: 1 }])
    expect(heldBy(stranger)).toEqual([])
    await publisher.stop()

    const late = await mesh.client({ ...trusting, dataDir: dirs.late })
    await expect.poll(() => heldBy(late)).toEqual([{ version: 2, models: 1 }])
    expect(modelsOf(late).library.search('the-shared-one')).toMatchObject([
      {
        id: 'the-shared-one',
        state: 'absent',
        standing: 'trusted',
        catalog: { publisher: publisher.id, version: 2 },
      },
    ])
    expect(await modelsOf(late).pull('the-shared-one')).toMatchObject({
      id: 'the-shared-one',
      wasHere: false,
    })

    // One that comes back with the first version is told better, and takes nobody back with it, after a start either.
    await late.stop()
    const [again, lateAgain] = await Promise.all([
      mesh.client({ ...trusting, dataDir: dirs.behind }),
      mesh.client({ ...trusting, dataDir: dirs.late }),
    ])
    expect(heldBy(lateAgain)).toEqual([{ version: 2, models: 1 }])
    await expect.poll(() => heldBy(again)).toEqual([{ version: 2, models: 1 }])
    expect([relay, lateAgain].map(heldBy)).toEqual([[{ version: 2, models: 1 }], [{ version: 2, models: 1 }]])
  })

  it('is heard of by a node that begins to trust its publisher, and forgets what is withdrawn', async () => {
    const mesh = await createTestMesh()
    const [publisher, reader] = await Promise.all([mesh.client(), mesh.client()])
    await modelsOf(publisher).library.add(mesh.modelPath, { id: 'mine', isTried: false })
    await modelsOf(publisher).publish('mine')
    await modelsOf(reader).library.trust(publisher.id)
    await expect.poll(() => heldBy(reader)).toEqual([{ version: 1, models: 1 }])
    expect(await modelsOf(publisher).unpublish('mine')).toEqual({
      publisher: publisher.id,
      catalogVersion: 2,
      models: [],
    })
    await expect.poll(() => heldBy(reader)).toEqual([{ version: 2, models: 0 }])
    expect(modelsOf(reader).library.search('mine')).toEqual([])
    await expect(modelsOf(publisher).unpublish('mine')).rejects.toMatchObject({ code: 'QM_MODEL_NOT_FOUND' })
    await modelsOf(reader).library.distrust(publisher.id)
    expect(heldBy(reader)).toEqual([])
  })
})
