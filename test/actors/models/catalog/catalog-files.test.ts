import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { CatalogFiles } from '../../../../actors/models/catalog/catalog-files.ts'
import {
  encodeCatalog,
  modelLimits,
  parseManifest,
  signManifest,
  type ModelManifest,
} from '../../../../protocol/models/index.ts'
import { catalogOf, manifestBy, newSigner, sampleManifest } from '../../../protocol/models/samples.ts'
import { tempFolder } from '../store/store-rig.ts'

const builtInDir = new URL('../../../../models/catalog', import.meta.url).pathname
const alice = newSigner(Buffer.alloc(32, 1))
const bob = newSigner(Buffer.alloc(32, 2))
const plain = (changes: Partial<ModelManifest> = {}): ModelManifest =>
  sampleManifest({ sources: [{ kind: 'peers' }], ...changes })

describe('the catalog that comes with the package', () => {
  const manifests = readdirSync(builtInDir).map((name) => ({
    name,
    manifest: parseManifest(JSON.parse(readFileSync(join(builtInDir, name), 'utf8')), name),
  }))

  it('has the well-known small models, each in a file of its name', () => {
    expect(manifests.length).toBeGreaterThanOrEqual(13)
    for (const { name, manifest } of manifests) expect(`${manifest.id}.json`).toBe(name)
    expect(manifests.filter(({ manifest }) => manifest.kind === 'embedding')).toHaveLength(4)
  })

  it.each(manifests)(
    '$name says where it can be had, under which licence, and that its hash is unverified',
    ({ manifest }) => {
      expect(manifest.sources[0]).toEqual({ kind: 'peers' })
      expect(manifest.sources.some(({ kind }) => kind === 'hf')).toBe(true)
      expect(manifest.licence === 'other').toBe(manifest.licenceUrl !== undefined)
      expect(manifest.artifact).toEqual({ bytes: null, sha256: null, core: null })
      expect(manifest.tags).toContain('unverified')
      expect(manifest.description).toContain('pinned on the first fetch')
    },
  )

  it('is what a new machine knows', async () => {
    const { catalog } = await CatalogFiles.open({ builtInDir, dir: tempFolder(), publishers: [] })
    expect(catalog.list()).toHaveLength(manifests.length)
    expect(catalog.resolve('smollm2-135m-instruct')).toMatchObject({ origin: 'built-in', isTrusted: false })
  })
})

