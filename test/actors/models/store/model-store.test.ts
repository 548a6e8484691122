import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { FileStamp } from '../../../../actors/inference/hash-cache.port.ts'
import { blockBytes } from '../../../../protocol/models/index.ts'
import { manifestOf, openStore, tempFolder, tinyFile, tinyModel } from './store-rig.ts'

const timeout = 20_000

describe('a file of this machine', { timeout }, () => {
  it('becomes a model where it lies, and is found by hash and by id', async () => {
    const [dir, folder] = [tempFolder(), tempFolder()]
    const { path, hash, bytes } = tinyFile(folder)
    const store = await openStore(dir)
    const stored = await store.adopt(path, manifestOf('tiny'), 'reference')
    expect(stored).toMatchObject({ hash, bytes: bytes.length, path, isReference: true, isPinned: false })
    expect(stored.facts).toMatchObject({ architecture: 'llama', contextTokens: 2_048, hasChatTemplate: true })
    expect(store.named('tiny')).toEqual([stored])
    expect(store.get(hash)).toEqual(stored)
    expect(readdirSync(join(dir, 'blobs'))).toEqual([])
    const again = await openStore(dir)
    expect(again.list()).toEqual([stored])
  })

  it('is copied, and the copy stays when the file goes', async () => {
    const [dir, folder] = [tempFolder(), tempFolder()]
    const { path, hash, bytes, manifest } = tinyFile(folder)
    const store = await openStore(dir)
    const stored = await store.adopt(path, manifest, 'copy')
    writeFileSync(path, 'something else')
    expect(readFileSync(stored.path).equals(bytes)).toBe(true)
    expect(stored.path).toBe(join(dir, 'blobs', `${hash}.gguf`))
    expect(readdirSync(join(dir, 'partial'))).toEqual([])
    expect(readdirSync(join(dir, 'locks'))).toEqual([])
  })

  it('is moved, and is nowhere twice', async () => {
    const [dir, folder] = [tempFolder(), tempFolder()]
    const { path, manifest } = tinyFile(folder)
    const store = await openStore(dir)
    const stored = await store.adopt(path, manifest, 'move')
    expect(existsSync(path)).toBe(false)
    expect(statSync(stored.path).size).toBe(stored.bytes)
  })

  it('that the store itself has is never removed for being added again', async () => {
    const [dir, folder] = [tempFolder(), tempFolder()]
    const { path, hash, bytes, manifest } = tinyFile(folder)
    const first = await openStore(dir)
    const { path: blob } = await first.adopt(path, manifest, 'copy')
    // What is known of it is lost, as after a power cut, and the owner adds what is left.
    rmSync(join(dir, 'manifests', `${hash}.json`))
    const store = await openStore(dir)
    expect(store.list()).toEqual([])
    for (const how of ['reference', 'move', 'copy'] as const) {
      const again = await store.adopt(blob, manifest, how)
      expect(again).toMatchObject({ hash, path: blob, isReference: false })
      expect(readFileSync(blob).equals(bytes)).toBe(true)
    }
    // The same for one that was damaged, and that its owner put right.
    writeFileSync(blob, Buffer.alloc(bytes.length))
    await store.verify(hash)
    writeFileSync(blob, bytes)
    await store.adopt(blob, manifest, 'reference')
    expect(readFileSync(blob).equals(bytes)).toBe(true)
    expect(store.get(hash)).toMatchObject({ isReference: false })
  })

  it('that is changed while it is verified is not taken up as it is afterwards', async () => {
    const [dir, folder] = [tempFolder(), tempFolder()]
    const { path, hash, bytes, manifest } = tinyFile(folder)
    const store = await openStore(dir)
    await store.adopt(path, manifest, 'reference')
    const changed = Buffer.from(bytes)
    changed[0] = 0
    const { isSound } = await store.verify(hash, {
      // Behind what was read already.
      onProgress: (done, total) => {
        if (done === total) {
          writeFileSync(path, changed)
          utimesSync(path, new Date(), new Date(Date.now() + 5_000))
        }
      },
    })
    expect(isSound).toBe(true)
    expect(store.get(hash)).toBeUndefined()
  })

  it('that is not what its manifest says stays where it is and is not taken', async () => {
    const folder = tempFolder()
    const { path } = tinyFile(folder)
    const other = tinyModel({ seed: 2 })
    const store = await openStore(tempFolder())
    for (const how of ['reference', 'copy', 'move'] as const) {
      const adopting = store.adopt(
        path,
        { ...other.manifest, artifact: { ...other.manifest.artifact, bytes: null } },
        how,
      )
      await expect(adopting).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
      await expect(adopting).rejects.toThrow(other.hash)
    }
    expect(existsSync(path)).toBe(true)
    expect(store.list()).toEqual([])
  })

  it('that is no model is refused before it is read', async () => {
    const folder = tempFolder()
    const store = await openStore(tempFolder())
    writeFileSync(join(folder, 'text.gguf'), 'not a model')
    const adopting = store.adopt(join(folder, 'text.gguf'), manifestOf('text'), 'copy')
    await expect(adopting).rejects.toMatchObject({ code: 'QM_MODEL_FILE_INVALID' })
    const missing = store.adopt(join(folder, 'none.gguf'), manifestOf('none'), 'copy')
    await expect(missing).rejects.toMatchObject({ code: 'QM_MODEL_FILE_MISSING' })
  })

  it('that was changed is not served any more, and is taken up again when it is the same', async () => {
    const { path, hash, bytes } = tinyFile(tempFolder())
    const store = await openStore(tempFolder())
    await store.adopt(path, manifestOf('tiny'), 'reference')
    utimesSync(path, 1, 1)
    expect(store.get(hash)).toBeUndefined()
    expect(store.list()).toEqual([])
    expect(store.broken()).toMatchObject([{ hash, reason: 'changed' }])
    expect(await store.verify(hash)).toEqual({ isSound: true, damaged: [] })
    expect(store.get(hash)).toBeDefined()

    appendFileSync(path, 'x')
    expect(store.get(hash)).toBeUndefined()
    expect((await store.verify(hash)).isSound).toBe(false)
    await expect(store.repairBlock(hash, 0, bytes.subarray(0, blockBytes))).rejects.toMatchObject({
      code: 'QM_MODEL_DAMAGED',
    })
    expect(store.named('tiny')).toEqual([])
  })

  it('tells its hash to whoever would compute it again', async () => {
    const { path, hash, bytes, manifest } = tinyFile(tempFolder())
    const told = new Map<string, { stamp: FileStamp; hash: string }>()
    const hashCache = {
      get: () => Promise.resolve(undefined),
      set: (path: string, stamp: FileStamp, hash: string) =>
        Promise.resolve(void told.set(path, { stamp, hash })),
    }
    const store = await openStore(tempFolder(), { hashCache })
    const stored = await store.adopt(path, manifest, 'copy')
    const { size, mtimeMs } = statSync(stored.path)
    expect(told.get(stored.path)).toEqual({ stamp: { sizeBytes: size, modifiedMs: mtimeMs }, hash })
    expect(size).toBe(bytes.length)
  })

  it('stops being read when the signal says so', async () => {
    const { path, manifest } = tinyFile(tempFolder())
    const store = await openStore(tempFolder())
    const adopting = store.adopt(path, manifest, 'copy', { signal: AbortSignal.abort(new Error('enough')) })
    await expect(adopting).rejects.toThrow('enough')
    expect(store.list()).toEqual([])
    await store.adopt(path, manifest, 'copy')
  })
})

