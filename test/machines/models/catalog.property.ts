import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ModelCatalog } from '../../../machines/models/catalog.ts'
import { signManifest } from '../../../protocol/models/index.ts'
import { newSigner, sampleManifest } from '../../protocol/models/samples.ts'

const signers = [1, 2, 3].map((seed) => newSigner(Buffer.alloc(32, seed)))
const trusted = signers.slice(0, 2).map(({ id }) => id)

/** Signing takes time, and few different manifests say it all. */
const manifests = signers.flatMap((signer) =>
  ['a', 'b'].flatMap((id) =>
    [1, 2, 3].flatMap((version) =>
      ['One', 'Two'].map((name) =>
        signManifest(sampleManifest({ id, version, name, sources: [{ kind: 'peers' }] }), signer),
      ),
    ),
  ),
)

const catalogOf = (indexes: readonly number[]): ModelCatalog => {
  const catalog = new ModelCatalog(trusted)
  for (const index of indexes) {
    const manifest = manifests[index]
    if (manifest) catalog.offer(manifest, 'network')
  }
  return catalog
}

const someIndexes = fc.array(fc.nat(manifests.length - 1), { maxLength: 30 })

it('ends with the same manifests in whatever order, and however often, they come', () => {
  fc.assert(
    fc.property(someIndexes, fc.infiniteStream(fc.nat()), (indexes, random) => {
      const shuffled = indexes
        .concat(indexes)
        .map((index) => ({ index, key: random.next().value as number }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ index }) => index)
      expect(catalogOf(shuffled).list()).toEqual(catalogOf(indexes).list())
    }),
    { numRuns: 50 },
  )
})

it('never goes back, and never holds what nobody trusted signed', () => {
  fc.assert(
    fc.property(someIndexes, (indexes) => {
      const catalog = new ModelCatalog(trusted)
      const newest = new Map<string, number>()
      for (const index of indexes) {
        const manifest = manifests[index]
        if (!manifest) continue
        const { id, publisher, version } = manifest
        const change = catalog.offer(manifest, 'network')
        const key = `${publisher}/${id}`
        const before = newest.get(key) ?? -1
        if (!trusted.includes(publisher ?? '')) expect(change).toMatchObject({ code: 'QM_MODEL_UNTRUSTED' })
        else if (version < before) expect(change).toMatchObject({ code: 'QM_MANIFEST_INVALID' })
        else newest.set(key, version)
        for (const { manifest } of catalog.list())
          expect(manifest.version).toBe(newest.get(`${manifest.publisher}/${manifest.id}`))
      }
    }),
    { numRuns: 50 },
  )
})
