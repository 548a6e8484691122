import { describe, expect, it } from 'vitest'
import { ModelCatalog } from '../../../machines/models/catalog.ts'
import { PublishedCatalogs } from '../../../machines/models/published-catalogs.ts'
import { decodeCatalog, encodeCatalog, modelLimits } from '../../../protocol/models/index.ts'
import { catalogOf, manifestBy, newSigner, sampleManifest } from '../../protocol/models/samples.ts'

const alice = newSigner(Buffer.alloc(32, 1))
const bob = newSigner(Buffer.alloc(32, 2))

/** What holds version 3 of the catalog of somebody trusted. */
function createHolder() {
  const catalogs = new PublishedCatalogs()
  expect(catalogs.offer(catalogOf(alice, 3), true)).toEqual({ kind: 'taken' })
  return catalogs
}

describe('the catalog of a publisher', () => {
  it('is taken once, and then its newer versions', () => {
    const catalogs = createHolder()
    expect(catalogs.offer(catalogOf(alice, 3), true)).toEqual({ kind: 'known' })
    expect(catalogs.offer(catalogOf(alice, 4), true)).toEqual({ kind: 'taken' })
    expect(catalogs.list()).toMatchObject([{ publisher: alice.id, version: 4 }])
  })

  it.each([
    ['is older', catalogOf(alice, 2), 'older', 'QM_MANIFEST_INVALID', 'version 3 was seen before'],
    [
      'is another one of the same version',
      catalogOf(alice, 3, ['other']),
      'twofold',
      'QM_MANIFEST_INVALID',
      'the first one stays',
    ],
    [
      'was given another version by somebody',
      { ...catalogOf(alice, 4), version: 5 },
      'forged',
      'QM_MANIFEST_INVALID',
      'signature',
    ],
    [
      'is signed by nobody',
      { ...catalogOf(alice, 4), signature: '0'.repeat(128) },
      'forged',
      'QM_MANIFEST_INVALID',
      'signature',
    ],
    [
      'is signed by somebody else',
      { ...catalogOf(bob, 4), publisher: alice.id },
      'forged',
      'QM_MANIFEST_INVALID',
      'signature',
    ],
    [
      'names no key at all',
      { ...catalogOf(alice, 4), publisher: 'ff'.repeat(32) },
      'forged',
      'QM_MANIFEST_INVALID',
      'signature',
    ],
    [
      'names one model twice',
      catalogOf(alice, 4, ['a', 'a']),
      'forged',
      'QM_MANIFEST_INVALID',
      'names one model twice',
    ],
    [
      'has a model of another publisher',
      catalogOf(alice, 4, [], [manifestBy(bob)]),
      'forged',
      'QM_MANIFEST_INVALID',
      'is of another publisher',
    ],
    [
      'has a model that was changed',
      catalogOf(alice, 4, [], [{ ...manifestBy(alice), description: 'better' }]),
      'forged',
      'QM_MANIFEST_INVALID',
      'signature that does not fit',
    ],
    [
      'has a model that nobody signed',
      catalogOf(alice, 4, [], [sampleManifest({ sources: [{ kind: 'peers' }] })]),
      'forged',
      'QM_MANIFEST_INVALID',
      'is of another publisher',
    ],
    [
      'has a model that names a file of this machine',
      catalogOf(alice, 4, [], [manifestBy(alice, { sources: [{ kind: 'file', path: '/etc/hosts' }] })]),
      'forged',
      'QM_MANIFEST_INVALID',
      'a file or a server of this machine',
    ],
  ])('that %s is refused, and the one before stays', (_, document, why, code, reason) => {
    const catalogs = createHolder()
    expect(catalogs.offer(document, true)).toEqual({
      kind: 'refused',
      why,
      code,
      reason: expect.stringContaining(reason),
    })
    expect(catalogs.of(alice.id)?.version).toBe(3)
  })

  it('that is of nobody who is trusted is refused', () => {
    expect(new PublishedCatalogs().offer(catalogOf(bob, 1), false)).toMatchObject({
      why: 'untrusted',
      code: 'QM_MODEL_UNTRUSTED',
      reason: expect.stringContaining(bob.id),
    })
  })

  it('that is too large, has too many models, or is of a format of tomorrow is refused', () => {
    const bytes = encodeCatalog(catalogOf(alice, 1))
    const tomorrow = Buffer.from(bytes)
    tomorrow[0] = 2
    const long = 'x'.repeat(modelLimits.urlBytesMax - 100)
    const sources = Array.from({ length: 7 }, (_, n) => ({
      kind: 'https' as const,
      url: `https://example.org/${n}${long}`,
    }))
    const heavy = Array.from({ length: 40 }, (_, n) => manifestBy(alice, { id: `heavy-${n}`, sources }))
    const many = Array.from({ length: modelLimits.catalogModelsMax + 1 }, () => manifestBy(alice))
    for (const wrong of [
      () => decodeCatalog(tomorrow),
      () => decodeCatalog(Buffer.alloc(modelLimits.catalogBytesMax + 1)),
      () => encodeCatalog(catalogOf(alice, 1, [], heavy)),
      () => catalogOf(alice, 1, [], many),
    ])
      expect(wrong).toThrow(/bytes|format 2|entries/)
  })

  it('whose content was lost is taken again, and nothing older', () => {
    const catalogs = new PublishedCatalogs()
    catalogs.lost(alice.id, 3)
    expect(catalogs.offer(catalogOf(alice, 2), true)).toMatchObject({ why: 'older' })
    expect(catalogs.offer(catalogOf(alice, 3), true)).toEqual({ kind: 'taken' })
  })
})

describe('what a catalog says', () => {
  const ids = (catalog: ModelCatalog): string[] => catalog.list().map(({ manifest }) => manifest.id)

  it('is all that its publisher publishes: what is not in it any more is gone, and stays so', () => {
    const catalog = new ModelCatalog([alice.id])
    const early = manifestBy(alice, { id: 'early' })
    expect(catalog.offer(early, 'network')).toEqual({ kind: 'added' })
    catalog.offerCatalog(catalogOf(alice, 1, ['a', 'b']))
    expect(ids(catalog)).toEqual(['a', 'b'])
    catalog.offerCatalog(catalogOf(alice, 2, ['b', 'c']))
    expect(ids(catalog)).toEqual(['b', 'c'])
    for (const withdrawn of [early, manifestBy(alice, { id: 'a', version: 9 })])
      expect(catalog.offer(withdrawn, 'network')).toMatchObject({
        code: 'QM_MANIFEST_INVALID',
        reason: expect.stringContaining('not in the newest catalog'),
      })
    expect(catalog.offer(manifestBy(alice, { id: 'b' }), 'network')).toEqual({ kind: 'known' })
    const [b] = catalog.list()
    expect(b && catalog.catalogOf(b.manifest)).toMatchObject({ publisher: alice.id, version: 2 })
  })

  it("takes nothing from the owner's own word, and counts no more when its publisher is not trusted", () => {
    const catalog = new ModelCatalog([alice.id])
    catalog.offer(sampleManifest({ id: 'a', name: 'Mine' }), 'own')
    catalog.offerCatalog(catalogOf(alice, 5, ['a']))
    expect(catalog.resolve('a')?.manifest.name).toBe('Mine')
    catalog.trust([bob.id])
    expect(catalog.offerCatalog(catalogOf(alice, 6))).toMatchObject({ why: 'untrusted' })
    expect(ids(catalog)).toEqual(['a'])
    expect(catalog.published.list()).toEqual([])
  })
})