describe('damage', { timeout }, () => {
  it('of any byte is found to the block, and put right by that block alone', async () => {
    const { path, hash, bytes, manifest } = tinyFile(tempFolder())
    const store = await openStore(tempFolder())
    const stored = await store.adopt(path, manifest, 'move')
    const at = 3 * blockBytes + 17
    const damaged = Buffer.from(bytes)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    writeFileSync(stored.path, damaged)

    const range = { start: 3 * blockBytes, end: 4 * blockBytes }
    expect(await store.verify(hash)).toEqual({ isSound: false, damaged: [range] })
    expect(store.get(hash)).toBeUndefined()
    expect(store.broken()).toMatchObject([{ reason: 'damaged', damaged: [range] }])
    // Another process sees it, too.
    expect((await openStore(store.dir)).list()).toEqual([])

    const block = bytes.subarray(range.start, range.end)
    const wrong = Buffer.from(block).fill(0, 5, 9)
    for (const [start, data] of [
      [range.start, wrong],
      [range.start, block.subarray(1)],
      [range.start + 1, block],
      [0, bytes.subarray(0, blockBytes)],
      [-blockBytes, block],
    ] as const)
      await expect(store.repairBlock(hash, start, data)).rejects.toMatchObject({ code: 'QM_MODEL_DAMAGED' })
    await store.repairBlock(hash, range.start, block)
    expect(store.get(hash)).toMatchObject({ hash })
    expect(readFileSync(stored.path).equals(bytes)).toBe(true)
    expect(await store.verify(hash)).toEqual({ isSound: true, damaged: [] })
  })

  it.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, 2 * blockBytes)],
    ['with something behind its end', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('more')])],
    ['lost as a whole', () => Buffer.alloc(0)],
  ])('of a file %s is put right block by block', async (_, change) => {
    const { path, hash, bytes, manifest } = tinyFile(tempFolder())
    const store = await openStore(tempFolder())
    const stored = await store.adopt(path, manifest, 'move')
    writeFileSync(stored.path, change(bytes))
    expect(store.get(hash)).toBeUndefined()
    const { damaged } = await store.verify(hash)
    expect(damaged.length).toBeGreaterThan(0)
    for (const { start, end } of damaged) {
      for (let at = start; at < end; at += blockBytes) {
        expect(store.get(hash)).toBeUndefined()
        await store.repairBlock(hash, at, bytes.subarray(at, Math.min(end, at + blockBytes)))
      }
    }
    expect(readFileSync(stored.path).equals(bytes)).toBe(true)
    expect(store.get(hash)).toBeDefined()
  })

  it('of the block hashes is found, and a sound file gives them back', async () => {
    const { path, hash, manifest } = tinyFile(tempFolder())
    const store = await openStore(tempFolder())
    await store.adopt(path, manifest, 'move')
    const before = await store.blockHashes(hash)
    const blocks = join(store.dir, 'blocks', `${hash}.blocks`)
    writeFileSync(blocks, Buffer.from(before).fill(0, 40, 44))
    await expect(store.blockHashes(hash)).rejects.toMatchObject({ code: 'QM_MODEL_DAMAGED' })
    expect(await store.verify(hash)).toEqual({ isSound: true, damaged: [] })
    expect(await store.blockHashes(hash)).toEqual(before)
  })

  it('of a record leaves out that model and no other, with a line in the log', async () => {
    const folder = tempFolder()
    const store = await openStore(tempFolder())
    const one = tinyFile(folder, { id: 'one' })
    const two = tinyFile(folder, { id: 'two', seed: 2 })
    for (const { path, manifest } of [one, two]) await store.adopt(path, manifest, 'reference')
    const record = join(store.dir, 'manifests', `${one.hash}.json`)
    writeFileSync(record, readFileSync(record, 'utf8').replace('"isPinned":false', '"isPinned":"no"'))
    const lines: string[] = []
    const again = await openStore(store.dir, { log: (_, message) => lines.push(message) })
    expect(again.list().map(({ hash }) => hash)).toEqual([two.hash])
    expect(lines).toEqual([expect.stringContaining(record)])
  })
})