describe('what others recommend', () => {
  const open = (dir: string, publishers = [alice.id], log?: (level: string, message: string) => void) =>
    CatalogFiles.open({ builtInDir: undefined, dir, publishers, log })

  const ids = ({ catalog }: CatalogFiles): string[] => catalog.list().map(({ manifest }) => manifest.id)

  it('is kept when a trusted publisher signed it, and there after a start', async () => {
    const dir = tempFolder()
    expect(await (await open(dir)).offerCatalog(catalogOf(alice, 7, ['a', 'b']))).toEqual({ kind: 'taken' })
    const again = await open(dir)
    expect(ids(again)).toEqual(['a', 'b'])
    expect(await again.offerCatalog(catalogOf(alice, 7, ['a', 'b']))).toEqual({ kind: 'known' })
    expect(await again.offerCatalog(catalogOf(alice, 8, ['b']))).toEqual({ kind: 'taken' })
    expect(ids(await open(dir))).toEqual(['b'])
    expect(readdirSync(join(dir, 'published'))).toEqual([`${alice.id}.8.catalog`])
    expect(await again.published.bytes(alice.id)).toEqual(encodeCatalog(catalogOf(alice, 8, ['b'])))
  })

  it('is not held where it cannot be written: what peers are told is what they are given', async () => {
    const dir = tempFolder()
    const files = await open(dir)
    await files.offerCatalog(catalogOf(alice, 7, ['a']))
    const written = encodeCatalog(catalogOf(alice, 7, ['a']))
    // A folder in the place of the file that is to be written, from when that was decided.
    const blocker = join(dir, 'published', `${alice.id}.8.catalog`)
    const change = files.published.change.bind(files.published)
    vi.spyOn(files.published, 'change').mockImplementationOnce((take) =>
      change(async () => {
        const document = await take()
        mkdirSync(blocker)
        return document
      }),
    )
    await expect(files.offerCatalog(catalogOf(alice, 8, ['b']))).rejects.toThrow(
      /EISDIR|ENOTEMPTY|EEXIST|EPERM/,
    )
    expect(ids(files)).toEqual(['a'])
    expect(files.catalog.published.of(alice.id)?.version).toBe(7)
    rmdirSync(blocker)
    expect(await files.published.bytes(alice.id)).toEqual(written)
    expect(await files.offerCatalog(catalogOf(alice, 8, ['b']))).toEqual({ kind: 'taken' })
  })

  it('says how much of it has no room', async () => {
    const lines: string[] = []
    const files = await open(tempFolder(), [alice.id], (_, message) => lines.push(message))
    for (let n = 0; n < modelLimits.knownModelsMax - 1; n++)
      files.catalog.offer(plain({ id: `own-${n}` }), 'own')
    await files.offerCatalog(catalogOf(alice, 7, ['a', 'b']))
    expect(lines).toEqual([expect.stringContaining('1 of 2 models')])
  })

  it('is refused when it is older than what was seen before a start, or of a stranger', async () => {
    const dir = tempFolder()
    await (await open(dir)).offerCatalog(catalogOf(alice, 7))
    const files = await open(dir)
    expect(await files.offerCatalog(catalogOf(alice, 6))).toMatchObject({
      why: 'older',
      code: 'QM_MANIFEST_INVALID',
    })
    expect(await files.offerCatalog(catalogOf(bob, 9))).toMatchObject({ code: 'QM_MODEL_UNTRUSTED' })
    expect(files.catalog.published.list()).toMatchObject([{ publisher: alice.id, version: 7 }])
  })

  it('still bounds the version when its file was damaged, and comes again', async () => {
    const dir = tempFolder()
    await (await open(dir)).offerCatalog(catalogOf(alice, 7))
    const path = join(dir, 'published', `${alice.id}.7.catalog`)
    const bytes = readFileSync(path)
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    writeFileSync(path, bytes)
    const lines: string[] = []
    const files = await open(dir, [alice.id], (_, message) => lines.push(message))
    expect(lines).toEqual([expect.stringContaining('7.catalog is left out')])
    expect(ids(files)).toEqual([])
    expect(await files.offerCatalog(catalogOf(alice, 6))).toMatchObject({ why: 'older' })
    expect(await files.offerCatalog(catalogOf(alice, 7))).toEqual({ kind: 'taken' })
    expect(ids(await open(dir))).toEqual(['sample-1b'])
  })

  it('is shared by processes: the newest one that any of them took counts for all', async () => {
    const dir = tempFolder()
    const [one, two] = [await open(dir), await open(dir)]
    await one.offerCatalog(catalogOf(alice, 2, ['a']))
    expect(await two.offerCatalog(catalogOf(alice, 1, ['old']))).toMatchObject({ why: 'older' })
    await two.offerCatalog(catalogOf(alice, 3, ['b']))
    await one.refresh()
    expect([one, two].map(ids)).toEqual([['b'], ['b']])
  })

  it('is forgotten with the trust in its publisher, and known again with it', async () => {
    const files = await open(tempFolder())
    await files.offerCatalog(catalogOf(alice, 2))
    await files.trust([])
    expect(ids(files)).toEqual([])
    await files.trust([alice.id])
    expect(ids(files)).toEqual(['sample-1b'])
    expect(await files.offerCatalog(catalogOf(alice, 1))).toMatchObject({ why: 'older' })
  })

  it('counts up when it is published: each version has what was in it, and what was added', async () => {
    const dir = tempFolder()
    const add = async (id: string) =>
      (await open(dir)).publish(alice, (models) => [...models, manifestBy(alice, { id })])
    expect(await add('a')).toMatchObject({ version: 1, publisher: alice.id })
    expect((await add('b')).models.map(({ id }) => id)).toEqual(['a', 'b'])
    const local = manifestBy(alice, { id: 'c', sources: [{ kind: 'https', url: 'http://127.0.0.1:1/c' }] })
    const third = await (await open(dir)).publish(alice, (models) => [...models, local])
    expect(third).toMatchObject({ version: 3, models: [{ id: 'a' }, { id: 'b' }] })
    // A newer one of one's own key, from another machine or before data were lost, is what the next one follows.
    const files = await open(dir)
    await files.offerCatalog(catalogOf(alice, 9, ['z']))
    expect(await add('y')).toMatchObject({ version: 10, models: [{ id: 'z' }, { id: 'y' }] })
  })

  it('that was changed on the disk is left out, with a line in the log', async () => {
    const dir = tempFolder()
    const files = await open(dir)
    await files.offer(signManifest(plain(), alice), 'network')
    await files.offer(plain({ id: 'own' }), 'own')
    const [name = ''] = readdirSync(join(dir, 'network'))
    const path = join(dir, 'network', name)
    writeFileSync(path, readFileSync(path, 'utf8').replace('Sample 1B', 'Sample 2B'))
    const lines: string[] = []
    const again = await open(dir, [alice.id], (_, message) => lines.push(message))
    expect(again.catalog.list().map(({ manifest }) => manifest.id)).toEqual(['own'])
    expect(lines).toEqual([expect.stringContaining('signature')])
  })

  it('of a publisher who is trusted no more is no line in the log at every start', async () => {
    const dir = tempFolder()
    const files = await open(dir, [alice.id])
    expect(await files.offer(manifestBy(alice, { id: 'theirs' }), 'network')).toEqual({ kind: 'added' })
    const lines: string[] = []
    const again = await open(dir, [], (_, message) => lines.push(message))
    expect([again.catalog.list(), lines]).toEqual([[], []])
    expect((await open(dir, [alice.id])).catalog.resolve('theirs')).toBeDefined()
  })

  it('stays known when the owner says the same', async () => {
    const dir = tempFolder()
    const files = await open(dir)
    const theirs = manifestBy(alice, { id: 'theirs' })
    await files.offer(theirs, 'network')
    expect(await files.offer(theirs, 'own')).toEqual({ kind: 'known' })
    await files.refresh()
    expect(files.catalog.resolve('theirs')).toMatchObject({ origin: 'own' })
    expect((await open(dir, [])).catalog.resolve('theirs')).toBeDefined()
  })

  it('what the owner said is theirs to forget', async () => {
    const dir = tempFolder()
    const files = await open(dir)
    await files.offer(plain({ version: 9 }), 'own')
    await files.offer(plain({ version: 1 }), 'own')
    expect((await open(dir)).catalog.resolve('sample-1b')?.manifest.version).toBe(1)
    await files.forget('sample-1b')
    expect((await open(dir)).catalog.list()).toEqual([])
  })
})
