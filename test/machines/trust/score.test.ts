import { describe, expect, it } from 'vitest'
import { BanSet } from '../../../machines/trust/bans.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import { toInputDigest } from '../../../machines/trust/input-digest.ts'
import { toClientTerms, toRep, toScore } from '../../../machines/trust/score.ts'
import type { Score, ScoreOptions } from '../../../machines/trust/score.ts'
import {
  accountOf,
  bytes,
  createReceipt,
  epoch0,
  filed,
  fold,
  networkId,
  params,
  workerId,
} from './receipt-rig.ts'
import type { ReceiptSpec } from './receipt-rig.ts'

const noBans: ScoreOptions = { bans: BanSet.empty, params }
/** Lets all of a score through, so that sums can be read off it. */
const open: ScoreOptions = { bans: BanSet.empty, params: { ...params, escrowFloorQ: ONE } }
const final = epoch0 + params.finalityEpochs

/** One receipt for each spec, numbered. */
const stateOf = (specs: readonly ReceiptSpec[]) =>
  fold(specs.map((spec, n) => filed(createReceipt({ request: n, ...spec })))).state

const scoreOf = (specs: readonly ReceiptSpec[], options = open, atEpoch = final): Score =>
  toScore(stateOf(specs), atEpoch, options)

const times = (count: number, spec: (n: number) => ReceiptSpec): ReceiptSpec[] =>
  Array.from({ length: count }, (_, n) => spec(n))

describe('a score', () => {
  it('of nothing is nothing', () => {
    expect(scoreOf([])).toMatchObject({ s: 0, values: [0, 0, 0, 0, 0] })
  })

  it('is the sum of points, half of it before any audit, rounded down', () => {
    expect(scoreOf([{}, { client: 2, totalMs: 6_000 }]).s).toBe(9 + 6)
    expect(scoreOf([{}, { client: 2, totalMs: 6_000 }], noBans).s).toBe(7)
  })

  it('counts a receipt ten epochs after it was filed and not before', () => {
    expect(scoreOf([{}], open, final - 1)).toMatchObject({ s: 0, breakdown: { receipts: { pending: 1 } } })
    expect(scoreOf([{}], open, final)).toMatchObject({
      s: 9,
      breakdown: { receipts: { counted: 1, pending: 0 } },
    })
  })

  it('halves in thirty days, is nothing after 180, and says what became of the receipts', () => {
    const specs = times(4, (n) => ({ client: n }))
    const after = (days: number): Score => scoreOf(specs, open, epoch0 + days * 1_440 + 10)
    expect([0, 1, 30, 60, 180].map((days) => after(days).s)).toEqual([36, 35, 18, 9, 0])
    expect(after(180).breakdown.rawQ).toBe(36 * 1_024)
    expect(after(181).breakdown).toMatchObject({ rawQ: 0, receipts: { counted: 0, expired: 4 } })
  })

  it('rounds once for each client and day, however the receipts came in', () => {
    const specs = times(2, () => ({ ack: 'none', gratis: true, private: true }))
    const atEpoch = epoch0 + 2 * 1_440
    const decayed = Math.floor((2 * 9 * 256 * 62_576) / ONE)
    expect(scoreOf(specs, open, atEpoch).breakdown.rawQ).toBe(decayed)
    const state = stateOf(specs.slice(0, 1))
    toScore(state, atEpoch, open)
    fold([filed(createReceipt({ ...specs[1], request: 9 }))], { state })
    expect(toScore(state, atEpoch, open).breakdown.rawQ).toBe(decayed)
  })

  it('lets one client count fifty points or a tenth, whichever is more', () => {
    expect(scoreOf(times(6, () => ({}))).s).toBe(50)
    const many = times(200, (n) => ({ client: 1 + (n % 20) }))
    const { breakdown } = scoreOf([...many, ...times(200, () => ({ client: 1 }))])
    const total = 400 * 9
    expect(breakdown.funded.clientCapQ).toBe((total / 10) * ONE)
    expect(breakdown.funded.countedQ).toBe((19 * 90 + total / 10) * ONE)
  })

  it('keeps unfunded work apart, with a cap of its own where the parameters switch it on', () => {
    const specs = [
      ...times(400, (n) => ({ client: 100 + n, balanceAfter: -1 })),
      ...times(10, (n) => ({ client: n })),
    ]
    expect(scoreOf(specs).breakdown).toMatchObject({
      funded: { rawQ: 90 * ONE },
      unfunded: { rawQ: 900 * ONE, countedQ: 900 * ONE },
      unfundedCapQ: Infinity,
    })
    const capped = scoreOf(specs, { ...open, params: { ...open.params, unfundedCapOn: 1 } })
    expect(capped.breakdown.unfundedCapQ).toBe((50 + 90 / 4) * ONE)
    expect(capped.breakdown.rawQ - capped.breakdown.achievementsQ).toBe((90 + 72.5) * ONE)
  })

  it('of a worker with unfunded clients only stays bronze then, however many they are', () => {
    const specs = times(1_000, (n) => ({ client: n, balanceAfter: -1 }))
    expect(scoreOf(specs, { ...open, params: { ...open.params, unfundedCapOn: 1 } }).s).toBe(50)
  })

  it('takes the means over the receipts that count', () => {
    const { meanSpeed, meanComplexity, meanQuality, values, s, rep } = scoreOf([
      { totalMs: 900, nIn: 0 },
      { totalMs: 30_000, nIn: 60, nOut: 9 },
    ])
    expect([meanSpeed, meanComplexity, meanQuality]).toEqual([2.5 * ONE, 0.5 * ONE, 1.5 * ONE])
    expect(values).toEqual([s, meanSpeed, meanComplexity, meanQuality, rep])
  })

  it('is judged by audits: twelve let all of it through, a conviction takes it back to the floor', () => {
    const at = (passes: number, convictions = 0): Score =>
      scoreOf([{}, { client: 2 }], { ...noBans, audits: { passes, convictions } })
    expect([0, 3, 6, 12, 500].map((passes) => at(passes).s)).toEqual([9, 9, 11, 18, 18])
    expect(at(12).rep).toBe(ONE / 2)
    expect(at(12, 1).s).toBe(9)
    expect(toRep({ passes: 10_000, convictions: 0 }, params)).toBe(
      toRep({ passes: 500, convictions: 0 }, params),
    )
  })

  it('is nothing while the log is ahead of the time, as of one that claims work of next year', () => {
    const specs = [{}, { epoch: epoch0 + 71 }]
    expect(scoreOf(specs, open, epoch0 + 10)).toMatchObject({ s: 0, breakdown: { isAhead: true } })
    expect(scoreOf(specs, open, epoch0 + 11)).toMatchObject({ s: 9, breakdown: { isAhead: false } })
    expect(toClientTerms(stateOf(specs), epoch0 + 10, open)).toEqual([])
  })
})

