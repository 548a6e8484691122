import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openDataDir } from '../../runtime/data-dir.ts'
import { loadIdentity } from '../../runtime/identity.ts'
import { exportKeys, importKeys, showKeys } from '../../runtime/keys.ts'
import { tempDir } from './support/temp-dir.ts'

async function nodeWithKeys() {
  const dataDir = await tempDir()
  const { id } = await loadIdentity(join(dataDir, 'identity'))
  return { dataDir, id }
}

describe('the keys of a node', () => {
  it('come back on another machine as the same node, through a file only its owner can read', async () => {
    const { dataDir, id } = await nodeWithKeys()
    const backup = join(await tempDir(), 'keys.json')
    const elsewhere = join(await tempDir(), 'new')
    await exportKeys(dataDir, backup)
    expect((await stat(backup)).mode & 0o777).toBe(0o600)
    await expect(importKeys(backup, elsewhere)).resolves.toMatchObject({ id })
    await expect(showKeys(elsewhere)).resolves.toEqual({ id, file: join(elsewhere, 'identity') })
    const opened = await openDataDir(elsewhere)
    expect(opened.identity.id).toBe(id)
    // Its log may be elsewhere: a first entry of its own would contradict it.
    await expect(readFile(join(elsewhere, 'keys-imported.json'), 'utf8')).resolves.toContain(id)
    await opened.close()
  })

  it('are not looked for in a file that is not there', async () => {
    const missing = join(await tempDir(), 'nofile')
    await expect(importKeys(missing, await tempDir())).rejects.toMatchObject({
      code: 'QM_KEYS_INVALID',
      message: `there is no file ${missing}`,
    })
  })

  it('say which file cannot be written, and why', async () => {
    const { dataDir } = await nodeWithKeys()
    const backup = join(await tempDir(), 'missing', 'keys.json')
    await expect(exportKeys(dataDir, backup)).rejects.toMatchObject({
      code: 'QM_DATA_DIR_UNUSABLE',
      message: `${backup} cannot be written: a folder of its path is not there, or none can be made in it`,
    })
  })

  it('are never written over anything', async () => {
    const { dataDir, id } = await nodeWithKeys()
    const other = await nodeWithKeys()
    const backup = join(await tempDir(), 'keys.json')
    await exportKeys(dataDir, backup)
    await expect(exportKeys(other.dataDir, backup)).rejects.toMatchObject({ code: 'QM_USAGE' })
    await expect(importKeys(backup, other.dataDir)).rejects.toMatchObject({ code: 'QM_USAGE' })
    expect(await readFile(backup, 'utf8')).toContain(id)
    await expect(showKeys(other.dataDir)).resolves.toMatchObject({ id: other.id })
  })

  it('are not changed under a running node', async () => {
    const { dataDir } = await nodeWithKeys()
    const backup = join(await tempDir(), 'keys.json')
    await exportKeys(dataDir, backup)
    const running = await openDataDir(dataDir)
    await expect(importKeys(backup, dataDir)).rejects.toMatchObject({ code: 'QM_DATA_DIR_LOCKED' })
    await running.close()
  })

  it.each([
    ['nothing', ''],
    ['no JSON', 'seed'],
    ['another document', '{"version":1}'],
    ['a seed that is not that of its id', 'damaged'],
    ['far too much', 'x'.repeat(10_000)],
  ])('from a file with %s are refused, and nothing is made', async (_, text) => {
    const { dataDir } = await nodeWithKeys()
    const file = join(await tempDir(), 'keys.json')
    await exportKeys(dataDir, file)
    const good = await readFile(file, 'utf8')
    await chmod(file, 0o600)
    await writeFile(file, text === 'damaged' ? good.replace(/"seed":"../, '"seed":"00') : text)
    const target = join(await tempDir(), 'new')
    await expect(importKeys(file, target)).rejects.toMatchObject({ code: 'QM_KEYS_INVALID' })
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('are missed with a word on what to do where there are none', async () => {
    await expect(showKeys(await tempDir())).rejects.toMatchObject({
      code: 'QM_KEYS_INVALID',
      message: expect.stringContaining('qmesh-node up') as string,
    })
    await expect(importKeys(join(await tempDir(), 'none'), await tempDir())).rejects.toMatchObject({
      code: 'QM_KEYS_INVALID',
    })
  })
})
