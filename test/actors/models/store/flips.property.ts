import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ModelStore } from '../../../../actors/models/store/model-store.ts'
import { Records } from '../../../../actors/models/store/records.ts'
import { findDamageOf } from '../../../../actors/models/store/soundness.ts'
import { storePaths } from '../../../../actors/models/store/store-files.ts'
import { blockBytes } from '../../../../protocol/models/index.ts'
import { atLeast } from '../../../support/property-runs.ts'
import { tempFolder, tinyFile } from './store-rig.ts'

const flip = (bytes: Buffer, bit: number): Buffer => {
  const flipped = Buffer.from(bytes)
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

it('a flipped bit of a file is found, and only its block', async () => {
  const dir = tempFolder()
  const store = await ModelStore.open({ dir })
  const { path, bytes, manifest, hash } = tinyFile(tempFolder())
  await store.adopt(path, manifest, 'copy')
  const paths = storePaths(dir)
  const records = new Records(paths, () => undefined)
  await records.refresh()
  const record = records.get(hash)
  if (!record) throw new Error('the record is missing')
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
      const flipped = join(dir, 'flipped.gguf')
      writeFileSync(flipped, flip(bytes, bit))
      const start = Math.floor(bit / 8 / blockBytes) * blockBytes
      expect(await findDamageOf(record, flipped, paths.blocks(hash), {})).toEqual([
        { start, end: Math.min(start + blockBytes, bytes.length) },
      ])
    }),
    { numRuns: atLeast(150) },
  )
})

it('a flipped bit of a record leaves the model out', async () => {
  const dir = tempFolder()
  const store = await ModelStore.open({ dir })
  const { path, manifest, hash } = tinyFile(tempFolder())
  await store.adopt(path, manifest, 'reference')
  const file = join(dir, 'manifests', `${hash}.json`)
  const sound = readFileSync(file)
  // The line break at its end says nothing.
  await fc.assert(
    fc.asyncProperty(fc.nat(sound.length * 8 - 9), async (bit) => {
      writeFileSync(file, flip(sound, bit))
      expect((await ModelStore.open({ dir })).list()).toEqual([])
    }),
    { numRuns: atLeast(150) },
  )
})