describe('room on the disk', { timeout }, () => {
  it('is made by what was not used for longest, never by what is pinned, kept, held or elsewhere', async () => {
    const folder = tempFolder()
    const store = await openStore(tempFolder())
    const models = [1, 2, 3, 4, 5].map((seed) => tinyFile(folder, { id: `m${seed}`, seed }))
    for (const [index, { path, manifest, hash }] of models.entries()) {
      await store.adopt(path, manifest, index === 4 ? 'reference' : 'copy')
      await store.used(hash, 4_000_000_000_000 - index)
    }
    const [newest, , held, pinned, elsewhere] = models.map(({ hash }) => hash)
    await store.pin(pinned ?? '', true)
    const release = await store.hold(held ?? '')
    expect(await store.prune({ keep: new Set() })).toEqual([])
    const pruned = await store.prune({ keep: new Set([newest ?? '']), limitBytes: 0 })
    expect(pruned.map(({ manifest }) => manifest.id)).toEqual(['m2'])
    expect(
      store
        .list()
        .map(({ hash }) => hash)
        .toSorted(),
    ).toEqual([newest, held, pinned, elsewhere].map(String).toSorted())
    await release()
    expect(
      (await store.prune({ keep: new Set(), limitBytes: 0 })).map(({ manifest }) => manifest.id),
    ).toEqual(['m3', 'm1'])
    expect(readdirSync(join(store.dir, 'blobs'))).toEqual([`${pinned}.gguf`])
    expect(existsSync(models[4]?.path ?? '')).toBe(true)
  })

  it('removing a reference leaves the file', async () => {
    const { path, manifest, hash } = tinyFile(tempFolder())
    const store = await openStore(tempFolder())
    await store.adopt(path, manifest, 'reference')
    await store.remove(hash)
    expect(existsSync(path)).toBe(true)
    expect((await openStore(store.dir)).list()).toEqual([])
  })
})

describe('two processes', { timeout }, () => {
  it('do not undo what the other changed', async () => {
    const { path, manifest, hash } = tinyFile(tempFolder())
    const one = await openStore(tempFolder())
    await one.adopt(path, manifest, 'copy')
    const other = await openStore(one.dir)
    await other.pin(hash, true)
    // This one has not heard of it, and says something else of the same model.
    await one.used(hash, 4_000_000_000_000)
    expect(one.get(hash)).toMatchObject({ isPinned: true, usedAtMs: 4_000_000_000_000 })
    await other.refresh()
    expect(other.get(hash)).toMatchObject({ isPinned: true, usedAtMs: 4_000_000_000_000 })
    await other.remove(hash)
    await one.used(hash, 4_000_000_000_001)
    expect(one.list()).toEqual([])
  })
})

describe('reading what others changed', () => {
  it('never takes back what this process changes meanwhile', async () => {
    const [dir, folder] = [tempFolder(), tempFolder()]
    const store = await openStore(dir)
    const stored = []
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { path, manifest } = tinyFile(folder, { seed, id: `m${seed}` })
      stored.push(await store.adopt(path, manifest, 'reference'))
    }
    const over = new AbortController()
    let reading = store.refresh()
    const all = (async () => {
      for (; !over.signal.aborted; reading = store.refresh()) await reading
    })()
    const seen: (boolean | undefined)[] = []
    for (const { hash } of stored) {
      await store.pin(hash, true)
      // The one that may have read the record before that.
      await reading
      seen.push(store.get(hash)?.isPinned)
    }
    over.abort()
    await all
    expect(seen).toEqual(stored.map(() => true))
  })
})
