import { existsSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeFolder } from '../../../actors/files/make-folder.ts'
import { tempDir } from '../../runtime/support/temp-dir.ts'

it('makes a folder and those above it, for their owner only, and says whether it did', async () => {
  const dir = await tempDir()
  const path = join(dir, 'a', 'b')
  expect(await makeFolder(path)).toBe(true)
  for (const made of [path, join(dir, 'a')]) expect((await stat(made)).mode & 0o777).toBe(0o700)
  expect(await makeFolder(path)).toBe(false)
  expect(await makeFolder('/')).toBe(false)
})

it('lets several make the same', async () => {
  const path = join(await tempDir(), 'a', 'b', 'c')
  const made = await Promise.all([makeFolder(path), makeFolder(path), makeFolder(path)])
  expect(made.filter(Boolean)).toHaveLength(1)
})

it('says what is in the way', async () => {
  const file = join(await tempDir(), 'file')
  await writeFile(file, '')
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST' })
  await expect(makeFolder(join(file, 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' })
})

it.skipIf(!existsSync('/proc/self'))(
  'gives up where none can be made, instead of trying for ever',
  async () => {
    await expect(makeFolder('/proc/qmesh/data')).rejects.toMatchObject({ code: 'ENOENT' })
  },
)
