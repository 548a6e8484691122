import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { isManifestSigned } from '../../../protocol/models/index.ts'
import { ModelLibrary, type ModelLibraryOptions } from '../../../runtime/models/index.ts'
import { newSigner } from '../../protocol/models/samples.ts'
import { tempFolder, tinyFile } from '../../actors/models/store/store-rig.ts'

async function openLibrary(
  dir = tempFolder(),
  options: Partial<ModelLibraryOptions> = {},
): Promise<ModelLibrary> {
  const library = await ModelLibrary.open({ dir, ...options })
  onTestFinished(() => library.close())
  return library
}

const untried = { isTried: false } as const

// The engine takes seconds to import on a busy machine.
describe('the library', () => {
  it('adds, lists, finds, checks, pins and removes a model, and says so', async () => {
    const library = await openLibrary()
    const { path, hash, bytes } = tinyFile(tempFolder())
    const added = once(library, 'added')
    const view = await library.add(path, { ...untried, id: 'mine', licence: 'MIT' })
    expect(await added).toEqual([view])
    expect(view).toMatchObject({
      id: 'mine',
      hash,
      bytes: bytes.length,
      state: 'sound',
      standing: 'own',
      licence: 'MIT',
      isReference: true,
    })
    expect(library.list()).toEqual([view])
    expect(library.search('mine')[0]).toEqual(view)
    expect(library.find(hash.slice(0, 8))?.hash).toBe(hash)
    expect(library.find(hash.slice(0, 7))).toBeUndefined()
    const info = await library.info(hash.slice(0, 10))
    expect(info.manifest.artifact).toEqual({ bytes: bytes.length, sha256: hash, core: null })
    expect(info.fit).toMatchObject({ fits: true, contextTokens: 2_048, isEstimate: false })
    expect(info.speed).toBeUndefined()
    await library.speeds.note({ hash, id: 'mine', bytes: bytes.length }, 100, 2_000)
    expect((await library.info('mine')).speed).toEqual({ tokensPerSecond: 50, likeId: null })
    expect(await library.pin('mine', true)).toMatchObject({ isPinned: true })
    const verified = once(library, 'verified')
    expect(await library.verify('mine')).toEqual({ isSound: true, damaged: [] })
    expect(await verified).toEqual([hash, { isSound: true, damaged: [] }])
    const removed = once(library, 'removed')
    await library.remove('mine')
    expect(await removed).toMatchObject([{ id: 'mine' }])
    expect(library.list()).toEqual([])
    expect(existsSync(path)).toBe(true)
  })

  it('tries a file before it takes it, and takes none that the engine crashes over', async () => {
    const library = await openLibrary()
    const { path } = tinyFile(tempFolder())
    const bytes = readFileSync(path)
    const key = 'llama.feed_forward_length'
    bytes.write('x', bytes.indexOf(key) + key.length - 1)
    writeFileSync(path, bytes)
    await expect(library.add(path, { how: 'move' })).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    expect(existsSync(path)).toBe(true)
    expect(library.list()).toEqual([])
  })

  it('tells near names, what is only in a catalog, and what is not clear', async () => {
    const library = await openLibrary()
    await expect(library.info('smolm2-360m')).rejects.toThrow('did you mean "smollm2-360m-instruct"')
    await expect(library.verify('smollm2-360m-instruct')).rejects.toThrow('models pull smollm2-360m-instruct')
    expect(await library.info('smollm2-360m-instruct')).toMatchObject({
      state: 'absent',
      standing: 'built-in',
      fit: { isEstimate: true },
    })
    const { path } = tinyFile(tempFolder())
    await expect(library.add(path, { ...untried, id: 'Not An Id' })).rejects.toThrow('such as "not-an-id"')
    await expect(library.add(path, { ...untried, manifest: { format: 1 } })).rejects.toMatchObject({
      code: 'QM_MANIFEST_INVALID',
    })
  })

  it('frees the name of a file that was added, when it is removed: for the catalog, and beside a running node', async () => {
    const library = await openLibrary()
    const node = await openLibrary(library.store.dir)
    const id = 'smollm2-135m-instruct'
    const { path, hash } = tinyFile(tempFolder())
    await library.add(path, { ...untried, id })
    await node.refresh()
    expect(await node.resolve(id)).toMatchObject({ stored: { hash } })
    await library.remove(id)
    await node.refresh()
    for (const one of [library, node]) {
      expect(await one.info(id)).toMatchObject({ standing: 'built-in', state: 'absent' })
      expect(await one.resolve(id)).toMatchObject({
        manifest: { sources: [{ kind: 'peers' }, { kind: 'hf' }] },
      })
    }
    await library.add(path, { ...untried, id: 'mine' })
    await library.remove('mine')
    expect(library.search('mine').map((model) => model.id)).not.toContain('mine')
  })

  it('signs what is here, so that another machine that trusts the key takes it', async () => {
    const signer = newSigner()
    const library = await openLibrary(undefined, { ownKey: signer.id })
    const { path, hash, bytes } = tinyFile(tempFolder())
    await library.add(path, { ...untried, id: 'mine' })
    const signed = await library.sign('mine', signer, { description: 'A tiny one.', licence: 'MIT' })
    expect(isManifestSigned(signed)).toBe(true)
    expect(signed).toMatchObject({ version: 1, publisher: signer.id, description: 'A tiny one.' })
    expect(signed.artifact).toEqual({
      bytes: bytes.length,
      sha256: hash,
      core: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    })
    expect(library.list()).toMatchObject([{ standing: 'trusted' }])
    expect((await library.sign('mine', signer)).version).toBe(2)

    // A signature that does not fit would make anything the word of whomever it names.
    const trusting = await openLibrary(undefined, { publishers: [signer.id] })
    for (const forged of [
      { ...signed, description: 'Another one.' },
      { ...signed, signature: 'ab'.repeat(64) },
    ]) {
      const file = join(tempFolder(), 'forged.json')
      writeFileSync(file, JSON.stringify(forged))
      for (const manifest of [forged, file])
        await expect(trusting.add(path, { ...untried, manifest })).rejects.toMatchObject({
          code: 'QM_MANIFEST_INVALID',
        })
    }
    expect(trusting.list()).toEqual([])

    const other = await openLibrary()
    expect(await other.catalogFiles.offer(signed, 'network')).toMatchObject({ code: 'QM_MODEL_UNTRUSTED' })
    await other.trust(signer.id)
    expect(await other.catalogFiles.offer(signed, 'network')).toEqual({ kind: 'added' })
    expect(await other.info('mine')).toMatchObject({ hash, standing: 'trusted', state: 'absent' })
    await other.distrust(signer.id)
    await expect(other.info('mine')).rejects.toMatchObject({ code: 'QM_MODEL_NOT_FOUND' })
    expect(await other.publishers()).toEqual([])
    await expect(other.trust('f'.repeat(64))).rejects.toMatchObject({ code: 'QM_USAGE' })
    await expect(other.distrust(signer.id)).rejects.toMatchObject({ code: 'QM_USAGE' })
  })

  it('keeps its limit when something is added, and says what takes room', async () => {
    const folder = tempFolder()
    const library = await openLibrary(undefined, { limitBytes: 1_200_000 })
    for (const seed of [1, 2, 3]) {
      const { path } = tinyFile(folder, { id: `m${seed}`, seed })
      await library.add(path, { ...untried, how: 'copy' })
    }
    expect(library.list().map(({ id }) => id)).toEqual(['m2', 'm3'])
    const partial = await library.store.partial('a'.repeat(64), 1_000_000)
    await partial.write(0, Buffer.alloc(100_000, 1))
    await partial.release()
    const report = await library.cache()
    expect(report).toMatchObject({ models: 2, limitBytes: 1_200_000, unfinished: { count: 1 } })
    expect(report.bytes).toBeGreaterThan(1_000_000)
    await library.clear()
    expect((await library.prune(0)).map(({ id }) => id)).toEqual(['m2', 'm3'])
    expect(await library.cache()).toMatchObject({ models: 0, bytes: 0, unfinished: { count: 0 } })
  })
})
