import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { CatalogSharing } from '../../../actors/models/channel/catalog-sharing.ts'
import { modelsCapability } from '../../../actors/models/channel/models-channel.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { type ModelManifest, signManifest } from '../../../protocol/models/index.ts'
import { ModelLibrary } from '../../../runtime/models/index.ts'
import { ModelTransfer, type ModelTransferOptions } from '../../../runtime/models/model-transfer.ts'
import { manifestOf, tempFolder, tinyFile } from '../../actors/models/store/store-rig.ts'
import { newSigner } from '../../protocol/models/samples.ts'
import { createConnection } from '../../support/core-rig.ts'
import { ModelServer } from '../../support/model-server.ts'
import { createTinyBert } from '../../support/tiny-bert.ts'
import { withResolvers } from '../../support/with-resolvers.ts'

async function createTransfer(options: Partial<ModelTransferOptions> = {}) {
  const library = await ModelLibrary.open({ dir: tempFolder() })
  const transfer = new ModelTransfer({ library, ...options })
  onTestFinished(async () => {
    await transfer.close()
    await library.close()
  })
  return { library, transfer }
}

// A trial imports the engine, which takes seconds on a busy machine.
describe('a pulled model', () => {
  it('that was never tried is tried before it is given out, though it was here already', async () => {
    const { library, transfer } = await createTransfer()
    const { path } = tinyFile(tempFolder())
    const bytes = readFileSync(path)
    const key = 'llama.feed_forward_length'
    bytes.write('x', bytes.indexOf(key) + key.length - 1)
    writeFileSync(path, bytes)
    // What a process leaves that was killed between the last byte and the trial.
    const { hash } = await library.store.adopt(path, manifestOf('crasher'), 'copy')
    await expect(transfer.pull('crasher')).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    expect(library.store.get(hash)).toBeUndefined()
  })

  it('stays when only its trial had no room', async () => {
    const { library, transfer } = await createTransfer()
    const { bytes, hash } = tinyFile(tempFolder())
    const server = await ModelServer.start({ data: bytes })
    onTestFinished(() => server.stop())
    const trial = vi
      .spyOn(library.trial, 'check')
      .mockRejectedValueOnce(new QMeshError('QM_MODEL_TOO_LARGE', 'no memory'))
    await expect(transfer.pull(server.url())).rejects.toMatchObject({ code: 'QM_MODEL_TOO_LARGE' })
    expect(library.store.get(hash)).toBeDefined()
    trial.mockRestore()
    expect(await transfer.pull(hash)).toMatchObject({ hash, wasHere: true })
    // All of it once, and the byte that tells its size.
    expect(server.sentBytes).toBe(bytes.length + 1)
  })

  it('of a forged manifest is not fetched', async () => {
    const { library, transfer } = await createTransfer()
    const publisher = 'ab'.repeat(32)
    await library.trust(publisher).catch(() => undefined)
    const file = join(tempFolder(), 'forged.json')
    writeFileSync(file, JSON.stringify({ ...manifestOf('forged'), publisher, signature: 'cd'.repeat(64) }))
    await expect(transfer.pull(file)).rejects.toMatchObject({ code: 'QM_MANIFEST_INVALID' })
  })
})

const trusted = newSigner(Buffer.alloc(32, 1))
const stranger = newSigner(Buffer.alloc(32, 2))

/** A model of the store whose manifest somebody signed. */
async function store(library: ModelLibrary, seed: number, version: number, signer = trusted) {
  const { path, bytes, hash } = tinyFile(tempFolder(), { seed })
  const draft = { ...manifestOf('tiny', { bytes: bytes.length, sha256: hash, core: null }), version }
  const manifest = signManifest(draft, signer)
  await library.store.adopt(path, manifest, 'copy')
  return { hash, bytes, manifest }
}

/** What a publisher says of a file that is elsewhere. */
async function announce(library: ModelLibrary, seed: number, version: number, url: string) {
  const { bytes, hash } = tinyFile(tempFolder(), { seed })
  const artifact = { bytes: bytes.length, sha256: hash, core: null }
  const sources: ModelManifest['sources'] = [{ kind: 'https', url }]
  const manifest = signManifest({ ...manifestOf('tiny', artifact), version, sources }, trusted)
  // From a file, which may name a server of this machine.
  await library.catalogFiles.offer(manifest, 'own')
  return { hash, bytes, manifest }
}

