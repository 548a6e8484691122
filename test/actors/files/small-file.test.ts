import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { NotASmallFileError, readSmallFile } from '../../../actors/files/small-file.ts'
import { tempDir } from '../../runtime/support/temp-dir.ts'

it('reads a file up to its limit', async () => {
  const path = join(await tempDir(), 'file')
  await writeFile(path, 'four')
  expect(await readSmallFile(path, 4)).toBe('four')
  await expect(readSmallFile(path, 3)).rejects.toThrow(NotASmallFileError)
  await expect(readSmallFile(`${path}s`, 4)).rejects.toMatchObject({ code: 'ENOENT' })
})

it('refuses what is no file', async () => {
  await expect(readSmallFile(await tempDir(), 4)).rejects.toThrow(NotASmallFileError)
})

it.skipIf(process.platform === 'win32')('waits for no pipe', async () => {
  const path = join(await tempDir(), 'pipe')
  execFileSync('mkfifo', [path])
  await expect(readSmallFile(path, 4)).rejects.toThrow(NotASmallFileError)
})
