import fc from 'fast-check'
import { expect, it } from 'vitest'
import { choosePruned, type PruneCandidate } from '../../../machines/models/prune.ts'

const candidates: fc.Arbitrary<PruneCandidate[]> = fc
  .array(
    fc.record({
      bytes: fc.integer({ min: 1, max: 1_000 }),
      isPinned: fc.boolean(),
      isReference: fc.boolean(),
      usedAtMs: fc.nat(20),
    }),
    { maxLength: 20 },
  )
  .map((models) => models.map((model, index) => ({ ...model, hash: index.toString(16).padStart(64, '0') })))

const taken = (models: readonly PruneCandidate[]): number =>
  models.filter(({ isReference }) => !isReference).reduce((sum, { bytes }) => sum + bytes, 0)

it('removes the least recently used, no more than needed, and never what is pinned, kept or elsewhere', () => {
  fc.assert(
    fc.property(candidates, fc.nat(10_000), fc.array(fc.nat(19)), (models, limitBytes, kept) => {
      const keep = new Set(kept.flatMap((index) => models[index]?.hash ?? []))
      const pruned = choosePruned(models, { limitBytes, keep })
      const rest = models.filter((model) => !pruned.includes(model))
      const mayGo = (model: PruneCandidate): boolean =>
        !model.isPinned && !model.isReference && !keep.has(model.hash)
      expect(pruned.every(mayGo)).toBe(true)
      const removable = rest.filter(mayGo)
      // Either the limit is kept, or nothing that may go is left.
      expect(taken(rest) <= limitBytes || removable.length === 0).toBe(true)
      // No more than needed: with the last of them back, it would be too much.
      const last = pruned.at(-1)
      if (last) expect(taken(rest) + last.bytes).toBeGreaterThan(limitBytes)
      for (const gone of pruned)
        for (const left of removable) expect(gone.usedAtMs).toBeLessThanOrEqual(left.usedAtMs)
    }),
  )
})
