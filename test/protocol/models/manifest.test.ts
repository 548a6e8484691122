import { describe, expect, it } from 'vitest'
import {
  isLocalSource,
  isManifestSigned,
  modelLimits,
  modelManifestSchema,
  parseManifest,
  signManifest,
  toUnverifiedKey,
  type ModelManifest,
} from '../../../protocol/models/index.ts'
import { newSigner, sampleManifest } from './samples.ts'

const parse = (changes: object): ModelManifest =>
  parseManifest({ ...sampleManifest(), ...changes }, 'sample.json')
const facts = sampleManifest().facts
const invalid = (field: string) =>
  expect.objectContaining({
    code: 'QM_MANIFEST_INVALID',
    message: expect.stringContaining(field) as string,
  }) as Error

describe('a manifest', () => {
  it('is read as it is', () => {
    expect(parse({})).toEqual(sampleManifest())
  })

  it.each([
    ['of another format', { format: 2 }, 'format'],
    ['whose id climbs', { id: '../etc' }, 'id'],
    ['of a negative version', { version: -1 }, 'version'],
    ['of a version beyond 32 bits', { version: 2 ** 32 }, 'version'],
    ['without a name', { name: '' }, 'name'],
    ['with a name too long', { name: 'x'.repeat(modelLimits.modelNameBytesMax + 1) }, 'name'],
    ['with a name that turns the writing', { name: 'abc\u202edef' }, 'name'],
    ['with a line break in its description', { description: 'one\ntwo' }, 'description'],
    [
      'with a description too long',
      { description: 'x'.repeat(modelLimits.descriptionBytesMax + 1) },
      'description',
    ],
    ['of an unknown kind', { kind: 'sorcery' }, 'kind'],
    [
      'with one tag too many',
      { tags: Array.from({ length: modelLimits.tagsMax + 1 }, (_, i) => `t${i}`) },
      'tags',
    ],
    ['with a licence by plain http', { licenceUrl: 'http://example.org/' }, 'licenceUrl'],
    ['without a source', { sources: [] }, 'sources'],
    [
      'with one source too many',
      { sources: Array.from({ length: modelLimits.sourcesMax + 1 }, () => ({ kind: 'peers' })) },
      'sources',
    ],
    ['with half a signature', { publisher: 'ab'.repeat(32) }, 'signature'],
    ['with a hash cut short', { artifact: { bytes: 1, sha256: 'ab', core: null } }, 'artifact.sha256'],
    ['of no bytes', { artifact: { bytes: 0, sha256: null, core: null } }, 'artifact.bytes'],
    ['of too many bytes', { artifact: { bytes: 2 ** 45, sha256: null, core: null } }, 'artifact.bytes'],
    [
      'with parameters that are no number',
      { facts: { ...facts, parameters: Number.NaN } },
      'facts.parameters',
    ],
    ['with a context of nothing', { facts: { ...facts, contextTokens: 0 } }, 'facts.contextTokens'],
  ])('%s is refused, and the field named', (_, changes, field) => {
    expect(() => parse(changes)).toThrow(invalid(field))
  })

  it.each([
    { kind: 'file', path: '../../etc/passwd' },
    { kind: 'file', path: 'models\\..\\..\\secret' },
    { kind: 'file', path: '' },
    { kind: 'hf', repo: 'owner/name', file: '../other/file.gguf', revision: 'main' },
    { kind: 'hf', repo: 'owner/name', file: '/etc/passwd', revision: 'main' },
    { kind: 'hf', repo: 'owner/name', file: 'a//b', revision: 'main' },
    { kind: 'hf', repo: 'owner/../name', file: 'a', revision: 'main' },
    { kind: 'hf', repo: 'owner/name', file: 'a', revision: '../main' },
    { kind: 'hf', repo: 'owner/name', file: 'a?token=b', revision: 'main' },
    { kind: 'ipfs', cid: '../../../etc', path: 'a' },
    { kind: 'ipfs', cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3', path: '..' },
    { kind: 'https', url: 'http://example.org/a' },
    { kind: 'https', url: 'https://user:password@example.org/a' },
    { kind: 'https', url: 'ftp://example.org/a' },
    { kind: 'https', url: 'https://' },
    { kind: 'torrent', url: 'https://example.org/' },
  ])('a source that could lead elsewhere is refused: %j', (source) => {
    expect(() => parse({ sources: [source] })).toThrow(invalid('sources.0'))
  })

  it('keeps what a later version adds out of what it signs', () => {
    expect(parse({ later: true })).toEqual(sampleManifest())
  })

  it('may be fetched from this very machine without encryption, and says so', () => {
    const { sources } = parse({ sources: [{ kind: 'https', url: 'http://127.0.0.1:8080/a.gguf' }] })
    expect(sources.map(isLocalSource)).toEqual([true])
    expect(sampleManifest().sources.map(isLocalSource)).toEqual([false, false, false, false, true])
  })
})

describe('a signature', () => {
  const signer = newSigner()

  it('holds for what was signed, by whom it was signed', () => {
    const signed = signManifest(sampleManifest(), signer)
    expect(signed.publisher).toBe(signer.id)
    expect(isManifestSigned(signed)).toBe(true)
    expect(modelManifestSchema.parse(JSON.parse(JSON.stringify(signed)))).toEqual(signed)
  })

  it.each<[string, Partial<ModelManifest>]>([
    ['another version', { version: 4 }],
    ['another hash', { artifact: { bytes: 12_345, sha256: 'ee'.repeat(32), core: null } }],
    ['other sources', { sources: [{ kind: 'peers' }] }],
    ['another publisher', { publisher: newSigner().id }],
    ['no publisher', { publisher: null, signature: null }],
  ])('does not hold for %s', (_, changes) => {
    expect(isManifestSigned({ ...signManifest(sampleManifest(), signer), ...changes })).toBe(false)
  })

  it('of one thing does not fit another', () => {
    const signed = signManifest(sampleManifest(), signer)
    const other = signer.sign('catalog', Buffer.from('whatever'))
    expect(isManifestSigned({ ...signed, signature: other })).toBe(false)
  })
})

it('an unverified model is known by its id and sources alone', () => {
  const key = toUnverifiedKey(sampleManifest())
  expect(key).toMatch(/^unverified-[0-9a-f]{64}$/)
  expect(toUnverifiedKey(sampleManifest({ version: 9, name: 'Other' }))).toBe(key)
  expect(toUnverifiedKey(sampleManifest({ id: 'other' }))).not.toBe(key)
  expect(toUnverifiedKey(sampleManifest({ sources: [{ kind: 'peers' }] }))).not.toBe(key)
})
