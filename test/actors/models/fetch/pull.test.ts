import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PullProgress } from '../../../../actors/models/fetch/pull-job.ts'
import { ModelStore } from '../../../../actors/models/store/model-store.ts'
import { seedersMax } from '../../../../machines/models/model-manager.machine.ts'
import type { ModelSource } from '../../../../protocol/models/index.ts'
import { createOffer, ExchangeRig } from '../../../support/core-rig.ts'
import { type Behaviour, ModelServer } from '../../../support/model-server.ts'
import { createManifest, createModelFile, ModelsRig } from '../../../support/models-rig.ts'
import { withResolvers } from '../../../support/with-resolvers.ts'

describe('pull', { timeout: 120_000 }, () => {
  let rig = new ModelsRig()
  let peers = new ExchangeRig()
  beforeEach(() => {
    rig = new ModelsRig()
    peers = new ExchangeRig()
  })
  afterEach(async () => {
    await rig.close()
    await peers.close()
  })

  const serve = async (behaviour: ModelServer['behaviour']): Promise<ModelServer> => {
    const server = await ModelServer.start(behaviour)
    rig.closing(() => server.stop())
    return server
  }
  const https = (server: ModelServer, path?: string): ModelSource => ({
    kind: 'https',
    url: server.url(path),
  })

  it('fetches a model from a web server, checks it and tells how far it is', async () => {
    const file = createModelFile()
    const server = await serve({ data: file, etag: '"a"' })
    const { manager, store } = await rig.create()
    const seen: PullProgress[] = []
    const stored = await manager.pull(createManifest(file, [https(server)]), {
      onProgress: (progress) => seen.push(progress),
    })
    expect(readFileSync(stored.path).equals(file)).toBe(true)
    expect(store.get(stored.hash)).toBeDefined()
    expect(new Set(seen.map(({ stage }) => stage))).toEqual(
      new Set(['resolving', 'fetching', 'waiting', 'verifying']),
    )
    expect(seen.at(-1)).toMatchObject({ doneBytes: file.length, totalBytes: file.length })
    expect(server.sentBytes).toBe(file.length)
    // What is here already is not fetched again.
    await manager.pull(createManifest(file, [https(server)]))
    expect(server.sentBytes).toBe(file.length)
  })

  it('goes on with the next source where the last one stopped', async () => {
    const file = createModelFile()
    const half = Math.floor(file.length / 2)
    let isDown = false
    const first = await serve(() => {
      const behaviour: Behaviour = isDown ? { data: file, status: 404 } : { data: file, breaksAfter: half }
      isDown = true
      return behaviour
    })
    const second = await serve({ data: file })
    const { manager } = await rig.create()
    const failures: string[] = []
    const stored = await manager.pull(createManifest(file, [https(first), https(second)]), {
      onSourceFailed: ({ message }) => failures.push(message),
    })
    expect(readFileSync(stored.path).equals(file)).toBe(true)
    // What was on its way when the first one broke off may be lost with its connection.
    expect(second.sentBytes).toBeGreaterThanOrEqual(file.length - half)
    expect(second.sentBytes).toBeLessThan(file.length - half / 2)
    expect(failures).toEqual([expect.stringContaining('404')])
  })

  it('keeps what peers proved when a web server gave the rest wrong, and asks it no more', async () => {
    const folder = join(rig.folder, 'seeder')
    const file = createModelFile(4 * 1024 * 1024)
    const offer = await createOffer(folder, file.length, file)
    const [seeder, reader] = [peers.create(), peers.create()]
    seeder.offer(offer)
    const { ends } = peers.connect(seeder, reader)
    const abort = new AbortController()
    const { manager, store, dir } = await rig.create({ exchange: reader })
    reader.download.bytesPerSecond = 3 * 1024 * 1024
    const manifest = createManifest(file, [{ kind: 'peers' }], { core: offer.key })
    const pulling = manager.pull(manifest, {
      signal: abort.signal,
      onProgress: ({ doneBytes }) => {
        if (doneBytes > file.length / 3) abort.abort()
      },
    })
    await expect(pulling).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    ends.close()
    expect(existsSync(join(dir, 'partial', manifest.artifact.sha256 ?? '', 'tree'))).toBe(true)
    const proven = seeder.given(offer.key).bytes
    reader.download.bytesPerSecond = 0
    const liar = await serve({ data: Buffer.alloc(file.length, 7) })
    const honest = await serve({ data: file })
    const stored = await manager.pull({ ...manifest, sources: [https(liar), https(honest)] })
    expect(readFileSync(stored.path).equals(file)).toBe(true)
    expect(liar.sentBytes).toBeLessThanOrEqual(file.length - proven / 2)
    // What the liar gave was fetched anew, and those blocks of peers that were on their way when it was cut off.
    expect(honest.sentBytes).toBeLessThanOrEqual(file.length - proven / 2)
    // One request for each gap, and none twice.
    expect(new Set(liar.requests.map(({ range }) => range)).size).toBe(liar.requests.length)
    expect(await store.quarantine.list()).toEqual([])
  })

  it('quarantines a wrong file, blames its source and takes the next one', async () => {
    const file = createModelFile()
    const wrong = Buffer.from(file)
    wrong.writeUInt8(wrong.readUInt8(file.length - 1) ^ 1, file.length - 1)
    const liar = await serve({ data: wrong })
    const honest = await serve({ data: file })
    const { manager, store } = await rig.create()
    const failures: string[] = []
    const stored = await manager.pull(createManifest(file, [https(liar), https(honest)]), {
      onSourceFailed: ({ message }) => failures.push(message),
    })
    expect(readFileSync(stored.path).equals(file)).toBe(true)
    expect(await store.quarantine.list()).toHaveLength(1)
    expect(failures).toHaveLength(1)
    expect(liar.requests).toHaveLength(1)
  })

  it('finds the liar among two who gave a part each', async () => {
    const file = createModelFile()
    const wrong = Buffer.alloc(file.length, 1)
    const half = Math.floor(file.length / 2)
    const liar = await serve((_, count) =>
      count === 1
        ? { data: wrong, breaksAfter: half }
        : count === 2
          ? { data: wrong, status: 410 }
          : { data: wrong },
    )
    const honest = await serve({ data: file })
    const { manager } = await rig.create()
    const stored = await manager.pull(createManifest(file, [https(liar), https(honest)]))
    expect(readFileSync(stored.path).equals(file)).toBe(true)
  })

  it('says what every source said when none could give it', async () => {
    const file = createModelFile()
    const gone = await serve({ data: file, status: 404 })
    const other = await serve({ data: createModelFile(3_000_000) })
    const { manager, dir } = await rig.create()
    const pulling = manager.pull(
      createManifest(file, [
        { kind: 'peers' },
        https(gone),
        https(other),
        { kind: 'file', path: '/nowhere.gguf' },
      ]),
    )
    await expect(pulling).rejects.toMatchObject({
      code: 'QM_SOURCE_FAILED',
      message: expect.stringMatching(/no network.*404.*3000000 bytes.*nowhere/),
    })
    expect(readdirSync(join(dir, 'blobs'))).toEqual([])
  })

  it('refuses to start on a disk without room, and says how much is needed', async () => {
    const file = createModelFile()
    const server = await serve({ data: file })
    const { manager } = await rig.create({ freeBytes: () => Promise.resolve(1_000_000) })
    await expect(manager.pull(createManifest(file, [https(server)]))).rejects.toMatchObject({
      code: 'QM_DISK_FULL',
      message: expect.stringMatching(/needs 69 MB more.*1 MB free/),
    })
    expect(server.requests).toEqual([])
  })

  it('refuses a model for which the limit of the folder has no room beside what stays', async () => {
    const [pinned, file] = [createModelFile(2_000_000, 1), createModelFile(1_500_000, 2)]
    const server = await serve({ data: file })
    const dir = join(rig.folder, 'limited')
    const store = await ModelStore.open({ dir, limitBytes: 3_000_000 })
    const { manager } = await rig.create({ dir, store })
    writeFileSync(join(rig.folder, 'pinned.gguf'), pinned)
    const { hash } = await store.adopt(
      join(rig.folder, 'pinned.gguf'),
      createManifest(pinned, [{ kind: 'peers' }]),
      'copy',
    )
    const manifest = createManifest(file, [https(server)])
    await store.pin(hash, true)
    await expect(manager.pull(manifest)).rejects.toMatchObject({
      code: 'QM_DISK_FULL',
      message: expect.stringMatching(/2 MB.*3 MB that modelsCacheGb allows only 1 MB/),
    })
    expect(server.requests).toEqual([])
    // What can be removed is no reason to refuse.
    await store.pin(hash, false)
    expect(await manager.pull(manifest)).toMatchObject({ bytes: file.length })
  })

  it('pins the hash of a model that nobody verified, and never mixes two versions of it', async () => {
    const [old, file] = [createModelFile(2_000_000, 1), createModelFile(2_000_000, 2)]
    const half = 1_000_000
    const server = await serve((_, count) =>
      count <= 2 ? { data: old, etag: '"old"', breaksAfter: half } : { data: file, etag: '"new"' },
    )
    const { manager } = await rig.create()
    const stored = await manager.pull(createManifest(undefined, [https(server)]))
    expect(readFileSync(stored.path).equals(file)).toBe(true)
  })

  it('lets one process work on a model at a time', async () => {
    const file = createModelFile()
    const { promise: begun, resolve: begin } = withResolvers<void>()
    const server = await serve(() => {
      begin()
      return { data: file, stallsAfter: 500_000 }
    })
    const { manager, dir } = await rig.create()
    const abort = new AbortController()
    const manifest = createManifest(file, [https(server)])
    const pulling = manager.pull(manifest, { signal: abort.signal })
    await begun
    const other = await rig.create({ dir })
    await expect(other.manager.pull(manifest)).rejects.toMatchObject({ code: 'QM_MODEL_BUSY' })
    abort.abort()
    await expect(pulling).rejects.toMatchObject({ code: 'QM_CANCELLED' })
  })

  it('keeps to its cap, whatever the source', async () => {
    const file = createModelFile(1_500_000)
    const server = await serve({ data: file })
    const { manager } = await rig.create({ downloadBytesPerSecond: 3_000_000 })
    const startMs = performance.now()
    await manager.pull(createManifest(file, [https(server)]))
    // Half a second, less the quarter that may go at once.
    expect(performance.now() - startMs).toBeGreaterThan(200)
  })

  it('says of a model that it is not offered, because too many are', async () => {
    const { manager } = await rig.create({ exchange: peers.create() })
    const hashes = Array.from({ length: seedersMax + 1 }, (_, index) => index.toString(16).padStart(64, '0'))
    expect(hashes.map((hash) => manager.seed(hash))).toEqual([...hashes.slice(1).map(() => true), false])
    // One that is offered already is no more than before.
    expect(manager.seed(hashes[0] ?? '')).toBe(true)
    const alone = await rig.create()
    expect(alone.manager.seed(hashes[0] ?? '')).toBe(false)
  })

  it('copies from a folder, and from a file beside the manifest', async () => {
    const file = createModelFile()
    writeFileSync(join(rig.folder, 'stick.gguf'), file)
    const { manager } = await rig.create()
    const stored = await manager.pull(createManifest(file, [{ kind: 'file', path: 'stick.gguf' }]), {
      folder: rig.folder,
    })
    expect(readFileSync(stored.path).equals(file)).toBe(true)
    const other = await rig.create()
    const again = await other.manager.pull(createManifest(file, [{ kind: 'file', path: rig.folder }]))
    expect(again.hash).toBe(stored.hash)
  })

  describe('of a manifest without a hash', () => {
    const sameSize = (): readonly [Buffer, Buffer] => {
      const first = createModelFile()
      return [first, Buffer.concat([first.subarray(0, 100_000), createModelFile().subarray(100_000)])]
    }

    it('never mixes two sources, not even after the process was killed in the middle', async () => {
      const [one, other] = sameSize()
      const half = Math.floor(one.length / 2)
      const first = await serve({ data: one, stallsAfter: half })
      const second = await serve({ data: other })
      // Slowly, so that its progress is told on the way.
      const { manager, dir } = await rig.create({ downloadBytesPerSecond: 1_000_000 })
      const unverified = { bytes: one.length }
      const abort = new AbortController()
      const fetched = withResolvers<undefined>()
      const pull = manager.pull(createManifest(undefined, [https(first), https(second)], unverified), {
        signal: abort.signal,
        onProgress: ({ doneBytes }) => {
          if (doneBytes > 200_000) fetched.resolve(undefined)
        },
      })
      await fetched.promise
      // What a killed process leaves.
      const left = join(rig.folder, 'left')
      cpSync(dir, left, { recursive: true })
      rmSync(join(left, 'locks'), { recursive: true })
      abort.abort()
      await expect(pull).rejects.toMatchObject({ code: 'QM_CANCELLED' })
      first.behaviour = { data: one, status: 404 }
      const { manager: again } = await rig.create({ dir: left })
      const stored = await again.pull(createManifest(undefined, [https(first), https(second)], unverified))
      expect(readFileSync(stored.path).equals(other)).toBe(true)
    })

    it('does not go on with a file of which nobody can say that it is still the same', async () => {
      const [one, other] = sameSize()
      const half = Math.floor(one.length / 2)
      const server = await serve((_, count) =>
        count === 1 ? { data: one, breaksAfter: half } : { data: one, status: 404 },
      )
      const { manager } = await rig.create()
      const manifest = createManifest(undefined, [https(server)], { bytes: one.length })
      await expect(manager.pull(manifest)).rejects.toMatchObject({ code: 'QM_SOURCE_FAILED' })
      server.behaviour = { data: other }
      expect(readFileSync((await manager.pull(manifest)).path).equals(other)).toBe(true)
    })
  })

  it('a source with a wrong size does not keep the next one from giving the right file', async () => {
    const file = createModelFile()
    const portal = await serve({ data: Buffer.from('<html>Please log in.</html>') })
    const good = await serve({ data: file })
    const { manager } = await rig.create()
    const stored = await manager.pull(createManifest(file, [https(portal), https(good)], { bytes: null }))
    expect(readFileSync(stored.path).equals(file)).toBe(true)
  })
})
