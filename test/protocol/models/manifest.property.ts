import fc from 'fast-check'
import { expect, it } from 'vitest'
import { QMeshError } from '../../../protocol/index.ts'
import {
  decodeCatalog,
  decodeManifest,
  encodeCatalog,
  encodeManifest,
  isCatalogSigned,
  isManifestSigned,
  parseManifest,
  signCatalog,
  signManifest,
  toManifestHash,
} from '../../../protocol/models/index.ts'
import { atLeast } from '../../support/property-runs.ts'
import { anyManifest, newSigner, sampleManifest } from './samples.ts'

const signer = newSigner(Buffer.alloc(32, 7))

it('a manifest survives its encoding and JSON, and each has one encoding', () => {
  fc.assert(
    fc.property(anyManifest, (manifest) => {
      const bytes = encodeManifest(manifest)
      expect(decodeManifest(bytes)).toEqual(manifest)
      expect(encodeManifest(decodeManifest(bytes))).toEqual(bytes)
      expect(parseManifest(JSON.parse(JSON.stringify(manifest)), 'here')).toEqual(manifest)
    }),
  )
})

it('two manifests that differ have different encodings', () => {
  fc.assert(
    fc.property(anyManifest, anyManifest, (a, b) => {
      fc.pre(JSON.stringify(a) !== JSON.stringify(b))
      expect(encodeManifest(a).equals(encodeManifest(b)) && toManifestHash(a) === toManifestHash(b)).toBe(
        false,
      )
    }),
  )
})

it('any bit flipped in a signed manifest is found out', () => {
  const bytes = encodeManifest(signManifest(sampleManifest(), signer))
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isRefused(() => isManifestSigned(decodeManifest(flipped)))).toBe(true)
    }),
    { numRuns: atLeast(400) },
  )
})

it('any bit flipped in a signed catalog is found out', () => {
  const models = [signManifest(sampleManifest(), signer), sampleManifest({ id: 'other' })]
  const bytes = encodeCatalog(signCatalog({ version: 1, models }, signer))
  expect(isCatalogSigned(decodeCatalog(bytes))).toBe(true)
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isRefused(() => isCatalogSigned(decodeCatalog(flipped)))).toBe(true)
    }),
    { numRuns: atLeast(400) },
  )
})

it('any bytes at all end in a manifest or in a code', () => {
  const sound = encodeManifest(sampleManifest())
  fc.assert(
    fc.property(fc.nat(sound.length), fc.uint8Array({ maxLength: 200 }), (kept, tail) => {
      expect(
        isRefused(() => decodeManifest(Buffer.concat([sound.subarray(0, kept), tail])) === null),
      ).toBeTypeOf('boolean')
    }),
  )
})

/** True when it says no or throws the code for it; any other error goes on. */
function isRefused(check: () => boolean): boolean {
  try {
    return !check()
  } catch (error) {
    if (error instanceof QMeshError && error.code === 'QM_MANIFEST_INVALID') return true
    throw error
  }
}
