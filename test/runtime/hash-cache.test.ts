import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openDataDir } from '../../runtime/data-dir.ts'
import { createHashCache } from '../../runtime/hash-cache.ts'

const stamp = { sizeBytes: 10, modifiedMs: 1_000 }
const hash = 'a'.repeat(64)

async function createCache() {
  const path = await mkdtemp(join(tmpdir(), 'qmesh-test-'))
  const dataDir = await openDataDir(path)
  onTestFinished(async () => {
    await dataDir.close()
    await rm(path, { recursive: true })
  })
  return createHashCache(dataDir)
}

test('knows an unchanged file, and forgets one whose size or time is another', async () => {
  const cache = await createCache()
  expect(await cache.get('/m.gguf', stamp)).toBeUndefined()
  await cache.set('/m.gguf', stamp, hash)
  expect(await cache.get('/m.gguf', stamp)).toBe(hash)
  expect(await cache.get('/m.gguf', { ...stamp, sizeBytes: 11 })).toBeUndefined()
  expect(await cache.get('/m.gguf', { ...stamp, modifiedMs: 2_000 })).toBeUndefined()
})

test('remembers a bounded number of files, the latest ones', async () => {
  const cache = await createCache()
  for (let index = 0; index <= 256; index++) await cache.set(`/${index}.gguf`, stamp, hash)
  expect(await cache.get('/0.gguf', stamp)).toBeUndefined()
  expect(await cache.get('/256.gguf', stamp)).toBe(hash)
})
