import { randomBytes } from 'node:crypto'
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type IndexRange,
  IndexStore,
  type IndexStoreOptions,
} from '../../../../actors/trust/cache/index-store.ts'
import { folderBytes } from '../../../../actors/files/folder-bytes.ts'
import { makeFolder } from '../log/log-rig.ts'

async function makeIndex(options: IndexStoreOptions & { folder?: string } = {}) {
  const folder = options.folder ?? join(await makeFolder(), 'index')
  const reasons: string[] = []
  const index = await IndexStore.open(folder, { onEmptied: (reason) => reasons.push(reason), ...options })
  onTestFinished(() => index.close())
  return { index, folder, reasons }
}

async function keysOf(index: IndexStore, range?: IndexRange): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of index.range(range)) keys.push(key)
  return keys
}

describe('IndexStore', () => {
  it('keeps JSON and bytes under any text, over restarts', async () => {
    const { index, folder, reasons } = await makeIndex()
    const values = new Map<string, unknown>([
      ['a', { n: 1, list: [true, null, 'x'] }],
      ['a\0b/ö/😀', 7],
      ['bytes', Buffer.of(0, 1, 255)],
      ['empty', Buffer.alloc(0)],
      ['text', ''],
    ])
    await Promise.all([...values].map(([key, value]) => index.put(key, value as object)))
    await index.put('gone', 1)
    await index.del('gone')
    await index.close()
    await index.close()
    expect(reasons).toEqual(['There was no index.'])
    const again = await makeIndex({ folder })
    for (const [key, value] of values) expect(await again.index.get(key)).toEqual(value)
    expect(await again.index.get('gone')).toBeUndefined()
    expect(again.reasons).toEqual([])
    await expect(index.put('a', 1)).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  })

  it('refuses what has no bytes, and keeps what is there', async () => {
    const { index, reasons } = await makeIndex()
    await index.put('a', 1)
    for (const key of ['', '\ud800', 'x'.repeat(1_025)]) {
      await expect(index.put(key, 1)).rejects.toBeInstanceOf(RangeError)
    }
    await expect(index.put('b', { n: 1n })).rejects.toBeInstanceOf(TypeError)
    await expect(index.put('b', () => 1)).rejects.toBeInstanceOf(TypeError)
    expect(await index.get('a')).toBe(1)
    expect(reasons).toHaveLength(1)
  })

  it('reads ranges in the order of bytes, from either end', async () => {
    const { index } = await makeIndex()
    const numbers = Array.from({ length: 600 }, (_, number) => `n/${String(number).padStart(4, '0')}`)
    await index.write(numbers.map((key) => ({ key, value: key })))
    await index.write(['m', 'n', 'n/', 'n0', 'z'].map((key) => ({ key, value: 0 })))
    expect(await keysOf(index, { prefix: 'n/' })).toEqual(['n/', ...numbers])
    expect(await keysOf(index, { prefix: 'n/', reverse: true, limit: 300 })).toEqual(
      numbers.toReversed().slice(0, 300),
    )
    expect(await keysOf(index, { gte: 'n/0598', lt: 'z' })).toEqual(['n/0598', 'n/0599', 'n0'])
    expect(await keysOf(index, { prefix: 'n/05', gte: 'a', lt: 'n/0501' })).toEqual(['n/0500'])
    expect(await keysOf(index)).toHaveLength(605)
  })

  it('takes the last of several writes of one key', async () => {
    const { index } = await makeIndex()
    await Promise.all([
      index.put('a', 1),
      index.put('a', 2),
      index.del('b'),
      index.put('b', 3),
      index.put('a', 4),
    ])
    expect(await index.get('a')).toBe(4)
    expect(await index.get('b')).toBe(3)
  })

  it('copies the live keys into a fresh core now and then, while it is read', async () => {
    const { index, folder, reasons } = await makeIndex({ compactAfter: 200 })
    for (let round = 0; round < 20; round++) {
      const writes = Array.from({ length: 50 }, (_, key) => ({ key: `k${key}`, value: round }))
      const [read] = await Promise.all([keysOf(index), index.write(writes)])
      expect([0, 50]).toContain(read.length)
    }
    await index.del('k7')
    expect(await readdir(folder)).toHaveLength(1)
    expect(await readdir(folder)).not.toContain('g-1')
    await index.close()
    const again = await makeIndex({ folder, compactAfter: 200 })
    expect(await keysOf(again.index)).toHaveLength(49)
    expect(await again.index.get('k8')).toBe(19)
    expect([...reasons, ...again.reasons]).toEqual(['There was no index.'])
  })

  it('does so, too, when few writes have many bytes', async () => {
    const compactBytes = 2_000_000
    const { index, folder } = await makeIndex({ compactBytes })
    for (let round = 0; round < 20; round++) await index.put('same', randomBytes(600_000))
    await index.close()
    // Twelve million were written. Between two copies two may come, and the files have some room of their own.
    expect(await folderBytes(folder)).toBeLessThan(3 * compactBytes)
    const again = await makeIndex({ folder })
    expect(await again.index.get('same')).toHaveLength(600_000)
  })

  it('forgets everything when it is cleared', async () => {
    const { index, folder } = await makeIndex()
    await index.put('a', 1)
    await index.clear()
    expect(await index.get('a')).toBeUndefined()
    await index.put('b', 2)
    expect(await keysOf(index)).toEqual(['b'])
    expect(await readdir(folder)).toHaveLength(1)
  })

  it('starts empty and says so when it was deleted or damaged', async () => {
    const { index, folder } = await makeIndex()
    await index.put('a', 1)
    await index.close()
    const [name = ''] = await readdir(folder)
    await writeFile(join(folder, name, 'db', 'CURRENT'), 'garbage')
    const damaged = await makeIndex({ folder })
    expect(damaged.reasons).toEqual([expect.stringContaining('damaged')])
    expect(await keysOf(damaged.index)).toEqual([])
    await damaged.index.put('b', 2)
    await damaged.index.close()
    await rm(folder, { recursive: true })
    const deleted = await makeIndex({ folder })
    expect(deleted.reasons).toEqual(['There was no index.'])
    expect(await keysOf(deleted.index)).toEqual([])
  })

  it('holds what it held when it crashed in the middle of a copy', async () => {
    const { index, folder } = await makeIndex()
    await index.put('a', 1)
    await index.close()
    const [name = ''] = await readdir(folder)
    // Crashed before the rename: half a copy lies aside.
    await mkdir(join(folder, 'g-2.tmp', 'db'), { recursive: true })
    const before = await makeIndex({ folder })
    expect(await before.index.get('a')).toBe(1)
    await before.index.close()
    expect(await readdir(folder)).toEqual([name])
    // Crashed after it: the old one was not removed yet.
    await cp(join(folder, name), join(folder, 'g-9'), { recursive: true })
    const after = await makeIndex({ folder })
    expect(await after.index.get('a')).toBe(1)
    expect(await readdir(folder)).toEqual(['g-9'])
    expect([...before.reasons, ...after.reasons]).toEqual([])
  })

  it('is not taken from a process that uses it', async () => {
    const { index, folder } = await makeIndex()
    await index.put('a', 1)
    await expect(IndexStore.open(folder)).rejects.toMatchObject({ code: 'QM_LOG_DAMAGED' })
    expect(await index.get('a')).toBe(1)
  })
})
