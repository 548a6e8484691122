import { describe, expect, it } from 'vitest'
import { ModelCatalog } from '../../../machines/models/catalog.ts'
import { signManifest, type ModelManifest } from '../../../protocol/models/index.ts'
import { newSigner, sampleManifest } from '../../protocol/models/samples.ts'

const alice = newSigner(Buffer.alloc(32, 1))
const bob = newSigner(Buffer.alloc(32, 2))
const plain = (changes: Partial<ModelManifest> = {}): ModelManifest =>
  sampleManifest({ sources: [{ kind: 'peers' }], ...changes })

describe('a catalog', () => {
  it('takes the newest version of a publisher, and refuses an older one', () => {
    const catalog = new ModelCatalog([alice.id])
    expect(catalog.offer(signManifest(plain({ version: 2 }), alice), 'network')).toEqual({ kind: 'added' })
    expect(catalog.offer(signManifest(plain({ version: 3 }), alice), 'network')).toEqual({ kind: 'replaced' })
    expect(catalog.offer(signManifest(plain({ version: 3 }), alice), 'network')).toEqual({ kind: 'known' })
    expect(catalog.offer(signManifest(plain({ version: 2 }), alice), 'network')).toMatchObject({
      code: 'QM_MANIFEST_INVALID',
      reason: expect.stringContaining('older') as string,
    })
    expect(catalog.resolve('sample-1b')?.manifest.version).toBe(3)
  })

  it('lets nobody take over a name with a higher version', () => {
    const catalog = new ModelCatalog([alice.id, bob.id])
    catalog.offer(signManifest(plain({ version: 1 }), alice), 'network')
    catalog.offer(signManifest(plain({ version: 0xffff_ffff, name: 'Stolen' }), bob), 'network')
    expect(catalog.resolve('sample-1b')).toMatchObject({ manifest: { publisher: alice.id }, isTrusted: true })
    expect(catalog.list()).toHaveLength(2)
  })

  it('prefers the owner, then trusted publishers in order, then the package', () => {
    const catalog = new ModelCatalog([alice.id, bob.id])
    const winner = (): string | undefined => catalog.resolve('sample-1b')?.manifest.name
    catalog.offer(plain({ name: 'Package' }), 'built-in')
    expect(winner()).toBe('Package')
    catalog.offer(signManifest(plain({ name: 'Bob' }), bob), 'network')
    expect(winner()).toBe('Bob')
    catalog.offer(signManifest(plain({ name: 'Alice' }), alice), 'network')
    expect(winner()).toBe('Alice')
    catalog.offer(plain({ name: 'Owner' }), 'own')
    expect(winner()).toBe('Owner')
    const names = (name: string): string[] => catalog.about(name).map(({ manifest }) => manifest.name)
    expect(names('sample-1b')).toEqual(['Owner', 'Alice', 'Bob', 'Package'])
    expect(names(plain().artifact.sha256 ?? '')).toEqual(names('sample-1b'))
    expect(names('sample-1')).toEqual([])
    catalog.forget('sample-1b')
    expect(winner()).toBe('Alice')
  })

  it("prefers among files of one name the owner's, then by trust, and a stranger's version counts for nothing", () => {
    const catalog = new ModelCatalog([alice.id, bob.id])
    const file = (letter: string, manifest: ModelManifest, usedAtMs = 0) => {
      const hash = letter.repeat(64)
      return { hash, usedAtMs, manifest: { ...manifest, artifact: { ...manifest.artifact, sha256: hash } } }
    }
    const ofPackage = plain({ artifact: { bytes: null, sha256: null, core: null } })
    catalog.offer(ofPackage, 'built-in')
    const stranger = file('0', plain({ version: 99 }))
    const pulled = { hash: '1'.repeat(64), usedAtMs: 0, manifest: ofPackage }
    const bobs = file('2', signManifest(plain({ version: 50 }), bob))
    const alices = [1, 2].map((version) => file(`${version + 2}`, signManifest(plain({ version }), alice)))
    const own = [file('5', plain(), 2), file('6', plain({ version: 7 }), 1)]
    catalog.offer(own[0]?.manifest ?? ofPackage, 'own')
    const files = [stranger, pulled, bobs, ...alices, ...own]
    const order: string[] = []
    while (files.length > 0) {
      const best = catalog.prefer(files)
      if (!best) break
      order.push(best.hash.charAt(0))
      files.splice(files.indexOf(best), 1)
    }
    expect(order).toEqual(['5', '4', '3', '2', '1', '6', '0'])
  })

  it('refuses of strangers what is forged, unsigned, of nobody trusted, or would read this machine', () => {
    const catalog = new ModelCatalog([alice.id])
    const signed = signManifest(plain(), alice)
    const offer = (manifest: ModelManifest) => catalog.offer(manifest, 'network')
    expect(offer({ ...signed, name: 'Other' })).toMatchObject({ code: 'QM_MANIFEST_INVALID' })
    expect(offer(plain())).toMatchObject({ code: 'QM_MODEL_UNTRUSTED' })
    expect(offer(signManifest(plain(), bob))).toMatchObject({ code: 'QM_MODEL_UNTRUSTED' })
    for (const source of [
      { kind: 'file', path: '/etc/passwd' },
      { kind: 'https', url: 'http://localhost:9200/_cat' },
    ] as const)
      expect(offer(signManifest(plain({ sources: [source] }), alice))).toMatchObject({
        code: 'QM_MANIFEST_INVALID',
      })
    expect(catalog.list()).toEqual([])
  })

  it('forgets what a publisher said whom nobody trusts any more', () => {
    const catalog = new ModelCatalog([alice.id, bob.id])
    catalog.offer(signManifest(plain(), alice), 'network')
    catalog.offer(signManifest(plain({ id: 'other' }), bob), 'network')
    catalog.trust([bob.id])
    expect(catalog.list().map(({ manifest }) => manifest.id)).toEqual(['other'])
  })

  it('lets the owner take back what they said', () => {
    const catalog = new ModelCatalog()
    catalog.offer(plain({ version: 5 }), 'own')
    expect(catalog.offer(plain({ version: 1, name: 'Again' }), 'own')).toEqual({ kind: 'replaced' })
    expect(catalog.resolve('sample-1b')?.manifest.name).toBe('Again')
  })
})