describe('a name', () => {
  it('means the file of the publisher who is trusted, whatever version a stranger claims', async () => {
    const { library, transfer } = await createTransfer()
    await library.trust(trusted.id)
    const right = await store(library, 1, 1)
    const wrong = await store(library, 2, 9, stranger)
    expect(library.find('tiny')?.hash).toBe(right.hash)
    expect(await library.info('tiny')).toMatchObject({ hash: right.hash, standing: 'trusted' })
    expect(await transfer.pull('tiny')).toMatchObject({ hash: right.hash, wasHere: true })
    expect(library.find(wrong.hash)?.hash).toBe(wrong.hash)
    await library.distrust(trusted.id)
    await library.trust(stranger.id)
    expect(library.find('tiny')?.hash).toBe(wrong.hash)
  })

  it('means a later version of the same publisher as soon as it is known', async () => {
    const { library } = await createTransfer()
    await library.trust(trusted.id)
    const old = await store(library, 1, 1)
    library.catalogFiles.catalog.offer(old.manifest, 'network')
    expect(await library.resolve('tiny')).toMatchObject({ stored: { hash: old.hash } })
    const next = signManifest({ ...old.manifest, version: 2, description: 'corrected' }, trusted)
    await library.catalogFiles.offer(next, 'network')
    expect(await library.resolve('tiny')).toMatchObject({
      stored: { manifest: { description: 'corrected' } },
    })
    const other = await announce(library, 3, 3, 'http://127.0.0.1:1/x.gguf')
    expect(await library.resolve('tiny')).toEqual({ manifest: other.manifest })
  })

  it('means what a publisher says whom a command trusted beside the running node', async () => {
    const { library, transfer } = await createTransfer()
    vi.spyOn(library.trial, 'check').mockResolvedValue(undefined)
    const right = await store(library, 1, 1)
    await store(library, 2, 9, stranger)
    const command = await ModelLibrary.open({ dir: library.store.dir })
    await command.trust(trusted.id)
    await command.close()
    expect(await transfer.pull('tiny')).toMatchObject({ hash: right.hash })
    const { path } = tinyFile(tempFolder(), { seed: 3 })
    const adding = await ModelLibrary.open({ dir: library.store.dir })
    const { hash } = await adding.add(path, { id: 'tiny', isTried: false })
    await adding.close()
    expect(await transfer.pull('tiny')).toMatchObject({ hash })
  })

  it('that the owner gave to a file of their choice means that one', async () => {
    const { library, transfer } = await createTransfer()
    vi.spyOn(library.trial, 'check').mockResolvedValue(undefined)
    await library.trust(trusted.id)
    await store(library, 1, 7)
    const { bytes, hash } = tinyFile(tempFolder(), { seed: 2 })
    const server = await ModelServer.start({ data: bytes })
    onTestFinished(() => server.stop())
    await transfer.pull(server.url('/tiny.gguf'))
    expect(await transfer.pull('tiny')).toMatchObject({ hash, wasHere: true })
  })

  it('of a file that was fetched by its address is of the kind that the file says', async () => {
    const { library, transfer } = await createTransfer()
    vi.spyOn(library.trial, 'check').mockResolvedValue(undefined)
    const server = await ModelServer.start({ data: createTinyBert() })
    onTestFinished(() => server.stop())
    await transfer.pull(server.url('/bert.gguf'))
    expect(library.list()).toMatchObject([{ id: 'bert', kind: 'embedding' }])
    expect(await library.info('bert')).toMatchObject({ manifest: { facts: { architecture: 'bert' } } })
  })

  it('that is a SHA-256 means that file, and not one that somebody gave the same name', async () => {
    const { library, transfer } = await createTransfer()
    const { hash } = tinyFile(tempFolder(), { seed: 1 })
    const other = tinyFile(tempFolder(), { seed: 2 })
    await library.store.adopt(other.path, manifestOf(hash), 'copy')
    await library.catalogFiles.offer(manifestOf(hash, { bytes: null, sha256: other.hash, core: null }), 'own')
    expect(library.find(hash)).toBeUndefined()
    for (const asked of [library.info(hash), library.remove(hash), transfer.pull(hash)])
      await expect(asked).rejects.toMatchObject({ code: 'QM_MODEL_NOT_FOUND' })
    expect(library.find(other.hash)?.hash).toBe(other.hash)
  })

  it('that begins like a hash means that file before one that a stranger called so', async () => {
    const { library, transfer } = await createTransfer()
    vi.spyOn(library.trial, 'check').mockResolvedValue(undefined)
    const right = tinyFile(tempFolder(), { seed: 1 })
    const start = right.hash.slice(0, 8)
    const wrong = tinyFile(tempFolder(), { seed: 2 })
    // Fetched by its hash, a file brings along the name that a stranger gave it.
    await library.store.adopt(wrong.path, manifestOf(start), 'copy')
    expect(library.find(start)?.hash).toBe(wrong.hash)
    await library.store.adopt(right.path, manifestOf('honest'), 'copy')
    expect(library.find(start)?.hash).toBe(right.hash)
    expect(await library.info(start)).toMatchObject({ id: 'honest', hash: right.hash })
    expect(await transfer.pull(start)).toMatchObject({ hash: right.hash })
    expect(await library.remove(start)).toMatchObject({ hash: right.hash })
    // Who is known may call a model so, and then nobody's file takes the name over by its hash.
    await library.own(wrong.hash)
    await library.store.adopt(right.path, manifestOf('honest'), 'copy')
    expect(library.find(start)?.hash).toBe(wrong.hash)
  })

  it('that is no address is refused with what is wrong about it', async () => {
    const { transfer } = await createTransfer()
    await expect(transfer.pull('https://example.org/100%_new.gguf')).rejects.toMatchObject({
      code: 'QM_USAGE',
      message: expect.stringContaining('"%25"'),
    })
  })
})

