import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import Hypercore from 'hypercore'
import { afterAll, describe, expect, it } from 'vitest'
import { repairModel } from '../../../../actors/models/fetch/repair.ts'
import { buildTree } from '../../../../actors/models/seeding/build-tree.ts'
import { toCoreKey } from '../../../../actors/models/seeding/static-core.ts'
import { ModelStore } from '../../../../actors/models/store/model-store.ts'
import { ExchangeRig, MemoryTarget } from '../../../support/core-rig.ts'
import { createManifest, createModelFile } from '../../../support/models-rig.ts'
import { atLeast } from '../../../support/property-runs.ts'

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
      { numRuns: atLeast(150) },
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
        const [seeder, reader] = [rig.create(), rig.create({ onLie })]
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
      { numRuns: atLeast(25) },
    )
  })

  it('anywhere on the line ends the connection, and not a byte of it is written', async () => {
    const path = join(folder, 'sent.gguf')
    writeFileSync(path, file)
    const tree = await buildTree(path)
    const key = toCoreKey(tree) ?? ''
    let ended = 0
    await fc.assert(
      fc.asyncProperty(flip, async ({ at, bit }) => {
        const rig = new ExchangeRig()
        const [from, to] = [Hypercore.createProtocolStream(true), Hypercore.createProtocolStream(false)]
        for (const end of [from, to, from.noiseStream, to.noiseStream]) end.on('error', () => undefined)
        let passed = 0
        from.on('data', (chunk: Buffer) => {
          const sent = Buffer.from(chunk)
          const place = at - passed
          passed += sent.length
          if (place >= 0 && place < sent.length) sent.writeUInt8(sent.readUInt8(place) ^ (1 << bit), place)
          to.write(sent)
        })
        to.on('data', (chunk: Buffer) => from.write(chunk))
        to.on('close', () => from.destroy())
        const seeder = rig.create()
        const reader = rig.create({ patience: { findMs: 100, nearMs: 20, stallMs: 400 } })
        seeder.offer({ key, path, tree: () => Promise.resolve(tree) })
        seeder.connect('aa'.repeat(32), from.noiseStream)
        reader.connect('bb'.repeat(32), to.noiseStream)
        const target = new MemoryTarget(join(folder, `line-${++count}`), file.length)
        await reader.fetch(key, target).catch(() => ended++)
        for (const { start, end } of target.ranges.ranges)
          expect(target.data.subarray(start, end).equals(file.subarray(start, end))).toBe(true)
        from.destroy()
        to.destroy()
        await rig.close()
      }),
      { numRuns: atLeast(25) },
    )
    expect(ended).toBeGreaterThan(0)
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
      { numRuns: atLeast(40) },
    )
    await rig.close()
    await store.close()
  })
})
