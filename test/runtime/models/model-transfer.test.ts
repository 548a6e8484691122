import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { QMeshError } from '../../../protocol/index.ts'
import { ModelLibrary } from '../../../runtime/models/index.ts'
import { ModelTransfer } from '../../../runtime/models/model-transfer.ts'
import { manifestOf, tempFolder, tinyFile } from '../../actors/models/store/store-rig.ts'
import { ModelServer } from '../../support/model-server.ts'

async function createTransfer() {
  const library = await ModelLibrary.open({ dir: tempFolder() })
  const transfer = new ModelTransfer({ library })
  onTestFinished(async () => {
    await transfer.close()
    await library.close()
  })
  return { library, transfer }
}

// A trial imports the engine, which takes seconds on a busy machine.
describe('a pulled model', { timeout: 60_000 }, () => {
  it('that was never tried is tried before it is given out, though it was here already', async () => {
    const { library, transfer } = await createTransfer()
    const { path } = tinyFile(tempFolder())
    const bytes = readFileSync(path)
    const key = 'llama.feed_forward_length'
    bytes.write('x', bytes.indexOf(key) + key.length - 1)
    writeFileSync(path, bytes)
    // What a process leaves that was killed between the last byte and the trial.
    const { hash } = await library.store.adopt(path, manifestOf('crasher'), 'copy')
    await expect(transfer.pull('crasher')).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    expect(library.store.get(hash)).toBeUndefined()
  })

  it('stays when only its trial had no room', async () => {
    const { library, transfer } = await createTransfer()
    const { bytes, hash } = tinyFile(tempFolder())
    const server = await ModelServer.start({ data: bytes })
    onTestFinished(() => server.stop())
    const trial = vi
      .spyOn(library.trial, 'check')
      .mockRejectedValueOnce(new QMeshError('QM_MODEL_TOO_LARGE', 'no memory'))
    await expect(transfer.pull(server.url())).rejects.toMatchObject({ code: 'QM_MODEL_TOO_LARGE' })
    expect(library.store.get(hash)).toBeDefined()
    trial.mockRestore()
    expect(await transfer.pull(hash)).toMatchObject({ hash, wasHere: true })
    // All of it once, and the byte that tells its size.
    expect(server.sentBytes).toBe(bytes.length + 1)
  })

  it('of a forged manifest is not fetched', async () => {
    const { library, transfer } = await createTransfer()
    const publisher = 'ab'.repeat(32)
    await library.trust(publisher).catch(() => undefined)
    const file = join(tempFolder(), 'forged.json')
    writeFileSync(file, JSON.stringify({ ...manifestOf('forged'), publisher, signature: 'cd'.repeat(64) }))
    await expect(transfer.pull(file)).rejects.toMatchObject({ code: 'QM_MANIFEST_INVALID' })
  })
})
