import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { repairModel } from '../../../../actors/models/fetch/repair.ts'
import { ModelServer } from '../../../support/model-server.ts'
import { createManifest, createModelFile, ModelsRig } from '../../../support/models-rig.ts'

describe('repair', () => {
  let rig = new ModelsRig()
  beforeEach(() => {
    rig = new ModelsRig()
  })
  afterEach(() => rig.close())

  /** A model of this machine that a web server has, too. */
  async function stored(how: 'copy' | 'reference') {
    const file = createModelFile(600_000)
    const server = await ModelServer.start({ data: file })
    rig.closing(() => server.stop())
    const { store } = await rig.create()
    const path = join(rig.folder, 'mine.gguf')
    writeFileSync(path, file)
    const manifest = createManifest(file, [{ kind: 'https', url: server.url() }])
    return { file, server, store, stored: await store.adopt(path, manifest, how) }
  }

  it('fetches the wrong block from a web server, and no other', async () => {
    const { file, server, store, stored: model } = await stored('copy')
    const wrong = Buffer.from(file)
    wrong.writeUInt8(wrong.readUInt8(70_000) ^ 1, 70_000)
    writeFileSync(model.path, wrong)
    expect(await repairModel(model.hash, { store })).toMatchObject({ blocks: 1, fetchedBytes: 65_536 })
    expect(server.requests.map(({ range }) => range)).toEqual(['bytes=65536-131071'])
    expect(readFileSync(model.path).equals(file)).toBe(true)
    expect(store.get(model.hash)).toBeDefined()
  })

  it('leaves a file that its owner changed as it is, and blames no source for it', async () => {
    const { server, store, stored: model } = await stored('reference')
    appendFileSync(model.path, 'more')
    const changed = readFileSync(model.path)
    await expect(repairModel(model.hash, { store })).rejects.toMatchObject({
      code: 'QM_MODEL_DAMAGED',
      message: expect.stringContaining('is changed; add or fetch it again'),
    })
    expect(readFileSync(model.path).equals(changed)).toBe(true)
    expect(server.requests).toEqual([])
  })

  it.each(['copy', 'reference'] as const)(
    'says that a file is gone (%s), and fetches nothing',
    async (how) => {
      const { server, store, stored: model } = await stored(how)
      rmSync(model.path)
      await expect(repairModel(model.hash, { store })).rejects.toMatchObject({
        code: 'QM_MODEL_DAMAGED',
        message: expect.stringContaining('is missing; add or fetch it again'),
      })
      expect(server.requests).toEqual([])
    },
  )
})
