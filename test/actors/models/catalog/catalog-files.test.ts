import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CatalogFiles } from '../../../../actors/models/catalog/catalog-files.ts'
import {
  parseManifest,
  signCatalog,
  signManifest,
  type ModelManifest,
} from '../../../../protocol/models/index.ts'
import { newSigner, sampleManifest } from '../../../protocol/models/samples.ts'
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

  it('is kept when a trusted publisher signed it, and there after a start', async () => {
    const dir = tempFolder()
    const models = [
      signManifest(plain(), alice),
      signManifest(plain({ id: 'of-bob' }), bob),
      plain({ id: 'of-nobody' }),
    ]
    const document = signCatalog({ version: 7, name: 'Samples', models }, alice)
    const changes = await (await open(dir)).offerCatalog(document)
    expect(changes.map(({ kind }) => kind)).toEqual(['added', 'refused', 'refused'])
    const again = await open(dir)
    expect(again.catalog.list().map(({ manifest }) => manifest.id)).toEqual(['sample-1b'])
    expect((await again.offerCatalog(document)).map(({ kind }) => kind)).toEqual([
      'known',
      'refused',
      'refused',
    ])
  })

  it('is refused as a whole when it is older than what was seen, forged, or of a stranger', async () => {
    const dir = tempFolder()
    const version = (number: number, signer = alice) =>
      signCatalog(
        { version: number, name: '', models: [signManifest(plain({ version: number }), signer)] },
        signer,
      )
    await (await open(dir)).offerCatalog(version(7))
    const files = await open(dir)
    await expect(files.offerCatalog(version(6))).rejects.toMatchObject({ code: 'QM_MANIFEST_INVALID' })
    await expect(files.offerCatalog({ ...version(8), version: 9 })).rejects.toMatchObject({
      code: 'QM_MANIFEST_INVALID',
    })
    await expect(files.offerCatalog({ ...version(8), models: [] })).rejects.toMatchObject({
      code: 'QM_MANIFEST_INVALID',
    })
    await expect(files.offerCatalog(version(8, bob))).rejects.toMatchObject({ code: 'QM_MODEL_UNTRUSTED' })
    await files.offerCatalog(version(8))
    expect(files.catalog.resolve('sample-1b')?.manifest.version).toBe(8)
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