describe('bans', () => {
  const day = epoch0 / 1_440
  const specs = [0, 1, 2].flatMap((days) =>
    [1, 2].map((client) => ({ client, epoch: epoch0 + days * 1_440, request: 10 * days + client })),
  )
  const atEpoch = epoch0 + 3 * 1_440
  const withBan = (account: string, fromDay: number): Score =>
    scoreOf(specs, { ...open, bans: BanSet.of([{ accountId: account, fromDay }]) }, atEpoch)

  it('void the receipts of a client from the day on, and only those', () => {
    expect(withBan(accountOf(1), day + 1).values).toEqual(
      scoreOf(
        specs.filter(({ client, epoch }) => client !== 1 || epoch === epoch0),
        open,
        atEpoch,
      ).values,
    )
    expect(withBan(accountOf(1), day + 1).breakdown.receipts).toEqual({
      counted: 4,
      void: 2,
      pending: 0,
      expired: 0,
    })
  })

  it('void everything that a worker did from the day on', () => {
    expect(withBan(workerId, day + 2).breakdown.receipts).toMatchObject({ counted: 4, void: 2 })
    expect(withBan(workerId, 0).s).toBe(0)
  })

  it('of strangers change nothing', () => {
    expect(withBan(accountOf(77), 0)).toEqual(scoreOf(specs, open, atEpoch))
  })

  it('are noticed by a state that was scored before, whichever come and go', () => {
    const state = stateOf(specs)
    const sets = [
      BanSet.empty,
      BanSet.of([{ accountId: accountOf(1), fromDay: day }]),
      BanSet.of([{ accountId: accountOf(77), fromDay: day }]),
      BanSet.of([{ accountId: workerId, fromDay: day + 1 }]),
    ]
    for (const bans of [...sets, ...sets.toReversed()])
      expect(toScore(state, atEpoch, { ...open, bans })).toEqual(scoreOf(specs, { ...open, bans }, atEpoch))
  })
})

describe('a state that went on', () => {
  it('is still judged exactly an hour back: nothing counts that was not final then', () => {
    const specs = [{}, { client: 2, epoch: epoch0 + 1 }, { client: 3, epoch: epoch0 + 70 }]
    const { receipts } = scoreOf(specs, open, epoch0 + 10).breakdown
    expect(receipts).toEqual({ counted: 1, void: 0, pending: 2, expired: 0 })
  })

  it('still has the points of the oldest day for those whose day is not over yet', () => {
    const midnight = epoch0 + 181 * 1_440
    const specs = [{}, { client: 2, epoch: midnight - 1 }, { client: 3, epoch: midnight }]
    expect(scoreOf(specs, open, midnight - 1).breakdown.rawQ).toBe(9 * 1_024)
  })

  it('knows a client banned before its first receipt, whatever it was asked meanwhile', () => {
    const state = stateOf([{}])
    const bans = BanSet.of([{ accountId: accountOf(2), fromDay: 0 }])
    expect(toScore(state, final, open).s).toBe(9)
    expect(toScore(state, final, { ...open, bans }).s).toBe(9)
    fold([filed(createReceipt({ request: 9, client: 2, epoch: epoch0 + 1 }))], { state })
    expect(toScore(state, final + 1, { ...open, bans }).s).toBe(9)
  })
})

