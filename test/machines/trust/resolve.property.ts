import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ScoreStatement } from '../../../protocol/trust/index.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import {
  exchangesMax,
  resolve,
  type ResolveInput,
  type Resolution,
  signersMin,
} from '../../../machines/trust/resolve.ts'
import { accountId, epoch, says, self, witness } from './resolve-rig.ts'

const truth = [100, 4, 2, 2, 7]
const lies = fc.constantFrom(truth, [900, 4, 2, 2, 7], [0, 0, 0, 0, 0], [Number.MAX_SAFE_INTEGER, 1, 1, 1, 1])
const digests = fc.constantFrom('true', 'bogus', 'other')
const regimes = fc.constantFrom('calm', 'preStorm', 'storm')

/** What liars say: any number of statements, also several of one signer. */
const lying = fc.record({
  influence: fc.integer({ min: 1, max: ONE }),
  said: fc.array(fc.tuple(digests, lies), { maxLength: 3 }),
})

/** Takes what is known to be wrong out until something else comes up. What a caller does. */
function settle(input: ResolveInput): { readonly end: Resolution; readonly wrong: ReadonlySet<string> } {
  const wrong = new Set<string>()
  for (;;) {
    const end = resolve({ ...input, asked: input.asked.filter(({ witnessId }) => !wrong.has(witnessId)) })
    if (end.kind !== 'contradiction' || end.wrong.length === 0) return { end, wrong }
    const before = wrong.size
    for (const id of end.wrong) wrong.add(id)
    expect(wrong.size).toBeGreaterThan(before)
  }
}

const scene = (liarsMax: number) =>
  fc
    .record({
      honest: fc.array(fc.integer({ min: 1, max: ONE }), { minLength: 5, maxLength: 9 }),
      liars: fc.array(lying, { maxLength: liarsMax }),
      regime: regimes,
      exchanges: fc.nat(exchangesMax),
      keys: fc.array(fc.nat(), { minLength: 60, maxLength: 60 }),
    })
    .map(({ honest, liars, regime, exchanges, keys }) => {
      const statements: ScoreStatement[] = [
        ...honest.map((_, index) => says(1 + index, 'true', truth)),
        ...liars.flatMap(({ said }, index) =>
          said.map(([digest, values]) => says(100 + index, digest, values)),
        ),
      ]
      const input: ResolveInput = {
        accountId,
        epoch,
        asked: [
          ...honest.map((influence, index) => ({ witnessId: witness(1 + index), influence })),
          ...liars.map(({ influence }, index) => ({ witnessId: witness(100 + index), influence })),
        ],
        statements,
        regime,
        exchanges,
      }
      const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
      return {
        input,
        liarIds: new Set(liars.map((_, index) => witness(100 + index))),
        isHonestMore: sum(honest) > sum(liars.map(({ influence }) => influence)),
        shuffled: statements
          .map((statement, index) => ({ statement, key: keys[index] ?? 0 }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ statement }) => statement),
      }
    })

describe('resolving', () => {
  it('with own computation ends in the true score, and calls nobody honest a liar', () => {
    fc.assert(
      fc.property(scene(12), ({ input, liarIds }) => {
        const { end, wrong } = settle({ ...input, own: says(self, 'true', truth) })
        expect([...wrong].filter((id) => !liarIds.has(id))).toEqual([])
        if (end.kind === 'accepted' || end.kind === 'provisional') expect(end.values).toEqual(truth)
        else
          expect(
            end.kind === 'exchange' || (end.kind === 'contradiction' && end.a.inputDigest !== 'true'),
          ).toBe(true)
      }),
    )
  })

  it('with own computation finds everybody who lies about the same inputs', () => {
    fc.assert(
      fc.property(scene(12), ({ input }) => {
        const { wrong } = settle({ ...input, own: says(self, 'true', truth) })
        const liars = input.statements.filter(
          ({ inputDigest, values }) => inputDigest === 'true' && values.join() !== truth.join(),
        )
        for (const { signerId } of liars) expect(wrong).toContain(signerId)
      }),
    )
  })

  it('without it never accepts anything but the truth as long as honest witnesses weigh more', () => {
    fc.assert(
      fc.property(
        scene(12).filter(({ isHonestMore }) => isHonestMore),
        ({ input, liarIds }) => {
          const { end, wrong } = settle(input)
          expect([...wrong].filter((id) => !liarIds.has(id))).toEqual([])
          if (end.kind === 'accepted') expect(end.values).toEqual(truth)
          // Those who contradict the true ones about the same inputs are the only ones that can hold it up.
          else
            expect(
              input.statements
                .filter(({ inputDigest }) => inputDigest === 'true')
                .map(({ values }) => values.join()),
            ).toContain(
              input.statements
                .find(({ inputDigest, values }) => inputDigest === 'true' && values.join() !== truth.join())
                ?.values.join(),
            )
        },
      ),
    )
  })

  it('accepts nothing without five signers and half of the influence of those asked', () => {
    fc.assert(
      fc.property(scene(12), ({ input }) => {
        const end = resolve(input)
        if (end.kind !== 'accepted') return
        const influence = (ids: readonly string[]): number =>
          input.asked
            .filter(({ witnessId }) => ids.includes(witnessId))
            .reduce((sum, w) => sum + w.influence, 0)
        expect(new Set(end.signers).size).toBeGreaterThanOrEqual(signersMin)
        expect(2 * influence(end.signers)).toBeGreaterThanOrEqual(
          influence(input.asked.map(({ witnessId }) => witnessId)),
        )
        for (const signerId of end.signers)
          expect(input.statements).toContainEqual(expect.objectContaining({ signerId, values: end.values }))
      }),
    )
  })

  it('does not depend on who answered first', () => {
    fc.assert(
      fc.property(scene(5), ({ input, shuffled }) => {
        // Of a signer that says more than one thing, the order is part of what it says.
        const signers = input.statements.map(({ signerId }) => signerId)
        fc.pre(new Set(signers).size === signers.length)
        expect(resolve({ ...input, statements: shuffled })).toEqual(resolve(input))
      }),
    )
  })

  it('always comes to an end: with no exchange left there is a value or nobody said anything', () => {
    fc.assert(
      fc.property(scene(12), fc.boolean(), ({ input }, isSilent) => {
        const { end } = settle({ ...input, exchanges: exchangesMax, ...(isSilent ? { statements: [] } : {}) })
        expect(isSilent ? ['unknown'] : ['accepted', 'provisional']).toContain(end.kind)
      }),
    )
  })
})
