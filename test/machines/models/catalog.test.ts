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
    catalog.forget('sample-1b')
    expect(winner()).toBe('Alice')
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