describe('achievements', () => {
  const held = (specs: readonly ReceiptSpec[], options = open, atEpoch = final) =>
    scoreOf(specs, options, atEpoch).breakdown.achievements

  it('are twenty points for ten funded answers under two seconds, once', () => {
    expect(held(times(9, () => ({})))).toEqual([])
    expect(held(times(10, () => ({})))).toEqual(['speed-demon'])
    expect(scoreOf(times(10, () => ({}))).s).toBe(50 + 20)
    expect(scoreOf(times(100, () => ({}))).s).toBe(90 + 20)
  })

  it.each<[string, ReceiptSpec]>([
    ['slow', { totalMs: 2_000 }],
    ['slow by the other clock', { clientMs: 2_000 }],
    ['unfunded', { balanceAfter: -1 }],
    ['private', { private: true }],
    ['half', { ack: 'tick' }],
  ])('are not for answers that are %s', (_, spec) => {
    expect(held(times(50, () => spec))).toEqual([])
  })

  it('are for long answers', () => {
    expect(held(times(10, () => ({ nOut: 512, totalMs: 9_000 })))).toEqual(['marathon'])
    expect(held(times(10, () => ({ nOut: 511, totalMs: 9_000 })))).toEqual([])
  })

  it('are for many clients, and for many days', () => {
    expect(held(times(10, (n) => ({ client: n, totalMs: 9_000 })))).toEqual(['open-house'])
    expect(held(times(9, (n) => ({ client: n, totalMs: 9_000 })))).toEqual([])
    const daily = (days: number) => times(days, (n) => ({ epoch: epoch0 + n * 1_440, totalMs: 9_000 }))
    expect(held(daily(14), open, epoch0 + 14 * 1_440)).toEqual(['steady-hand'])
    expect(held(daily(13), open, epoch0 + 14 * 1_440)).toEqual([])
  })

  it('go with the receipts that they were made of', () => {
    const bans = BanSet.of([{ accountId: accountOf(1), fromDay: 0 }])
    expect(
      held(
        times(10, () => ({})),
        { ...open, bans },
      ),
    ).toEqual([])
    expect(
      held(
        times(10, () => ({})),
        open,
        epoch0 + 181 * 1_440,
      ),
    ).toEqual([])
  })
})

describe('the reasons of a score', () => {
  it('add up to it', () => {
    const specs = times(300, (n) => ({ client: n % 7, balanceAfter: (n % 3) - 1, gratis: n % 11 === 0 }))
    const state = stateOf(specs)
    const { breakdown, s } = toScore(state, final, noBans)
    const terms = toClientTerms(state, final, noBans)
    const counted = terms.reduce((sum, { countedQ }) => sum + countedQ, 0)
    expect(breakdown.funded.countedQ + breakdown.unfunded.countedQ).toBe(counted)
    expect(breakdown.rawQ).toBe(counted + breakdown.achievementsQ)
    expect(s).toBe(Math.floor((breakdown.rawQ * breakdown.escrowQ) / ONE / ONE))
    expect(terms.map(({ countedQ }) => countedQ)).toEqual(
      terms.map(({ countedQ }) => countedQ).toSorted((a, b) => b - a),
    )
    expect(terms.reduce((sum, { receipts }) => sum + receipts, 0)).toBe(300)
  })
})

describe('the digest of what a score depends on', () => {
  const inputs = {
    accountId: workerId,
    epoch: final,
    length: 2,
    treeHash: bytes(1, 32),
    banRoot: BanSet.empty.root,
    networkId,
  }

  it('changes with every one of them', () => {
    const digests = [
      inputs,
      { ...inputs, accountId: accountOf(1) },
      { ...inputs, epoch: final + 1 },
      { ...inputs, length: 3 },
      { ...inputs, treeHash: bytes(2, 32) },
      { ...inputs, banRoot: BanSet.of([{ accountId: workerId, fromDay: 1 }]).root },
      { ...inputs, auditRoot: bytes(3, 32) },
      { ...inputs, networkId: bytes(4, 16) },
    ].map((each) => toInputDigest(each))
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{64}$/)
    expect(new Set(digests).size).toBe(digests.length)
  })

  it('is not made of things that are no hashes', () => {
    expect(() => toInputDigest({ ...inputs, treeHash: 'ab' })).toThrow(RangeError)
    expect(() => toInputDigest({ ...inputs, networkId: 'zz'.repeat(16) })).toThrow(RangeError)
  })
})

it('is the same number on every version of the runtime', () => {
  const specs = times(2_000, (n) => ({
    client: n % 37,
    epoch: epoch0 + 3 * n,
    nIn: (n * 31) % 400,
    nOut: 1 + ((n * 17) % 600),
    totalMs: 100 + ((n * 7_919) % 25_000),
    balanceAfter: (n % 5) - 1,
    samplingId: ([0, 1, 2] as const)[n % 3] ?? 0,
    gratis: n % 13 === 0,
  }))
  const score = toScore(stateOf(specs), epoch0 + 8_000, noBans)
  expect([...score.values, score.breakdown.rawQ]).toMatchInlineSnapshot(`
    [
      3467,
      98271,
      147456,
      124157,
      0,
      454546589,
    ]
  `)
})