/** Connects a peer that tells this whatever it is asked for. */
function meetLiar(transfer: ModelTransfer, lie: ModelManifest): void {
  const liar = new CatalogSharing({
    catalog: { find: () => [lie], offer: () => Promise.resolve({ kind: 'known' }) },
  })
  const ends = createConnection()
  onTestFinished(() => ends.close())
  liar.connect('00'.repeat(32), ends.right)
  transfer.connect(ends.right.publicKey.toString('hex'), ends.left, { capabilities: [modelsCapability] })
}

describe('a SHA-256', () => {
  it('is pulled by the manifest that leads to it, though others came first', async () => {
    const joinTopic = () => () => undefined
    const hub = await ModelServer.start({ data: Buffer.alloc(0), status: 404 })
    onTestFinished(() => hub.stop())
    const honest = await createTransfer({ joinTopic })
    const endpoint = new URL(hub.url()).origin
    const reader = await createTransfer({ joinTopic, sources: { hf: { endpoint } } })
    for (const { library } of [honest, reader]) vi.spyOn(library.trial, 'check').mockResolvedValue(undefined)
    const { hash, path } = tinyFile(tempFolder())
    await honest.library.add(path, { id: 'honest', isTried: false })
    await honest.transfer.seed([])
    await expect.poll(() => honest.transfer.seeds()).toMatchObject([{ state: 'offering' }])
    const lie: ModelManifest = {
      ...manifestOf('liar', { bytes: 1_000_000, sha256: hash, core: null }),
      sources: [{ kind: 'hf', repo: 'no/body', file: 'x.gguf', revision: 'main' }],
    }
    const liar = new CatalogSharing({
      catalog: { find: () => [lie], offer: () => Promise.resolve({ kind: 'known' }) },
    })
    const [first, second] = [createConnection(), createConnection()]
    onTestFinished(() => [first, second].forEach((ends) => ends.close()))
    const capabilities = [modelsCapability]
    liar.connect('00'.repeat(32), first.right)
    reader.transfer.connect(first.right.publicKey.toString('hex'), first.left, { capabilities })
    const failed: string[] = []
    const pulled = await reader.transfer.pull(hash, {
      onSourceFailed: ({ source }) => {
        failed.push(source)
        honest.transfer.connect(second.right.publicKey.toString('hex'), second.left, { capabilities })
        reader.transfer.connect(second.left.publicKey.toString('hex'), second.right, { capabilities })
      },
    })
    expect(failed).toEqual(['hf:no/body/x.gguf'])
    expect(pulled).toMatchObject({ id: 'honest', hash, wasHere: false })
  })

  it('costs two wrong files at most for each word of a stranger, however many sources that names', async () => {
    const { bytes, hash } = tinyFile(tempFolder())
    const garbage = await ModelServer.start({ data: Buffer.alloc(bytes.length, 7) })
    onTestFinished(() => garbage.stop())
    const endpoint = new URL(garbage.url()).origin
    const { transfer } = await createTransfer({
      joinTopic: () => () => undefined,
      sources: { hf: { endpoint } },
    })
    const lie: ModelManifest = {
      ...manifestOf('liar', { bytes: bytes.length, sha256: hash, core: null }),
      sources: [1, 2, 3, 4, 5].map((n) => ({ kind: 'hf', repo: 'no/body', file: `${n}`, revision: 'main' })),
    }
    meetLiar(transfer, lie)
    await expect(transfer.pull(hash)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    expect(garbage.sentBytes).toBe(2 * bytes.length)
  })

  /** Strangers who agree in pairs on lies, and one who is honest and alone. */
  async function createLiars(count: number, hub: ModelServer) {
    const joinTopic = () => () => undefined
    const { transfer, library } = await createTransfer({
      joinTopic,
      sources: { hf: { endpoint: new URL(hub.url()).origin } },
    })
    const honest = await createTransfer({ joinTopic })
    for (const one of [library, honest.library]) vi.spyOn(one.trial, 'check').mockResolvedValue(undefined)
    const { bytes, hash, path } = tinyFile(tempFolder())
    for (let lie = 0; lie < count; lie++) {
      const manifest: ModelManifest = {
        ...manifestOf('liar', {
          bytes: bytes.length,
          sha256: hash,
          core: lie.toString(16).padStart(64, '0'),
        }),
        sources: [{ kind: 'hf', repo: 'no/body', file: `${lie}.gguf`, revision: 'main' }],
      }
      meetLiar(transfer, manifest)
      meetLiar(transfer, manifest)
    }
    await honest.library.add(path, { id: 'honest', isTried: false })
    await honest.transfer.seed([])
    await expect.poll(() => honest.transfer.seeds()).toMatchObject([{ state: 'offering' }])
    const ends = createConnection()
    onTestFinished(() => ends.close())
    const capabilities = [modelsCapability]
    const [left, right] = [ends.left.publicKey.toString('hex'), ends.right.publicKey.toString('hex')]
    honest.transfer.connect(left, ends.right, { capabilities })
    transfer.connect(right, ends.left, { capabilities })
    return { transfer, hash, bytes }
  }

  it('is found though more strangers lie about it than are honest, where that costs no bytes', async () => {
    const hub = await ModelServer.start({ data: Buffer.alloc(0), status: 404 })
    onTestFinished(() => hub.stop())
    const { transfer, hash } = await createLiars(12, hub)
    expect(await transfer.pull(hash)).toMatchObject({ id: 'honest', hash })
  })

  it('is given up after eight lies that cost a file, and found by the next pull, which believes none of them', async () => {
    const { bytes } = tinyFile(tempFolder())
    const hub = await ModelServer.start({ data: Buffer.alloc(bytes.length, 7) })
    onTestFinished(() => hub.stop())
    const { transfer, hash } = await createLiars(9, hub)
    await expect(transfer.pull(hash)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    const cost = hub.sentBytes
    expect(cost).toBeGreaterThanOrEqual(8 * bytes.length)
    expect(cost).toBeLessThanOrEqual(16 * bytes.length + 16)
    expect(await transfer.pull(hash)).toMatchObject({ id: 'honest', hash })
    expect(hub.sentBytes - cost).toBeLessThanOrEqual(2 * bytes.length + 2)
  })

  it.each([-1, 0])('keeps what came by an honest way, though a stranger says %i bytes more', async (more) => {
    const { bytes, hash } = tinyFile(tempFolder())
    const garbage = await ModelServer.start({ data: Buffer.alloc(bytes.length + more, 7) })
    onTestFinished(() => garbage.stop())
    const endpoint = new URL(garbage.url()).origin
    const { library, transfer } = await createTransfer({
      joinTopic: () => () => undefined,
      sources: { hf: { endpoint } },
    })
    const begun = await library.store.partial(hash, bytes.length)
    await begun.write(0, bytes.subarray(0, 100_000))
    await begun.release()
    const artifact = { bytes: bytes.length + more, sha256: hash, core: null }
    const lie: ModelManifest = {
      ...manifestOf('liar', artifact),
      sources: [{ kind: 'hf', repo: 'no/body', file: 'x.gguf', revision: 'main' }],
    }
    meetLiar(transfer, lie)
    await expect(transfer.pull(hash)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    const kept = await library.store.partial(hash, bytes.length)
    expect(kept.doneBytes).toBe(100_000)
    await kept.release()
  })
})

describe('a model that is offered', () => {
  /** A transfer that counts the topics under which it is found. */
  async function createSeeder() {
    const topics = new Set<string>()
    const { library, transfer } = await createTransfer({
      signer: trusted,
      joinTopic: (topic) => {
        topics.add(topic.toString('hex'))
        return () => void topics.delete(topic.toString('hex'))
      },
    })
    return { library, transfer, topics }
  }
  const poll = { timeout: 30_000 }

  it('is so until it is stopped by its name, or all are', async () => {
    const { library, transfer, topics } = await createSeeder()
    for (const seed of [1, 2, 3]) {
      const { path, manifest } = tinyFile(tempFolder(), { seed, id: `m${seed}` })
      await library.store.adopt(path, manifest, 'copy')
    }
    await transfer.seed([])
    await expect.poll(() => topics.size, poll).toBe(3)
    expect((await transfer.unseed(['m2'])).map(({ id }) => id).toSorted()).toEqual(['m1', 'm3'])
    expect(await transfer.unseed([])).toEqual([])
    expect(topics.size).toBe(0)
  })

  it('is so no more when a command beside the node removes it, or finds it damaged', async () => {
    const { library, transfer, topics } = await createSeeder()
    const [gone, broken] = [tinyFile(tempFolder(), { seed: 1 }), tinyFile(tempFolder(), { seed: 2, id: 'b' })]
    await library.store.adopt(gone.path, gone.manifest, 'copy')
    const { path } = await library.store.adopt(broken.path, broken.manifest, 'copy')
    await transfer.seed([])
    await expect.poll(() => topics.size, poll).toBe(2)

    const command = await ModelLibrary.open({ dir: library.store.dir })
    onTestFinished(() => command.close())
    await command.remove(gone.hash)
    await transfer.refresh()
    expect(topics.size).toBe(1)

    const wrong = Buffer.from(broken.bytes)
    wrong.writeUInt8(wrong.readUInt8(70_000) ^ 1, 70_000)
    writeFileSync(path, wrong)
    await command.verify('b')
    await transfer.refresh()
    expect(topics.size).toBe(0)
    await command.store.repairBlock(broken.hash, 65_536, broken.bytes.subarray(65_536, 131_072))
    await transfer.refresh()
    await expect.poll(() => topics.size, poll).toBe(1)
    expect(await transfer.seeds()).toMatchObject([{ hash: broken.hash }])
  })

  /** Another flips a byte of a stored file, and puts it right again. */
  async function createAccident(library: ModelLibrary, path: string, hash: string) {
    const command = await ModelLibrary.open({ dir: library.store.dir })
    onTestFinished(() => command.close())
    const bytes = readFileSync(path)
    return {
      damage: async () => {
        const wrong = Buffer.from(bytes)
        wrong.writeUInt8(wrong.readUInt8(70_000) ^ 1, 70_000)
        writeFileSync(path, wrong)
        await command.verify(hash)
      },
      repair: () => command.store.repairBlock(hash, 65_536, bytes.subarray(65_536, 131_072)),
    }
  }

  it('is known to be damaged when a repair finds that, and cannot put it right', async () => {
    const { library, transfer } = await createTransfer()
    const { path, hash, manifest } = tinyFile(tempFolder())
    const stored = await library.store.adopt(path, manifest, 'copy')
    const bytes = readFileSync(stored.path)
    bytes.writeUInt8(bytes.readUInt8(70_000) ^ 1, 70_000)
    writeFileSync(stored.path, bytes)
    const told: unknown[] = []
    library.on('verified', (...event) => told.push(event))
    await expect(transfer.repair(hash)).rejects.toMatchObject({ code: 'QM_SOURCE_FAILED' })
    const damaged = [{ start: 65_536, end: Math.min(131_072, bytes.length) }]
    expect(told).toEqual([[hash, { isSound: false, damaged }]])
  })

  it('is so no more after all were stopped, also where it was damaged just then', async () => {
    const { library, transfer } = await createSeeder()
    const { path, manifest } = tinyFile(tempFolder())
    const stored = await library.store.adopt(path, manifest, 'copy')
    const accident = await createAccident(library, stored.path, stored.hash)
    await transfer.seed([])
    await accident.damage()
    await transfer.refresh()
    expect(await transfer.unseed([])).toEqual([])
    await accident.repair()
    await transfer.refresh()
    expect(await transfer.seeds()).toEqual([])
  })

  it('keeps the end that its owner set when it is published, fetched, or damaged and whole again', async () => {
    const { library, transfer } = await createSeeder()
    vi.spyOn(library.trial, 'check').mockResolvedValue(undefined)
    const { path, hash, manifest } = tinyFile(tempFolder())
    const stored = await library.store.adopt(path, manifest, 'copy')
    const accident = await createAccident(library, stored.path, hash)
    await transfer.seed([], 1)
    await expect.poll(() => transfer.seeds(), poll).toMatchObject([{ state: 'offering' }])
    const reader = await createTransfer({ joinTopic: () => () => undefined })
    const ends = createConnection()
    onTestFinished(() => ends.close())
    const [left, right] = [ends.left.publicKey.toString('hex'), ends.right.publicKey.toString('hex')]
    transfer.connect(left, ends.right, { capabilities: [modelsCapability] })
    reader.transfer.connect(right, ends.left, { capabilities: [modelsCapability] })
    reader.transfer.pull(hash).catch(() => undefined)
    const spent = [{ state: 'paused', pausedBy: ['cap'] }]
    await expect.poll(() => transfer.seeds(), poll).toMatchObject(spent)

    await transfer.publish(hash)
    expect(await transfer.seeds()).toMatchObject(spent)
    const file = join(tempFolder(), 'it.json')
    writeFileSync(file, JSON.stringify(library.store.get(hash)?.manifest))
    expect(await transfer.pull(file)).toMatchObject({ hash, wasHere: true })
    expect(await transfer.seeds()).toMatchObject(spent)

    await accident.damage()
    await transfer.refresh()
    expect(await transfer.seeds()).toEqual([])
    await accident.repair()
    await transfer.refresh()
    await expect.poll(() => transfer.seeds(), poll).toMatchObject(spent)
  })

  it('is not said to be unknown when its file was damaged, and nobody else has it', async () => {
    const { library, transfer } = await createTransfer()
    const { path, hash, manifest } = tinyFile(tempFolder())
    const stored = await library.store.adopt(path, manifest, 'copy')
    await (await createAccident(library, stored.path, hash)).damage()
    await expect(transfer.pull(manifest.id)).rejects.toMatchObject({
      code: 'QM_MODEL_NOT_FOUND',
      message: expect.stringContaining('its file that was here is damaged'),
    })
  })
})

describe('a transfer that is closed', () => {
  it('ends what is repaired, too, and takes no more', async () => {
    const { library, transfer } = await createTransfer({ joinTopic: () => () => undefined })
    const { path, bytes, manifest } = tinyFile(tempFolder())
    const stored = await library.store.adopt(path, manifest, 'copy')
    bytes.writeUInt8(bytes.readUInt8(70_000) ^ 1, 70_000)
    writeFileSync(stored.path, bytes)
    const { promise: isRead, resolve } = withResolvers<void>()
    const repairing = transfer.repair('tiny', {
      onProgress: (done, total) => done === total && resolve(),
    })
    const ended = repairing.catch((error: unknown) => error)
    await isRead
    await transfer.close()
    expect(await ended).toMatchObject({ code: 'QM_NODE_STOPPED' })
    await expect(transfer.pull('tiny')).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  })
})

describe('what cannot be the name of a model', () => {
  it('is asked of no peer', async () => {
    const { transfer } = await createTransfer({ joinTopic: () => () => undefined, askMs: 60_000 })
    const violations: string[] = []
    const peer = new CatalogSharing({
      catalog: { find: () => [], offer: () => Promise.resolve({ kind: 'known' }) },
      onViolation: (_, code) => violations.push(code),
    })
    const ends = createConnection()
    onTestFinished(() => ends.close())
    peer.connect('00'.repeat(32), ends.right)
    transfer.connect(ends.right.publicKey.toString('hex'), ends.left, { capabilities: [modelsCapability] })
    for (const name of ['x'.repeat(200), 'huggingface.co/owner/name', 'Not An Id'])
      await expect(transfer.pull(name)).rejects.toMatchObject({ code: 'QM_MODEL_NOT_FOUND' })
    expect(violations).toEqual([])
  })

  it('is that of the built-in model, which is here', async () => {
    const { transfer } = await createTransfer({ joinTopic: () => () => undefined, askMs: 60_000 })
    await expect(transfer.pull('nano')).rejects.toMatchObject({
      code: 'QM_MODEL_NOT_FOUND',
      message: expect.stringContaining('it comes with QMesh'),
    })
  })
})
