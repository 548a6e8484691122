import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eraEpochs, toEra, toWitnesses, witnessCount } from '../../../machines/trust/witnesses.ts'
import { accountOf } from './receipt-rig.ts'

const people = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, index) => accountOf(from + index))
const accounts = fc.nat(1_000_000).map((n) => accountOf(1_000_000 + n))
const groups = fc.uniqueArray(fc.nat(100_000).map(accountOf), { maxLength: 60 })
const eras = fc.nat(0xffff_ffff)

describe('the witnesses of an account', () => {
  it('are the same whatever the order and repetition of the candidates', () => {
    fc.assert(
      fc.property(accounts, eras, groups, fc.infiniteStream(fc.nat()), (accountId, era, candidates, keys) => {
        const shuffled = [...candidates, ...candidates.slice(0, 3)]
          .map((candidate) => ({ candidate, key: keys.next().value ?? 0 }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ candidate }) => candidate)
        const witnesses = toWitnesses({ accountId, era, candidates })
        expect(toWitnesses({ accountId, era, candidates: shuffled })).toEqual(witnesses)
        expect(witnesses).toHaveLength(Math.min(witnessCount, candidates.length))
        expect(new Set(witnesses).size).toBe(witnesses.length)
        expect(candidates).toEqual(expect.arrayContaining(witnesses))
      }),
    )
  })

  it('are never banned, and a ban gives only its place to the next', () => {
    fc.assert(
      fc.property(accounts, eras, groups, fc.nat(), (accountId, era, candidates, which) => {
        const all = toWitnesses({ accountId, era, candidates, count: Infinity })
        const banned = all[which % Math.max(1, all.length)]
        const left = all.filter((candidate) => candidate !== banned)
        const isBanned = (candidate: string): boolean => candidate === banned
        expect(toWitnesses({ accountId, era, candidates, isBanned })).toEqual(left.slice(0, witnessCount))
        expect(toWitnesses({ accountId, era, candidates: left })).toEqual(left.slice(0, witnessCount))
      }),
    )
  })

  it('are not the account itself', () => {
    const candidates = people(20)
    for (const accountId of candidates)
      expect(toWitnesses({ accountId, era: 1, candidates, count: Infinity })).toHaveLength(19)
  })

  it('are others for another account and in another era', () => {
    const candidates = people(200)
    const [accountId, other] = people(2, 5_000)
    const here = toWitnesses({ accountId: accountId ?? '', era: 1, candidates })
    expect(toWitnesses({ accountId: other ?? '', era: 1, candidates })).not.toEqual(here)
    expect(toWitnesses({ accountId: accountId ?? '', era: 2, candidates })).not.toEqual(here)
  })

  it('are known by this order', () => {
    // A change of this order is a change of the protocol: nodes of two versions would ask different witnesses.
    expect(toWitnesses({ accountId: accountOf(99), era: 3, candidates: people(6) })).toMatchInlineSnapshot(`
      [
        "0000000000000000000000000000000000000000000000000000000000000006",
        "0000000000000000000000000000000000000000000000000000000000000003",
        "0000000000000000000000000000000000000000000000000000000000000001",
        "0000000000000000000000000000000000000000000000000000000000000002",
        "0000000000000000000000000000000000000000000000000000000000000004",
        "0000000000000000000000000000000000000000000000000000000000000005",
      ]
    `)
  })

  it('change every six hours', () => {
    expect([toEra(0), toEra(eraEpochs - 1), toEra(eraEpochs), toEra(28_928_000)]).toEqual([0, 0, 1, 80_355])
  })
})

describe('the duty of witnesses', () => {
  /** How often each of the candidates is a witness. */
  function countDuties(
    candidates: readonly string[],
    accountCount: number,
    from: number,
    era: number,
  ): number[] {
    const counts = new Map(candidates.map((candidate) => [candidate, 0]))
    for (const accountId of people(accountCount, from))
      for (const witness of toWitnesses({ accountId, era, candidates }))
        counts.set(witness, (counts.get(witness) ?? 0) + 1)
    return [...counts.values()]
  }

  it('falls on all alike, as far as chance goes', () => {
    // Each of 64 candidates is one of 16 witnesses with p = 1/4. The sum below is then distributed as chi squared with
    // 63 degrees of freedom, which is outside of 23 to 132 once in 500,000 times. The inputs are fixed: it is or it is not.
    const [n, m] = [1_000, 64]
    const p = witnessCount / m
    const counts = countDuties(people(m), n, 10_000, 7)
    const squares = counts.reduce((sum, count) => sum + (count - n * p) ** 2, 0)
    const statistic = (squares / (n * p * (1 - p))) * ((m - 1) / m)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(n * witnessCount)
    expect(statistic).toBeGreaterThan(23)
    expect(statistic).toBeLessThan(132)
  })

  it('falls on nobody far more or less often, whoever takes part in whichever era', () => {
    // Hoeffding: of n = 200 accounts a candidate's count is off by t with probability at most 2 exp(-2 t² / n). With 32
    // candidates and 20 runs, t = 60 is passed once in 3 million times.
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(1e9), eras, (candidateSeed, accountSeed, era) => {
        const counts = countDuties(people(32, 1 + candidateSeed), 200, 2_000_000_000 + accountSeed, era)
        for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(60)
      }),
      { numRuns: 20 },
    )
  })
})
