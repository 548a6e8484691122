import { describe, expect, it } from 'vitest'
import { ONE } from '../../../machines/trust/fixed.ts'
import { exchangesMax, resolve, type ResolveInput } from '../../../machines/trust/resolve.ts'
import { accountId, epoch, headOf, rig, says, self, witness } from './resolve-rig.ts'

const truth = [100, 4, 2, 2, 7]
const other = [900, 4, 2, 2, 7]
const crowd = (from: number, to: number, digest: string, values: readonly number[] = truth) =>
  Array.from({ length: to - from + 1 }, (_, index) => says(from + index, digest, values))

describe('a score that this node did not compute', () => {
  it('is accepted from five who have half of the influence of all who were asked', () => {
    expect(resolve(rig({ statements: crowd(1, 5, 'a') }))).toEqual({
      kind: 'accepted',
      inputDigest: 'a',
      values: truth,
      signers: [1, 2, 3, 4, 5].map(witness),
    })
  })

  it('is not accepted from four, whatever they weigh', () => {
    const influences = { 1: 100 * ONE, 2: 100 * ONE, 3: 100 * ONE, 4: 100 * ONE }
    expect(resolve(rig({ statements: crowd(1, 4, 'a') }, influences)).kind).toBe('provisional')
  })

  it('is not accepted from five who have less than half, because others are silent', () => {
    const influences = { 6: 2 * ONE, 7: 2 * ONE }
    expect(resolve(rig({ statements: crowd(1, 5, 'a') }, influences)).kind).toBe('provisional')
    expect(resolve(rig({ statements: crowd(1, 6, 'a') }, influences)).kind).toBe('accepted')
  })

  it('is not accepted on a tie', () => {
    const asked = Array.from({ length: 10 }, (_, index) => ({
      witnessId: witness(index + 1),
      influence: ONE,
    }))
    const statements = [...crowd(1, 5, 'b'), ...crowd(6, 10, 'a')]
    expect(resolve(rig({ asked, statements }))).toEqual({
      kind: 'exchange',
      groups: [
        { inputDigest: 'a', signers: [6, 7, 8, 9, 10].map(witness), influence: 5 * ONE },
        { inputDigest: 'b', signers: [1, 2, 3, 4, 5].map(witness), influence: 5 * ONE },
      ],
    })
  })

  it('is accepted beside others who computed from something else, whatever these say', () => {
    const statements = [...crowd(1, 6, 'a'), says(7, 'b', other), says(8, 'b', truth), says(9, 'c', other)]
    expect(resolve(rig({ statements }))).toMatchObject({ kind: 'accepted', values: truth })
  })

  it('is a contradiction where two of one group differ, and who lies is open', () => {
    const statements = [...crowd(1, 8, 'a'), says(9, 'a', other)]
    expect(resolve(rig({ statements }))).toEqual({
      kind: 'contradiction',
      a: says(1, 'a', truth),
      b: says(9, 'a', other),
      wrong: [],
    })
  })

  it('gets a stand-in where the contradiction cannot be decided: nobody stalls it by inventing inputs', () => {
    const statements = [...crowd(1, 8, 'a'), says(9, 'a', other)]
    for (const regime of ['calm', 'preStorm', 'storm'] as const)
      expect(resolve(rig({ statements, exchanges: exchangesMax, regime }))).toEqual({
        kind: 'provisional',
        values: truth,
      })
  })

  it('calls for an exchange while groups differ, the weightiest first, and then gets a stand-in', () => {
    const statements = [says(1, 'c', other), ...crowd(2, 4, 'b'), ...crowd(5, 8, 'a', [110, 4, 2, 2, 7])]
    expect(resolve(rig({ statements }))).toEqual({
      kind: 'exchange',
      groups: [
        { inputDigest: 'a', signers: [5, 6, 7, 8].map(witness), influence: 4 * ONE },
        { inputDigest: 'b', signers: [2, 3, 4].map(witness), influence: 3 * ONE },
        { inputDigest: 'c', signers: [witness(1)], influence: ONE },
      ],
    })
    const late = resolve(rig({ statements, exchanges: exchangesMax, regime: 'preStorm' }))
    // Of 100 100 100 110 110 110 110 900, two at each end are cut off.
    expect(late).toEqual({ kind: 'provisional', values: [107, 4, 2, 2, 7] })
  })

  it('is unknown where nobody says anything', () => {
    expect(resolve(rig({}))).toEqual({ kind: 'unknown' })
    expect(resolve(rig({ asked: [] }))).toEqual({ kind: 'unknown' })
  })

  it('is not what people say who were not asked, or about another account or epoch', () => {
    const statements = [
      ...Array.from({ length: 9 }, (_, index) => says(20 + index, 'a', other)),
      ...crowd(1, 9, 'a', other).map((statement) => ({ ...statement, accountId: witness(1) })),
      ...crowd(1, 9, 'a', other).map((statement) => ({ ...statement, epoch: epoch + 1 })),
    ]
    expect(resolve(rig({ statements }))).toEqual({ kind: 'unknown' })
  })

  it('counts of each witness what it said last', () => {
    const statements = [...crowd(1, 4, 'b'), ...crowd(1, 5, 'a')]
    expect(resolve(rig({ statements }))).toMatchObject({ kind: 'accepted', inputDigest: 'a' })
  })
})

