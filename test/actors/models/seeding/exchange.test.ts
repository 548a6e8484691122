import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Hypercore from 'hypercore'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BlockTree } from '../../../../actors/models/seeding/block-tree.ts'
import { buildTree, treeOfLeaves } from '../../../../actors/models/seeding/build-tree.ts'
import { isNear } from '../../../../actors/models/seeding/core-link.ts'
import { toCoreKey } from '../../../../actors/models/seeding/static-core.ts'
import { TreeFile } from '../../../../actors/models/seeding/tree-file.ts'
import { QMeshError } from '../../../../protocol/index.ts'
import { createOffer, ExchangeRig, MemoryTarget } from '../../../support/core-rig.ts'

const mebi = 1024 * 1024

describe('core exchange', { timeout: 120_000 }, () => {
  let folder = ''
  let rig = new ExchangeRig()
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'qmesh-exchange-'))
    rig = new ExchangeRig()
  })
  afterEach(async () => {
    await rig.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const createTarget = (bytes: number, name = 'to'): MemoryTarget =>
    new MemoryTarget(join(folder, name), bytes)

  it('moves a file whose last block is short, and counts what was given', async () => {
    const offer = await createOffer(folder, 3 * mebi + 12_345)
    const [seeder, reader] = [rig.create(), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const target = createTarget(offer.bytes)
    await reader.fetch(offer.key, target)
    expect(target.data.equals(offer.data)).toBe(true)
    expect(target.missing()).toEqual([])
    expect(seeder.given(offer.key)).toEqual({ bytes: offer.bytes, peers: 1 })
  })

  it('moves a file of one byte, and offers one that a peer already asked for in vain', async () => {
    const offer = await createOffer(folder, 1)
    const [seeder, reader] = [rig.create(), rig.create()]
    rig.connect(seeder, reader)
    const target = createTarget(1)
    const fetching = reader.fetch(offer.key, target)
    seeder.offer(offer)
    await fetching
    expect(target.data.equals(offer.data)).toBe(true)
  })

  it('takes from two seeders at once, and each block once but for the last ones', async () => {
    const offer = await createOffer(folder, 6 * mebi)
    const [one, two, reader] = [rig.create(), rig.create(), rig.create()]
    for (const seeder of [one, two]) {
      seeder.offer(offer)
      rig.connect(seeder, reader)
    }
    const target = createTarget(offer.bytes)
    await reader.fetch(offer.key, target)
    expect(target.data.equals(offer.data)).toBe(true)
    const [first, second] = [one.given(offer.key).bytes, two.given(offer.key).bytes]
    expect(Math.min(first, second)).toBeGreaterThan(0)
    expect(first + second).toBeLessThan(1.5 * offer.bytes)
  })

  it('gives on what is here while the rest is still on its way', async () => {
    const offer = await createOffer(folder, 4 * mebi)
    const [seeder, one, two] = [rig.create(), rig.create(), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, one)
    rig.connect(one, two)
    const targets = [createTarget(offer.bytes, 'one'), createTarget(offer.bytes, 'two')]
    // The second one knows nobody but the first, which has nothing yet and stops giving once it is through.
    one.download.bytesPerSecond = 2 * mebi
    const abort = new AbortController()
    const reading = two.fetch(offer.key, targets[1] ?? createTarget(1), { signal: abort.signal })
    await one.fetch(offer.key, targets[0] ?? createTarget(1))
    abort.abort()
    await reading.catch(() => undefined)
    expect(targets[0]?.data.equals(offer.data)).toBe(true)
    expect(one.given(offer.key).bytes).toBeGreaterThan(mebi)
  })

  it('goes on where it stopped, without fetching what was proven', async () => {
    const offer = await createOffer(folder, 4 * mebi)
    const [seeder, reader] = [rig.create(), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const target = createTarget(offer.bytes)
    const abort = new AbortController()
    reader.download.bytesPerSecond = 4 * mebi
    const fetching = reader.fetch(offer.key, target, {
      signal: abort.signal,
      onBytes: () => (target.ranges.bytes > mebi ? abort.abort() : undefined),
    })
    await expect(fetching).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    const before = target.written
    reader.download.bytesPerSecond = 0
    await reader.fetch(offer.key, target)
    expect(target.data.equals(offer.data)).toBe(true)
    expect(before).toBeLessThan(offer.bytes)
    expect(target.written).toBeLessThanOrEqual(offer.bytes * 1.01 + 65_536)
  })

  it('proves what is there after a crash that forgot its proof, and fetches what is not what it was', async () => {
    const offer = await createOffer(folder, 2 * mebi)
    const [seeder, reader] = [rig.create(), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const target = createTarget(offer.bytes)
    await reader.fetch(offer.key, target)
    const path = join(folder, 'to', 'tree')
    const kept = await TreeFile.read(path, offer.bytes)
    if (!kept) throw new Error('the tree is kept')
    for (const block of [3, 4, 5]) kept.tree.mark(block, false)
    kept.touchBits()
    await kept.close()
    target.data.fill(0, 4 * 65_536, 5 * 65_536)
    target.ranges.remove(10 * 65_536, 11 * 65_536)
    target.written = 0
    await reader.fetch(offer.key, target)
    expect(target.data.equals(offer.data)).toBe(true)
    expect(target.written).toBe(2 * 65_536)
  })

  it('fetches one block to put one flipped byte right', async () => {
    const offer = await createOffer(folder, 3 * mebi)
    const [seeder, reader] = [rig.create(), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const target = createTarget(offer.bytes)
    offer.data.copy(target.data)
    target.ranges.add(0, offer.bytes)
    target.data.writeUInt8(target.data.readUInt8(1_000_000) ^ 1, 1_000_000)
    const block = Math.floor(1_000_000 / 65_536)
    await target.forget(block * 65_536, (block + 1) * 65_536)
    const tree = await buildTree(offer.path)
    tree.mark(block, false)
    await reader.fetch(offer.key, target, { tree })
    expect(target.data.equals(offer.data)).toBe(true)
    expect(target.written).toBe(65_536)
    expect(seeder.given(offer.key).bytes).toBe(65_536)
  })

  it('believes no seeder that gives other bytes, and takes them from an honest one', async () => {
    const offer = await createOffer(folder, 3 * mebi)
    const liars: string[] = []
    const [liar, honest] = [rig.create(), rig.create()]
    const reader = rig.create({ onLie: (peerId) => liars.push(peerId) })
    // The right hashes over wrong bytes: what a hostile node would send.
    const path = join(folder, 'wrong.gguf')
    const wrong = Buffer.from(offer.data)
    for (let at = 0; at < wrong.length; at += 65_536) wrong.writeUInt8(wrong.readUInt8(at) ^ 1, at)
    writeFileSync(path, wrong)
    liar.offer({ ...offer, path })
    const { aId } = rig.connect(liar, reader)
    const target = createTarget(offer.bytes)
    const fetching = reader.fetch(offer.key, target)
    await expect.poll(() => liars, { timeout: 60_000 }).toEqual([aId])
    expect(target.ranges.bytes).toBe(0)
    honest.offer(offer)
    rig.connect(honest, reader)
    await fetching
    expect(target.data.equals(offer.data)).toBe(true)
  })

  it('gives up a seeder that sends nothing, and one that nobody can find', async () => {
    const offer = await createOffer(folder, mebi)
    const [silent, reader] = [rig.create(), rig.create({ patience: { stallMs: 400 } })]
    silent.offer(offer)
    // One byte a second: the first block takes a day.
    silent.upload.bytesPerSecond = 1
    silent.upload.reserve(65_536)
    rig.connect(silent, reader)
    await expect(reader.fetch(offer.key, createTarget(mebi))).rejects.toMatchObject({
      code: 'QM_SOURCE_FAILED',
      message: expect.stringContaining('no peer sent anything'),
    })
    const lonely = rig.create({ patience: { findMs: 300 } })
    await expect(lonely.fetch('ab'.repeat(32), createTarget(mebi, 'other'))).rejects.toMatchObject({
      code: 'QM_SOURCE_FAILED',
      message: expect.stringContaining('no peer that can be reached'),
    })
  })

  it('ends at once by a signal, also one that came before it could look for anybody', async () => {
    const reader = rig.create()
    const fetching = (signal: AbortSignal): Promise<void> =>
      reader.fetch('ab'.repeat(32), createTarget(mebi), { signal })
    await expect(fetching(AbortSignal.abort())).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    const abort = new AbortController()
    const ended = fetching(abort.signal).catch((error: unknown) => error)
    abort.abort()
    expect(await ended).toMatchObject({ code: 'QM_CANCELLED' })
  })

  it('refuses a core that is not one of the file, longer or cut otherwise', async () => {
    const offer = await createOffer(folder, 2 * mebi)
    const [seeder, reader] = [rig.create(), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const short = createTarget(mebi)
    await expect(reader.fetch(offer.key, short)).rejects.toMatchObject({ code: 'QM_SOURCE_FAILED' })
    expect(short.ranges.bytes).toBe(0)
  })

  it('takes blocks from whitelisted seeders only', async () => {
    const offer = await createOffer(folder, mebi)
    const allowed = new Set<string>()
    const [seeder, reader] = [rig.create(), rig.create({ seeders: allowed })]
    const impatient = rig.create({ seeders: allowed, patience: { findMs: 400 } })
    seeder.offer(offer)
    rig.connect(seeder, impatient)
    await expect(impatient.fetch(offer.key, createTarget(mebi))).rejects.toMatchObject({
      code: 'QM_SOURCE_FAILED',
    })
    expect(seeder.given(offer.key).bytes).toBe(0)
    allowed.add(rig.connect(seeder, reader).aId)
    await reader.fetch(offer.key, createTarget(mebi, 'again'))
  })

  it('gives to so many at once, and to the next one when there is a place', async () => {
    const offer = await createOffer(folder, 2 * mebi)
    const seeder = rig.create({ readersMax: 1, uploadBytesPerSecond: 4 * mebi })
    seeder.offer(offer)
    const readers = [1, 2, 3].map(() => rig.create())
    for (const reader of readers) rig.connect(seeder, reader)
    const targets = readers.map((_, index) => createTarget(offer.bytes, `to-${index}`))
    let most = 0
    const ends = await Promise.all(
      readers.map(async (reader, index) => {
        await reader.fetch(offer.key, targets[index] ?? createTarget(1), {
          onBytes: () => {
            const begun = targets.filter(({ written }) => written > 0)
            most = Math.max(most, begun.filter((target) => target.missing().length > 0).length)
          },
        })
        return targets[index]?.data.equals(offer.data)
      }),
    )
    expect(ends).toEqual([true, true, true])
    expect(most).toBe(1)
  })

  it('fails when the disk is full, blames nobody and keeps what was written', async () => {
    const offer = await createOffer(folder, 2 * mebi)
    const liars: string[] = []
    const [seeder, reader] = [rig.create(), rig.create({ onLie: (peerId) => liars.push(peerId) })]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const target = createTarget(offer.bytes)
    target.failure = new QMeshError('QM_DISK_FULL')
    await expect(reader.fetch(offer.key, target)).rejects.toMatchObject({ code: 'QM_DISK_FULL' })
    expect(liars).toEqual([])
    target.failure = undefined
    await reader.fetch(offer.key, target)
    expect(target.data.equals(offer.data)).toBe(true)
  })

  it('keeps to its caps', async () => {
    const offer = await createOffer(folder, mebi)
    const [seeder, reader] = [rig.create({ uploadBytesPerSecond: 2 * mebi }), rig.create()]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    const startMs = performance.now()
    await reader.fetch(offer.key, createTarget(offer.bytes))
    // A quarter of a second may go at once.
    expect(performance.now() - startMs).toBeGreaterThan(200)
  })

  it('stops giving when it is withdrawn', async () => {
    const offer = await createOffer(folder, mebi)
    const [seeder, reader] = [rig.create(), rig.create({ patience: { findMs: 400 } })]
    seeder.offer(offer)
    rig.connect(seeder, reader)
    await seeder.withdraw(offer.key)
    await expect(reader.fetch(offer.key, createTarget(mebi))).rejects.toMatchObject({
      code: 'QM_SOURCE_FAILED',
    })
  })
})

describe('block tree', () => {
  it('tells in few ranges what is not here', () => {
    const tree = new BlockTree(5 * 65_536 + 7)
    expect(tree.missing()).toEqual([{ start: 0, end: 5 * 65_536 + 7 }])
    for (const block of [0, 3]) tree.mark(block, true)
    expect(tree.missing()).toEqual([
      { start: 65_536, end: 3 * 65_536 },
      { start: 4 * 65_536, end: 5 * 65_536 + 7 },
    ])
    for (const block of [1, 2, 4, 5]) tree.mark(block, true)
    expect(tree.missing()).toEqual([])
  })

  it('has the hashes of a Hypercore with the same blocks, and a key made from them alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'qmesh-tree-'))
    try {
      const offer = await createOffer(folder, 11 * 65_536 + 5)
      const tree = await buildTree(offer.path)
      const core = new (Hypercore as unknown as new (folder: string) => Hypercore)(join(folder, 'core'))
      await core.ready()
      const blocks = Array.from({ length: 12 }, (_, at) =>
        offer.data.subarray(at * 65_536, (at + 1) * 65_536),
      )
      await core.append(blocks)
      expect(tree.rootHash()?.equals(await core.treeHash())).toBe(true)
      await core.close()
      const leaves = Buffer.concat(
        Array.from({ length: 12 }, (_, block) => tree.get(2 * block)?.hash ?? Buffer.alloc(0)),
      )
      expect(toCoreKey(treeOfLeaves(offer.bytes, leaves))).toBe(offer.key)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('is not read back from a file that was damaged, anywhere', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'qmesh-tree-'))
    try {
      const offer = await createOffer(folder, 9 * 65_536 + 1)
      const path = join(folder, 'tree')
      const file = new TreeFile(path, new BlockTree(offer.bytes))
      const whole = await buildTree(offer.path)
      for (let index = 0; index < 19; index++) {
        const node = whole.get(index)
        if (node) file.tree.put(node)
        file.touch(index)
      }
      for (let block = 0; block < 10; block++) file.tree.mark(block, true)
      file.touchBits()
      await file.close()
      const read = await TreeFile.read(path, offer.bytes)
      expect(read?.tree.isComplete).toBe(true)
      expect(read && toCoreKey(read.tree)).toBe(offer.key)
      expect(await TreeFile.read(path, offer.bytes + 1)).toBeUndefined()
      read?.tree.nodes.writeUInt8(1, 40 * 6)
      expect(read?.tree.isSound()).toBe(false)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('nearness', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '192.168.1.9',
    '172.31.0.1',
    '169.254.3.4',
    '::1',
    'fd00::1',
    'fe80::1',
    '::ffff:10.0.0.1',
  ])('%s is near', (host) => expect(isNear(host)).toBe(true))
  it.each(['8.8.8.8', '172.32.0.1', '2001:db8::1', '::ffff:9.9.9.9', '', 'example.org'])(
    '%s is not',
    (host) => expect(isNear(host)).toBe(false),
  )
})
