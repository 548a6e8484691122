import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { blockBytes, toUnverifiedKey } from '../../../../protocol/models/index.ts'
import { manifestOf, openStore, sha256, startChild, tempFolder, tinyFile, tinyModel } from './store-rig.ts'

const timeout = 20_000

describe('a model on its way', { timeout }, () => {
  it('comes in any order, at once and twice, and is one of the store at once when it is whole', async () => {
    const { bytes, hash, manifest } = tinyModel()
    const store = await openStore(tempFolder())
    const partial = await store.partial(hash, bytes.length)
    expect(partial.missing()).toEqual([{ start: 0, end: bytes.length }])
    const starts = [5, 0, 3, 5, 1, 7, 2, 6, 4].map((block) => block * blockBytes)
    const end = (start: number): number => Math.min(start + blockBytes, bytes.length)
    await Promise.all(
      starts
        .filter((start) => start < bytes.length)
        .map((start) => partial.write(start, bytes.subarray(start, end(start)))),
    )
    expect(partial.missing()).toEqual(
      bytes.length > 8 * blockBytes ? [{ start: 8 * blockBytes, end: bytes.length }] : [],
    )
    for (const { start, end } of partial.missing()) await partial.write(start, bytes.subarray(start, end))
    expect(partial.doneBytes).toBe(bytes.length)
    expect(store.list()).toEqual([])
    const stored = await partial.commit(manifest)
    expect(store.list()).toEqual([stored])
    expect(readFileSync(stored.path).equals(bytes)).toBe(true)
    for (const folder of ['partial', 'locks', 'quarantine'])
      expect(readdirSync(join(store.dir, folder))).toEqual([])
  })

  it('goes on where it was left', async () => {
    const { bytes, hash, manifest } = tinyModel()
    const store = await openStore(tempFolder())
    const first = await store.partial(hash, bytes.length)
    await first.write(0, bytes.subarray(0, 100_000))
    await first.write(200_000, bytes.subarray(200_000, 300_000))
    await first.forget(250_000, 260_000)
    await first.release()
    expect(await store.unfinished()).toMatchObject([{ key: hash }])
    const again = await (await openStore(store.dir)).partial(hash, bytes.length)
    expect(again.missing()).toEqual([
      { start: 100_000, end: 200_000 },
      { start: 250_000, end: 260_000 },
      { start: 300_000, end: bytes.length },
    ])
    expect((await again.read(50_000, 60_000)).equals(bytes.subarray(50_000, 60_000))).toBe(true)
    await expect(again.read(99_999, 100_001)).rejects.toThrow(RangeError)
    for (const { start, end } of again.missing()) await again.write(start, bytes.subarray(start, end))
    expect(await again.commit(manifest)).toMatchObject({ hash })
  })

  it('starts anew when the file has another size now', async () => {
    const { bytes, hash } = tinyModel()
    const store = await openStore(tempFolder())
    const first = await store.partial(hash, bytes.length)
    await first.write(0, bytes.subarray(0, 1_000))
    await first.release()
    const again = await store.partial(hash, bytes.length - 1)
    expect(again.doneBytes).toBe(0)
    await again.discard()
    expect(await store.unfinished()).toEqual([])
  })

  it('takes no more than its size, and nothing after its end', async () => {
    const { bytes, hash, manifest } = tinyModel()
    const store = await openStore(tempFolder())
    const partial = await store.partial(hash, 1_000)
    expect(() => partial.write(999, bytes.subarray(0, 2))).toThrow(RangeError)
    expect(() => partial.write(-1, bytes.subarray(0, 1))).toThrow(RangeError)
    await expect(partial.commit(manifest)).rejects.toThrow('1000 bytes are missing')
    await partial.discard()
    expect(() => partial.write(0, bytes.subarray(0, 1))).toThrow('given up')
    for (const key of ['../../etc', 'a'.repeat(63), `${'a'.repeat(64)}/x`])
      await expect(store.partial(key, 1_000)).rejects.toMatchObject({ code: 'QM_INTERNAL' })
    for (const size of [0, -1, 2 ** 45, Number.NaN])
      await expect(store.partial(hash, size)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
  })

  it('that turns out wrong goes into quarantine, and nothing of it is used again', async () => {
    const { bytes, hash, manifest } = tinyModel()
    const store = await openStore(tempFolder())
    const wrong = Buffer.from(bytes)
    wrong[bytes.length - 5] = (wrong[bytes.length - 5] ?? 0) ^ 1
    const partial = await store.partial(hash, bytes.length)
    await partial.write(0, wrong)
    await expect(partial.commit(manifest)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    expect(store.list()).toEqual([])
    expect(await store.quarantine.list()).toEqual([{ name: hash, bytes: bytes.length }])
    expect(JSON.parse(readFileSync(join(store.dir, 'quarantine', `${hash}.json`), 'utf8'))).toMatchObject({
      reason: expect.stringContaining('SHA-256') as string,
    })
    const again = await store.partial(hash, bytes.length)
    expect(again.doneBytes).toBe(0)
    await again.discard()
    await store.quarantine.clear()
    expect(readdirSync(join(store.dir, 'quarantine'))).toEqual([])
  })

  it('with a header that lies is refused even when its hash is right', async () => {
    const { bytes } = tinyModel()
    const lying = Buffer.from(bytes)
    lying.writeBigUInt64LE(2n ** 40n, 8)
    const hash = sha256(lying)
    const store = await openStore(tempFolder())
    const partial = await store.partial(hash, lying.length)
    await partial.write(0, lying)
    const committing = partial.commit(manifestOf('lying', { bytes: null, sha256: hash, core: null }))
    await expect(committing).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    await expect(committing).rejects.toThrow(/tensors/)
    expect(store.list()).toEqual([])
  })

  it('without a known hash is pinned to what came first', async () => {
    const [one, other] = [tinyModel(), tinyModel({ seed: 2 })]
    const store = await openStore(tempFolder())
    const manifest = manifestOf('unverified')
    const key = toUnverifiedKey(manifest)
    const fetch = async (bytes: Buffer) => {
      const partial = await store.partial(key, bytes.length)
      await partial.write(0, bytes)
      return partial.commit(manifest)
    }
    expect(await fetch(one.bytes)).toMatchObject({ hash: one.hash })
    await store.remove(one.hash)
    await expect(fetch(other.bytes)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    await expect(fetch(other.bytes)).rejects.toThrow(one.hash)
    expect(await fetch(one.bytes)).toMatchObject({ hash: one.hash })
  })

  it('is kept when a check is broken off', async () => {
    const { bytes, hash, manifest } = tinyModel()
    const store = await openStore(tempFolder())
    const partial = await store.partial(hash, bytes.length)
    await partial.write(0, bytes)
    await expect(
      partial.commit(manifest, { signal: AbortSignal.abort(new Error('enough')) }),
    ).rejects.toThrow('enough')
    const again = await store.partial(hash, bytes.length)
    expect(again.missing()).toEqual([])
    expect(await again.commit(manifest)).toMatchObject({ hash })
  })
})

describe('after a power cut', { timeout }, () => {
  const written = async () => {
    const { bytes, hash } = tinyModel()
    const store = await openStore(tempFolder())
    const partial = await store.partial(hash, bytes.length)
    await partial.write(0, bytes.subarray(0, blockBytes))
    await partial.release()
    const open = async () => store.partial(hash, bytes.length)
    return { bytes, store, open, folder: join(store.dir, 'partial', hash) }
  }

  it('a record whose data did not reach the disk counts for nothing', async () => {
    const { bytes, open, folder } = await written()
    const partial = await open()
    const journal = readFileSync(join(folder, 'journal'))
    // Fewer bytes than are flushed at once: the record is there, and no mark behind it.
    await partial.write(blockBytes, bytes.subarray(blockBytes, blockBytes + 1_000))
    const unmarked = readFileSync(join(folder, 'journal')).subarray(0, journal.length + 20)
    await partial.release()
    writeFileSync(join(folder, 'journal'), unmarked)
    const sound = await open()
    expect(sound.has(blockBytes, blockBytes + 1_000)).toBe(true)
    await sound.release()

    writeFileSync(join(folder, 'journal'), unmarked)
    const data = readFileSync(join(folder, 'data'))
    writeFileSync(join(folder, 'data'), data.fill(0, blockBytes, blockBytes + 1_000))
    const lost = await open()
    expect(lost.doneBytes).toBe(blockBytes)
    expect(lost.has(0, blockBytes)).toBe(true)
    await lost.release()
  })

  it('half a record at the end hides nothing before it, and nothing after it is lost', async () => {
    const { bytes, open, folder } = await written()
    appendFileSync(join(folder, 'journal'), Buffer.from([1, 2, 3, 4, 5, 6, 7]))
    const torn = await open()
    expect(torn.doneBytes).toBe(blockBytes)
    await torn.write(blockBytes, bytes.subarray(blockBytes, 2 * blockBytes))
    await torn.release()
    const again = await open()
    expect(again.doneBytes).toBe(2 * blockBytes)
    await again.release()
  })

  it('a journal of garbage, or a file cut short, means that nothing is there', async () => {
    const { open, folder } = await written()
    writeFileSync(join(folder, 'journal'), Buffer.alloc(1_000, 0xab))
    const garbage = await open()
    expect(garbage.doneBytes).toBe(0)
    await garbage.release()
    truncateSync(join(folder, 'data'), 10)
    const short = await open()
    expect(statSync(join(folder, 'data')).size).toBe(short.bytes)
    await short.discard()
    expect(existsSync(folder)).toBe(false)
  })
})

describe('beside other processes', { timeout }, () => {
  it('what one has is not for another, who is told which; one that is gone holds up nobody', async () => {
    const store = await openStore(tempFolder())
    const { bytes, hash } = tinyModel()
    const loaded = tinyFile(tempFolder(), { id: 'loaded', seed: 2 })
    await store.adopt(loaded.path, loaded.manifest, 'copy')
    const child = startChild(['keep', store.dir, hash, loaded.hash])
    expect(await child.line()).toBe('kept')
    const message = expect.stringContaining(`process ${child.process.pid}`) as string
    const busy = { code: 'QM_MODEL_BUSY', message }
    await expect(store.partial(hash, bytes.length)).rejects.toMatchObject(busy)
    await expect(store.discardUnfinished(hash)).rejects.toMatchObject(busy)
    await expect(store.remove(loaded.hash)).rejects.toMatchObject(busy)
    expect(await store.prune({ keep: new Set(), limitBytes: 0 })).toEqual([])

    await child.kill()
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => store.partial(hash, bytes.length)))
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await store.remove(loaded.hash)
    expect(store.list()).toEqual([])
    expect(readdirSync(join(store.dir, 'holds'))).toEqual([])
  })

  it('kill -9 in the middle loses nothing that was done', async () => {
    const store = await openStore(tempFolder())
    const { bytes, hash, manifest } = tinyModel({ layers: 40 })
    const file = join(store.dir, 'source.gguf')
    writeFileSync(file, bytes)
    const child = startChild(['fill', store.dir, hash, file])
    let done = 0
    while (done < bytes.length / 2) done = Number(await child.line())
    await child.kill()
    const partial = await store.partial(hash, bytes.length)
    expect(partial.doneBytes).toBeGreaterThanOrEqual(done)
    expect(partial.has(0, done)).toBe(true)
    const missing = partial.missing()
    for (const { start, end } of missing) await partial.write(start, bytes.subarray(start, end))
    expect(await partial.commit(manifest)).toMatchObject({ hash })
  })

  it.skipIf(process.platform === 'win32')(
    'a full disk is said so, and what was written before stays',
    async () => {
      const store = await openStore(tempFolder())
      const { bytes, hash, manifest } = tinyModel({ layers: 10 })
      const file = join(store.dir, 'source.gguf')
      writeFileSync(file, bytes)
      // The file has its full length from the beginning; only the data comes later.
      await (await store.partial(hash, bytes.length)).release()
      // No file of this process may be written beyond 640 KiB: what a full disk does to it, without filling one.
      const child = startChild(['fill', store.dir, hash, file], 'ulimit -f 1280')
      const lines: string[] = []
      while (!/[A-Za-z]/.test(lines.at(-1) ?? '')) lines.push(await child.line())
      expect(lines.at(-1)).toBe('QM_DISK_FULL')
      await child.kill()
      const partial = await store.partial(hash, bytes.length)
      expect(partial.doneBytes).toBe(Number(lines.at(-2)))
      expect(partial.doneBytes).toBeGreaterThan(500_000)
      for (const { start, end } of partial.missing()) await partial.write(start, bytes.subarray(start, end))
      expect(await partial.commit(manifest)).toMatchObject({ hash })
    },
  )
})