describe('a score that this node computed', () => {
  const own = says(self, 'a', truth)
  const withSelf = (input: Partial<ResolveInput>, own_ = own) => {
    const base = rig({ own: own_, ...input })
    return { ...base, asked: [...base.asked, { witnessId: witness(self), influence: ONE }] }
  }

  it('is accepted as long as nobody knows anything else, also where nobody answers', () => {
    expect(resolve(withSelf({ statements: [says(1, 'a', truth)] }))).toMatchObject({
      kind: 'accepted',
      values: truth,
    })
    expect(resolve(withSelf({}))).toMatchObject({ kind: 'accepted', values: truth })
    expect(resolve({ ...withSelf({}), asked: [] })).toMatchObject({ kind: 'accepted', values: truth })
  })

  it('is accepted by half of the influence beside others, and never overruled by them', () => {
    const behind = crowd(6, 9, 'b', other)
    expect(resolve(withSelf({ statements: [...crowd(1, 5, 'a'), ...behind] })).kind).toBe('accepted')
    const most = [...crowd(1, 8, 'b', other)]
    expect(resolve(withSelf({ statements: most })).kind).toBe('exchange')
    expect(resolve(withSelf({ statements: most, exchanges: exchangesMax }))).toEqual({
      kind: 'provisional',
      values: truth,
    })
  })

  it('shows who lies about the same inputs, however many they are', () => {
    const statements = [...crowd(2, 9, 'a', other), says(1, 'a', truth)]
    expect(resolve(withSelf({ statements }))).toEqual({
      kind: 'contradiction',
      a: own,
      b: says(2, 'a', other),
      wrong: [2, 3, 4, 5, 6, 7, 8, 9].map(witness),
    })
  })
})

describe('what proves itself', () => {
  it('is one signer with two scores from the same inputs', () => {
    const statements = [...crowd(1, 8, 'a'), says(9, 'b', truth), says(9, 'b', other)]
    expect(resolve(rig({ statements }))).toEqual({
      kind: 'contradiction',
      a: says(9, 'b', truth),
      b: says(9, 'b', other),
      wrong: [witness(9)],
    })
    expect(resolve(rig({ statements: [...crowd(1, 9, 'a'), says(9, 'a', truth)] })).kind).toBe('accepted')
  })

  it('is an account with two logs of one length', () => {
    const statements = crowd(1, 9, 'a')
    const heads = [headOf(5, 'aa'), headOf(6, 'bb'), headOf(5, 'cc')]
    expect(resolve(rig({ statements, heads }))).toEqual({
      kind: 'fork',
      proof: { kind: 'fork', a: headOf(5, 'aa'), b: headOf(5, 'cc') },
    })
    expect(resolve(rig({ statements, heads: heads.slice(0, 2) })).kind).toBe('accepted')
    const another = heads.map((head) => ({ ...head, accountId: `${accountId.slice(1)}f` }))
    expect(resolve(rig({ statements, heads: another })).kind).toBe('accepted')
  })
})
