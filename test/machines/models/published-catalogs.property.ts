import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PublishedCatalogs } from '../../../machines/models/published-catalogs.ts'
import { decodeCatalog, encodeCatalog } from '../../../protocol/models/index.ts'
import { atLeast } from '../../support/property-runs.ts'
import { catalogOf, newSigner } from '../../protocol/models/samples.ts'

const signers = [1, 2, 3].map((seed) => newSigner(Buffer.alloc(32, seed)))
const trusted = new Set(signers.slice(0, 2).map(({ id }) => id))

it('refuses a catalog of which any bit was flipped, and keeps what it has', () => {
  const [alice] = signers
  if (!alice) throw new Error('there is a signer')
  const bytes = encodeCatalog(catalogOf(alice, 2, ['a', 'b']))
  const catalogs = new PublishedCatalogs()
  catalogs.offer(catalogOf(alice, 1), true)
  const before = catalogs.list()
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      let code: string | undefined
      try {
        const change = catalogs.offer(decodeCatalog(flipped), true)
        code = change.kind === 'refused' ? change.code : undefined
      } catch (error) {
        code = (error as { code?: string }).code
      }
      expect(code).toBe('QM_MANIFEST_INVALID')
      expect(catalogs.list()).toEqual(before)
    }),
    { numRuns: atLeast(400) },
  )
  expect(catalogs.offer(decodeCatalog(bytes), true)).toEqual({ kind: 'taken' })
})

it('ends with the highest version of each trusted publisher, in whatever order they come, and never goes back', () => {
  const documents = signers.flatMap((signer) => [1, 2, 3, 4].map((version) => catalogOf(signer, version)))
  fc.assert(
    fc.property(fc.array(fc.nat(documents.length - 1), { maxLength: 40 }), (indexes) => {
      const catalogs = new PublishedCatalogs()
      const newest = new Map<string, number>()
      for (const index of indexes) {
        const document = documents[index]
        if (!document) continue
        const { publisher, version } = document
        const change = catalogs.offer(document, trusted.has(publisher))
        const before = newest.get(publisher) ?? 0
        if (!trusted.has(publisher)) expect(change).toMatchObject({ why: 'untrusted' })
        else if (version < before) expect(change).toMatchObject({ why: 'older' })
        else newest.set(publisher, version)
        expect(new Map(catalogs.list().map((held) => [held.publisher, held.version]))).toEqual(newest)
      }
    }),
    { numRuns: 50 },
  )
})
