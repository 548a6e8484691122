import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { folderBytes } from '../../../actors/files/folder-bytes.ts'

it('counts the bytes of every file, however deep, and says when there is no folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'qmesh-folder-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  expect(await folderBytes(folder)).toBe(0)
  await mkdir(join(folder, 'a', 'b'), { recursive: true })
  await writeFile(join(folder, 'one'), Buffer.alloc(3))
  await writeFile(join(folder, 'a', 'b', 'two'), Buffer.alloc(5_000))
  expect(await folderBytes(folder)).toBe(5_003)
  await expect(folderBytes(join(folder, 'none'))).rejects.toThrow('ENOENT')
})
