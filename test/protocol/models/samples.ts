import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import sodium from 'sodium-universal'
import {
  type CatalogDocument,
  modelKinds,
  modelsNetworkId,
  signCatalog,
  signManifest,
  type ModelManifest,
  type ModelSource,
} from '../../../protocol/models/index.ts'
import { createSigner, type TrustSigner } from '../../../protocol/trust/index.ts'

/** A manifest with every optional field, unsigned. */
export const sampleManifest = (changes: Partial<ModelManifest> = {}): ModelManifest => ({
  format: 1,
  id: 'sample-1b',
  version: 3,
  name: 'Sample 1B',
  description: 'A sample — with more than ASCII.',
  kind: 'chat',
  licence: 'MIT',
  licenceUrl: 'https://example.org/licence',
  homepage: 'https://example.org/',
  tags: ['small', 'english'],
  facts: {
    architecture: 'llama',
    quantization: 'Q4_K_M',
    parameters: 1_235_814_400,
    contextTokens: 8_192,
    embeddingLength: 2_048,
    hasChatTemplate: true,
  },
  artifact: { bytes: 12_345, sha256: 'ab'.repeat(32), core: 'cd'.repeat(32) },
  sources: [
    { kind: 'peers' },
    { kind: 'hf', repo: 'owner/name', file: 'folder/sample.gguf', revision: 'main' },
    { kind: 'https', url: 'https://example.org/sample.gguf' },
    { kind: 'ipfs', cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi', path: 'sample.gguf' },
    { kind: 'file', path: 'sample.gguf' },
  ],
  publisher: null,
  signature: null,
  ...changes,
})

export function newSigner(seed: Uint8Array = randomBytes(32)): TrustSigner {
  const publicKey = Buffer.alloc(32)
  const secretKey = Buffer.alloc(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, Buffer.from(seed))
  return createSigner(modelsNetworkId, { publicKey, secretKey })
}

export const manifestBy = (signer: TrustSigner, changes: Partial<ModelManifest> = {}): ModelManifest =>
  signManifest(sampleManifest({ sources: [{ kind: 'peers' }], ...changes }), signer)

/** A catalog with models of these ids, and others. */
export const catalogOf = (
  signer: TrustSigner,
  version: number,
  ids: readonly string[] = ['sample-1b'],
  others: readonly ModelManifest[] = [],
): CatalogDocument =>
  signCatalog({ version, models: [...ids.map((id) => manifestBy(signer, { id })), ...others] }, signer)

const word = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/)
const hexOf = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString('hex'))
const shown = (max: number) =>
  fc
    .string({ maxLength: max, unit: fc.constantFrom(...Array.from('abcXYZ 0189-é€😀漢')) })
    .map((text) => text.trim())

const source: fc.Arbitrary<ModelSource> = fc.oneof(
  fc.constant({ kind: 'peers' } as const),
  fc.record({
    kind: fc.constant('hf' as const),
    repo: fc.tuple(word, word).map(([owner, name]) => `${owner}/${name}`),
    file: word,
    revision: word,
  }),
  fc.record({ kind: fc.constant('https' as const), url: word.map((path) => `https://example.org/${path}`) }),
  fc.record(
    { kind: fc.constant('ipfs' as const), cid: fc.stringMatching(/^[A-Za-z0-9]{10,40}$/), path: word },
    { requiredKeys: ['kind', 'cid'] },
  ),
  fc.record({ kind: fc.constant('file' as const), path: word.map((name) => `/models/${name}`) }),
)

/** Any manifest that is in bounds, unsigned. */
export const anyManifest: fc.Arbitrary<ModelManifest> = fc
  .record(
    {
      format: fc.constant(1 as const),
      id: word,
      version: fc.nat({ max: 0xffff_ffff }),
      name: shown(30).map((name) => name || 'a'),
      description: shown(200),
      kind: fc.constantFrom(...modelKinds),
      licence: word,
      licenceUrl: word.map((path) => `https://example.org/${path}`),
      homepage: word.map((path) => `https://example.org/${path}`),
      tags: fc.array(word, { maxLength: 16 }),
      facts: fc.record({
        architecture: word,
        quantization: word,
        parameters: fc.option(fc.nat(), { nil: null }),
        contextTokens: fc.option(fc.integer({ min: 1, max: 16_777_216 }), { nil: null }),
        embeddingLength: fc.option(fc.integer({ min: 1, max: 1_048_576 }), { nil: null }),
        hasChatTemplate: fc.option(fc.boolean(), { nil: null }),
      }),
      artifact: fc.record({
        bytes: fc.option(fc.integer({ min: 1, max: 2 ** 44 }), { nil: null }),
        sha256: fc.option(hexOf(32), { nil: null }),
        core: fc.option(hexOf(32), { nil: null }),
      }),
      sources: fc.array(source, { minLength: 1, maxLength: 16 }),
      publisher: fc.constant(null),
      signature: fc.constant(null),
    },
    {
      requiredKeys: [
        'format',
        'id',
        'version',
        'name',
        'description',
        'kind',
        'licence',
        'tags',
        'facts',
        'artifact',
        'sources',
        'publisher',
        'signature',
      ],
    },
  )
  .map((manifest) => manifest as ModelManifest)
