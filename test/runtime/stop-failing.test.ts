import { readdir } from 'node:fs/promises'
import { expect, it, vi } from 'vitest'
import { createClient, type NodeOptions } from '../../runtime/index.ts'
import { tempDir } from './support/temp-dir.ts'

// The books are real; their last write is what a full disk refuses.
vi.mock(import('../../runtime/trust/trust-side.ts'), async (load) => {
  const real = await load()
  return {
    ...real,
    openTrustSide: async (options) => {
      const trust = await real.openTrustSide(options)
      return {
        ...trust,
        close: async () => {
          await trust.close()
          throw new Error('no space left on the device')
        },
      }
    },
  }
})

const toOptions = (dataDir: string): NodeOptions => ({
  dataDir,
  bootstrap: ['127.0.0.1:9'],
  mdns: false,
  stampBits: 0,
  logLevel: 'silent',
})

it('a node that cannot close one thing says so and closes the rest', async () => {
  const dataDir = await tempDir()
  const client = await createClient(toOptions(dataDir))
  await expect(client.stop()).rejects.toThrow('no space left')
  expect(await readdir(dataDir)).not.toContain('lock')
})

it('one that cannot start says why, whatever comes of closing what it had opened', async () => {
  const dataDir = await tempDir()
  const options = { ...toOptions(dataDir), host: '203.0.113.7' }
  await expect(createClient(options)).rejects.toMatchObject({ code: 'QM_NETWORK_UNAVAILABLE' })
  expect(await readdir(dataDir)).not.toContain('lock')
})
