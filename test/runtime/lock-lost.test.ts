import { readdir } from 'node:fs/promises'
import { expect, it, vi } from 'vitest'
import { createClient, type NodeOptions } from '../../runtime/index.ts'
import { tempDir } from './support/temp-dir.ts'

// The lock itself is real; only when its loss is noticed, seconds later otherwise, is not left to chance.
vi.mock(import('../../runtime/data-dir.ts'), async (load) => {
  const real = await load()
  return {
    ...real,
    openDataDir: async (path, options) => {
      const dataDir = await real.openDataDir(path, options)
      options?.onLost?.()
      return dataDir
    },
  }
})

it('a node that loses the lock of its data directory while it starts does not start', async () => {
  const dataDir = await tempDir()
  const options: NodeOptions = { dataDir, bootstrap: ['127.0.0.1:9'], mdns: false, logLevel: 'silent' }
  await expect(createClient(options)).rejects.toMatchObject({
    code: 'QM_DATA_DIR_LOCKED',
    message: expect.stringContaining('while this node was starting') as string,
  })
  expect(await readdir(dataDir)).not.toContain('lock')
})
