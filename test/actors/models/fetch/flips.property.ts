import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { repairModel } from '../../../../actors/models/fetch/repair.ts'
import { buildTree } from '../../../../actors/models/seeding/build-tree.ts'
import { toCoreKey } from '../../../../actors/models/seeding/static-core.ts'
import { ModelStore } from '../../../../actors/models/store/model-store.ts'
import { ExchangeRig, MemoryTarget } from '../../../support/core-rig.ts'
import { createManifest, createModelFile } from '../../../support/models-rig.ts'

const folder = mkdtempSync(join(tmpdir(), 'qmesh-flips-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = createModelFile(600_000)
const flip = fc.record({ at: fc.nat(file.length - 1), bit: fc.nat(7) })
const flipped = ({ at, bit }: { at: number; bit: number }): Buffer => {
  const wrong = Buffer.from(file)
  wrong.writeUInt8(wrong.readUInt8(at) ^ (1 << bit), at)
  return wrong
}
let count = 0

describe('a flipped bit', () => {
  it('anywhere in a fetched file keeps it out of the store', async () => {
    const store = await ModelStore.open({ dir: join(folder, 'store') })
    const manifest = createManifest(file, [{ kind: 'peers' }])
    await fc.assert(
      fc.asyncProperty(flip, async (where) => {
        const partial = await store.partial(manifest.artifact.sha256 ?? '', file.length)
        await partial.write(0, flipped(where))
        await expect(partial.commit(manifest)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
        expect(store.list()).toEqual([])
        await store.quarantine.clear()
      }),
      { numRuns: 150 },
    )
    await store.close()
  })

  it('anywhere in what a peer sends is never written, and the peer is named', async () => {
    const path = join(folder, 'right.gguf')
    writeFileSync(path, file)
    const tree = await buildTree(path)
    const key = toCoreKey(tree) ?? ''
    await fc.assert(
      fc.asyncProperty(flip, async (where) => {
        const rig = new ExchangeRig()
        const wrongPath = join(folder, 'wrong.gguf')
        writeFileSync(wrongPath, flipped(where))
        const liars: string[] = []
        const abort = new AbortController()
        const onLie = (peerId: string): void => {
          liars.push(peerId)
          abort.abort()
        }
        const [seeder, reader] = [
          rig.create(),
          rig.create({ onLie, patience: { findMs: 10_000, nearMs: 20, stallMs: 10_000 } }),
        ]
        seeder.offer({ key, path: wrongPath, tree: () => Promise.resolve(tree) })
        const { aId } = rig.connect(seeder, reader)
        const target = new MemoryTarget(join(folder, `target-${++count}`), file.length)
        const fetching = reader.fetch(key, target, { signal: abort.signal })
        await expect(fetching).rejects.toMatchObject({ code: 'QM_CANCELLED' })
        expect(liars).toEqual([aId])
        for (const { start, end } of target.ranges.ranges) {
          expect(target.data.subarray(start, end).equals(file.subarray(start, end))).toBe(true)
        }
        await rig.close()
      }),
      { numRuns: 25 },
    )
  })

  it('anywhere in a stored file is found and put right by one block', async () => {
    const rig = new ExchangeRig()
    const store = await ModelStore.open({ dir: join(folder, 'repaired') })
    const path = join(folder, 'whole.gguf')
    writeFileSync(path, file)
    const stored = await store.adopt(path, createManifest(file, [{ kind: 'peers' }]), 'copy')
    const tree = await buildTree(path)
    const [seeder, reader] = [rig.create(), rig.create()]
    seeder.offer({ key: toCoreKey(tree) ?? '', path, tree: () => Promise.resolve(tree) })
    rig.connect(seeder, reader)
    await fc.assert(
      fc.asyncProperty(flip, async (where) => {
        writeFileSync(stored.path, flipped(where))
        const { blocks, fetchedBytes } = await repairModel(stored.hash, { store, exchange: reader })
        expect(blocks).toBe(1)
        expect(fetchedBytes).toBeLessThanOrEqual(65_536)
        expect(readFileSync(stored.path).equals(file)).toBe(true)
        expect(store.get(stored.hash)).toBeDefined()
      }),
      { numRuns: 40 },
    )
    await rig.close()
    await store.close()
  })
})
