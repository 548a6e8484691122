import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromSnapshot, toSnapshot } from '../../../machines/trust/account-snapshot.ts'
import { createAccountState } from '../../../machines/trust/account-state.ts'
import type { AccountState } from '../../../machines/trust/account-state.ts'
import { applyEntry, toAmount } from '../../../machines/trust/account.ts'
import { BanSet } from '../../../machines/trust/bans.ts'
import { toCredit } from '../../../machines/trust/credit.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import { countedTokens, toDue, toPoints } from '../../../machines/trust/points.ts'
import { toClientTerms, toScore } from '../../../machines/trust/score.ts'
import type { ScoreOptions } from '../../../machines/trust/score.ts'
import {
  accountOf,
  createCard,
  createReceipt,
  epoch0,
  filed,
  fold,
  networkId,
  paid,
  params,
  workerId,
} from './receipt-rig.ts'
import type { ReceiptSpec } from './receipt-rig.ts'

const capped = { ...params, unfundedCapOn: 1 }
const paramsArbitrary = fc.constantFrom(params, capped, { ...capped, escrowFloorQ: ONE })

const specArbitrary = fc.record({
  client: fc.nat(6),
  nIn: fc.nat(400),
  nOut: fc.nat(700),
  totalMs: fc.nat(25_000),
  clientMs: fc.nat(25_000),
  balanceAfter: fc.integer({ min: -1, max: 1 }),
  finish: fc.constantFrom('stop', 'length', 'partial'),
  ack: fc.constantFrom('none', 'tick', 'closing', 'final'),
  samplingId: fc.constantFrom(0, 1, 2),
  gratis: fc.boolean(),
  private: fc.boolean(),
} as const)

/** Receipts over some days, each with the epochs since the one before. */
const historyArbitrary = fc
  .array(fc.tuple(specArbitrary, fc.oneof(fc.nat(3), fc.nat(100), fc.nat(3_000))), {
    maxLength: 60,
    size: 'max',
  })
  .map((steps) => {
    let epoch = epoch0
    return steps.map(([spec, gap], request): ReceiptSpec => {
      epoch += gap
      return { ...spec, request, epoch }
    })
  })

const bansArbitrary = fc
  .array(
    fc.record({
      accountId: fc.oneof(fc.nat(8).map(accountOf), fc.constant(workerId)),
      fromDay: fc.integer({ min: epoch0 / 1_440 - 1, max: epoch0 / 1_440 + 60 }),
    }),
    { maxLength: 3 },
  )
  .map((bans) => BanSet.of(bans))

const optionsArbitrary = fc.record({ bans: bansArbitrary, params: paramsArbitrary })

const entriesOf = (history: readonly ReceiptSpec[]) => history.map((spec) => filed(createReceipt(spec)))
const stateOf = (history: readonly ReceiptSpec[]): AccountState => fold(entriesOf(history)).state
const lastEpochOf = (history: readonly ReceiptSpec[]): number => history.at(-1)?.epoch ?? epoch0
/** The state without anything that was remembered while it was scored. */
const fresh = (state: AccountState): AccountState => {
  const copy = fromSnapshot(JSON.parse(JSON.stringify(toSnapshot(state))))
  if (copy === null) throw new Error('expected a snapshot')
  return copy
}

describe('the score of a set of receipts', () => {
  it('does not depend on the order in which they were filed, nor on copies', () => {
    const filings = fc.array(fc.tuple(specArbitrary, fc.integer({ min: 0, max: 20 }), fc.nat()), {
      minLength: 2,
      maxLength: 40,
      size: 'max',
    })
    const copies = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 10, size: 'max' })
    fc.assert(
      fc.property(filings, copies, optionsArbitrary, (specs, copied, options) => {
        // Results of one day, filed within an hour around midnight: any order of them is an order to file in.
        const receipts = specs.map(([spec, offset], request) =>
          createReceipt({ ...spec, request, epoch: epoch0 - 30 + offset }),
        )
        const slots = receipts.map((_, n) => epoch0 - 10 + Math.floor((30 * n) / receipts.length))
        const file = (order: readonly (typeof receipts)[number][]): AccountState =>
          fold(order.map((receipt, n) => filed(receipt, slots[n] ?? 0))).state
        const shuffled = receipts
          .map((receipt, n) => ({ receipt, key: specs[n]?.[2] ?? 0 }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ receipt }) => receipt)
        const doubled = shuffled.map((receipt, n) => filed(receipt, slots[n] ?? 0))
        for (const [from, to] of copied) {
          const place = 1 + (from % doubled.length)
          const original = doubled[place - 1]
          const at = Math.min(doubled.length, place + (to % doubled.length))
          const before = doubled[at - 1]
          if (original?.type === 'receipt' && before?.type === 'receipt')
            doubled.splice(at, 0, { ...original, epoch: before.epoch })
        }
        const twice = fold(doubled)
        expect(twice.faults.every(({ code }) => code === 'receipt-twice')).toBe(true)
        expect(twice.faults).toHaveLength(copied.length)

        const atEpoch = epoch0 + 60
        const expected = toScore(file(receipts), atEpoch, options)
        expect(toScore(file(shuffled), atEpoch, options)).toEqual(expected)
        expect(toScore(twice.state, atEpoch, options)).toEqual(expected)
        expect(toCredit(file(shuffled), atEpoch + 70, params)).toEqual(
          toCredit(file(receipts), atEpoch + 70, params),
        )
      }),
    )
  })

  it('is not lowered by one more sound receipt', () => {
    fc.assert(
      fc.property(historyArbitrary, specArbitrary, optionsArbitrary, (history, spec, options) => {
        const epoch = lastEpochOf(history)
        const more = [...history, { ...spec, request: 1_000, epoch }]
        const score = (specs: readonly ReceiptSpec[]): number =>
          toScore(stateOf(specs), epoch + 10, options).s
        expect(score(more)).toBeGreaterThanOrEqual(score(history))
      }),
    )
  })

  it('is not lowered by better work', () => {
    const improvements = fc.constantFrom<ReceiptSpec>(
      { totalMs: 0, clientMs: 0 },
      { nIn: 400 },
      { finish: 'stop', ack: 'final', nOut: 700 },
      { private: false, samplingId: 0 },
      { balanceAfter: 1, gratis: false },
    )
    // What is paid and what is funded go together, and a cap of funded work alone could take less of more.
    const plain = fc.constantFrom(params, { ...params, escrowFloorQ: ONE })
    fc.assert(
      fc.property(historyArbitrary, fc.nat(), improvements, plain, (history, pick, better, p) => {
        fc.pre(history.length > 0)
        const isOneFunding = better.balanceAfter === undefined
        const place = pick % history.length
        const improved = history.map((spec, n) => (n === place ? { ...spec, ...better } : spec))
        const options = { bans: BanSet.empty, params: p }
        const atEpoch = lastEpochOf(history) + 10
        const before = toScore(stateOf(history), atEpoch, options)
        const after = toScore(stateOf(improved), atEpoch, options)
        if (isOneFunding) expect(after.s).toBeGreaterThanOrEqual(before.s)
        else expect(after.breakdown.funded.countedQ).toBeGreaterThanOrEqual(before.breakdown.funded.countedQ)
      }),
    )
  })

  it('only falls with age', () => {
    fc.assert(
      fc.property(historyArbitrary, fc.nat(200), fc.nat(200), optionsArbitrary, (history, a, b, options) => {
        const state = stateOf(history)
        const [sooner = 0, later = 0] = [a, b].toSorted((x, y) => x - y)
        const at = (days: number): number =>
          toScore(state, lastEpochOf(history) + 10 + days * 1_440, options).s
        expect(at(later)).toBeLessThanOrEqual(at(sooner))
      }),
    )
  })

  it('holds no client worth more than fifty points or a tenth, and unfunded ones under their cap', () => {
    fc.assert(
      fc.property(historyArbitrary, optionsArbitrary, (history, options) => {
        const state = stateOf(history)
        const atEpoch = lastEpochOf(history) + 10
        const { funded, unfunded, unfundedCapQ, rawQ, achievementsQ } = toScore(
          state,
          atEpoch,
          options,
        ).breakdown
        for (const sum of [funded, unfunded])
          expect(sum.clientCapQ).toBe(Math.max(50 * ONE, Math.floor(sum.rawQ / 10)))
        for (const { countedQ } of toClientTerms(state, atEpoch, options))
          expect(countedQ).toBeLessThanOrEqual(funded.clientCapQ + unfunded.clientCapQ)
        const looseQ = rawQ - achievementsQ - funded.countedQ
        expect(looseQ).toBeLessThanOrEqual(unfundedCapQ)
        if (options.params.unfundedCapOn === 1)
          expect(looseQ).toBeLessThanOrEqual(50 * ONE + Math.floor(funded.countedQ / 4))
      }),
    )
  })

  it('is that of the receipts without those a ban voids', () => {
    fc.assert(
      fc.property(historyArbitrary, optionsArbitrary, (history, options) => {
        const { bans } = options
        const isValid = ({ client = 1, epoch = epoch0 }: ReceiptSpec): boolean =>
          Math.floor(epoch / 1_440) < Math.min(bans.dayOf(accountOf(client)), bans.dayOf(workerId))
        const atEpoch = lastEpochOf(history) + 10
        const withBans = toScore(stateOf(history), atEpoch, options)
        const without = toScore(stateOf(history.filter(isValid)), atEpoch, { ...options, bans: BanSet.empty })
        expect(withBans.values).toEqual(without.values)
        expect({ ...withBans.breakdown, receipts: null }).toEqual({ ...without.breakdown, receipts: null })
      }),
    )
  })
})

/** The sum before escrow as the formulas have it, receipt by receipt and in exact arithmetic. */
function rawByTheBook(
  history: readonly ReceiptSpec[],
  atEpoch: number,
  { bans, params: p }: ScoreOptions,
): bigint {
  const one = BigInt(ONE)
  const days = new Map<string, bigint>()
  const deeds = { fast: 0, long: 0, clients: new Set<string>(), days: new Set<number>() }
  for (const receipt of history.map((spec) => createReceipt(spec))) {
    const { offer, result, ack } = receipt
    const day = Math.floor(result.epoch / 1_440)
    const age = Math.max(0, Math.floor(atEpoch / 1_440) - day)
    if (result.epoch > atEpoch - 10 || age > 180) continue
    if (day >= Math.min(bans.dayOf(offer.clientId), bans.dayOf(offer.workerId))) continue
    const { speed, complexity, quality } = toPoints(receipt, p)
    const isPaid = result.price > 0 && toDue(receipt, p) > 0
    const isFunded = isPaid && offer.balanceAfter >= 0
    const audit = offer.flags.isPrivate ? 4n : offer.samplingId === 2 ? 2n : 1n
    const funding = isFunded ? 1n : isPaid ? 4n : 16n
    const half = ack === null || ack.kind === 'tick' ? 4n : 1n
    const value = (BigInt(speed + complexity + quality) * one) / (audit * funding * half)
    const key = `${offer.clientId} ${day} ${isFunded}`
    days.set(key, (days.get(key) ?? 0n) + value)
    const tokens = countedTokens(receipt, p)
    if (!isFunded || audit === 4n || half === 4n || tokens === 0) continue
    if (Math.max(result.totalMs, ack?.clientMs ?? 0) < 2_000) deeds.fast += 1
    if (tokens >= 512) deeds.long += 1
    deeds.clients.add(offer.clientId)
    deeds.days.add(day)
  }
  const clients = { true: new Map<string, bigint>(), false: new Map<string, bigint>() }
  for (const [key, value] of days) {
    const [clientId = '', day, isFunded] = key.split(' ')
    const sums = isFunded === 'true' ? clients.true : clients.false
    const age = Math.max(0, Math.floor(atEpoch / 1_440) - Number(day))
    sums.set(clientId, (sums.get(clientId) ?? 0n) + (value * BigInt(p.decayQ[age] ?? 0)) / one)
  }
  const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
  const cap = (sums: Map<string, bigint>): bigint => {
    const total = [...sums.values()].reduce((a, b) => a + b, 0n)
    const most = total / 10n > 50n * one ? total / 10n : 50n * one
    return [...sums.values()].reduce((sum, each) => sum + min(each, most), 0n)
  }
  const [funded, loose] = [cap(clients.true), cap(clients.false)]
  const unfunded = p.unfundedCapOn === 1 ? min(loose, 50n * one + funded / 4n) : loose
  const held = [deeds.fast >= 10, deeds.long >= 10, deeds.clients.size >= 10, deeds.days.size >= 14]
  const bonus = BigInt(held.filter(Boolean).length) * 20n * one
  return funded + unfunded + bonus
}

describe('the score that is summed up step by step', () => {
  it('is the one that the formulas give', () => {
    const clients = fc.nat(15)
    const spec = fc.tuple(specArbitrary, clients).map(([each, client]) => ({ ...each, client }))
    const quick = spec.map((each): ReceiptSpec => ({
      ...each,
      totalMs: 500,
      clientMs: 500,
      nOut: 600,
      balanceAfter: 1,
      private: false,
      gratis: false,
      ack: 'final',
    }))
    const steps = fc.array(fc.tuple(fc.oneof(spec, quick), fc.oneof(fc.nat(100), fc.nat(3_000))), {
      maxLength: 80,
      size: 'max',
    })
    fc.assert(
      fc.property(steps, fc.nat(300_000), optionsArbitrary, (list, later, options) => {
        let epoch = epoch0
        const history = list.map(([each, gap], request): ReceiptSpec => ({
          ...each,
          request,
          epoch: (epoch += gap),
        }))
        const atEpoch = epoch + later
        const { s, breakdown } = toScore(stateOf(history), atEpoch, options)
        const raw = rawByTheBook(history, atEpoch, options)
        expect(BigInt(breakdown.rawQ)).toBe(raw)
        expect(BigInt(s)).toBe((raw * BigInt(options.params.escrowFloorQ)) / BigInt(ONE) / BigInt(ONE))
      }),
    )
  })
})

describe('a state that is folded, scored and stored on the way', () => {
  it('is the state folded from scratch', () => {
    const cuts = fc.array(fc.nat(60), { maxLength: 3 })
    fc.assert(
      fc.property(historyArbitrary, cuts, (history, places) => {
        let state = createAccountState(workerId)
        const entries = [createCard(), ...entriesOf(history)]
        for (const [n, entry] of entries.entries()) {
          if (places.includes(n)) state = fresh(state)
          applyEntry(state, entry, { params, networkId })
        }
        expect(toSnapshot(state)).toEqual(toSnapshot(stateOf(history)))
        expect(fresh(state)).toEqual(state)
      }),
    )
  })

  it('has the score and the credit of one that was never looked at', () => {
    const looks = fc.array(fc.tuple(fc.integer({ min: -50, max: 200 }), optionsArbitrary), {
      maxLength: 60,
      size: 'max',
    })
    fc.assert(
      fc.property(historyArbitrary, looks, (history, asked) => {
        const state = createAccountState(workerId)
        const context = { params, networkId }
        applyEntry(state, createCard(), context)
        for (const [n, entry] of entriesOf(history).entries()) {
          applyEntry(state, entry, context)
          const [offset, options] = asked[n] ?? []
          if (offset === undefined || options === undefined) continue
          const atEpoch = state.lastEpoch + offset
          expect(toScore(state, atEpoch, options)).toEqual(toScore(fresh(state), atEpoch, options))
          expect(toClientTerms(state, atEpoch, options)).toEqual(
            toClientTerms(fresh(state), atEpoch, options),
          )
        }
      }),
    )
  })

  it('is judged at an epoch by what was filed until then, up to an hour back', () => {
    fc.assert(
      fc.property(
        historyArbitrary,
        fc.integer({ min: 0, max: 60 }),
        optionsArbitrary,
        (history, back, options) => {
          const state = stateOf(history)
          const atEpoch = Math.max(epoch0, state.lastEpoch - back)
          const known = history.filter(({ epoch = 0 }) => epoch <= atEpoch)
          expect(toScore(state, atEpoch, options).values).toEqual(
            toScore(stateOf(known), atEpoch, options).values,
          )
          expect(toCredit(state, atEpoch, params).balance).toBe(
            toCredit(stateOf(known), atEpoch, params).balance,
          )
        },
      ),
    )
  })
})

describe('credit among accounts', () => {
  const deals = fc.array(
    fc.record({
      from: fc.nat(4),
      to: fc.nat(4),
      gap: fc.nat(30),
      nIn: fc.nat(2_000),
      nOut: fc.nat(2_000),
      ack: fc.constantFrom('none', 'tick', 'closing', 'final'),
      received: fc.nat(2_000),
      gratis: fc.boolean(),
    } as const),
    { maxLength: 80, size: 'max' },
  )

  it('is neither made nor lost: balances and what is pending are what was burned, below zero', () => {
    fc.assert(
      fc.property(deals, fc.nat(200), (list, later) => {
        const accounts = [0, 1, 2, 3, 4].map((n) => fold([], { accountId: accountOf(n) }).state)
        let epoch = epoch0
        for (const [request, { from, to, gap, ...spec }] of list.entries()) {
          epoch += gap
          const [client, worker] = [accounts[from], accounts[to]]
          if (client === undefined || worker === undefined || client === worker) continue
          const receipt = createReceipt({ ...spec, request, epoch, client: from, worker: accountOf(to) })
          expect(fold([filed(receipt)], { state: worker }).faults).toEqual([])
          fold([paid(epoch, request, toAmount(receipt, params))], { state: client })
        }
        const credits = accounts.map((state) => toCredit(state, epoch + later, params))
        const sumOf = (pick: (credit: (typeof credits)[number]) => number): number =>
          credits.reduce((sum, credit) => sum + pick(credit), 0)
        expect(sumOf(({ balance, pending }) => balance + pending) + sumOf(({ burned }) => burned)).toBe(0)
        expect(sumOf(({ earned }) => earned) + sumOf(({ burned }) => burned)).toBe(sumOf(({ paid }) => paid))
      }),
    )
  })
})

describe('ten years of the most that a log can hold', () => {
  const entriesMax = 1_000_000_000
  const maxOptions: ScoreOptions = { bans: BanSet.empty, params: { ...params, escrowFloorQ: ONE } }

  it('leaves every sum exact', () => {
    // A thousand million full receipts, all of one day and spread over some clients, as their sums would be.
    const shares = fc.array(fc.integer({ min: 1, max: entriesMax }), {
      minLength: 1,
      maxLength: 20,
      size: 'max',
    })
    fc.assert(
      fc.property(shares, fc.nat(180), fc.boolean(), (weights, age, isFunded) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const counts = weights.map((weight) => Math.floor((weight / total) * entriesMax))
        const snapshot = toSnapshot(fold([]).state)
        const clients = counts.map((_, n) => accountOf(n))
        const cells = counts.map((count, n): [number, number[]] => {
          const valueQ = 10 * ONE * count
          return [
            n,
            [
              isFunded ? valueQ : 0,
              isFunded ? 0 : valueQ,
              0,
              count,
              5 * count,
              3 * count,
              2 * count,
              0,
              0,
              0,
            ],
          ]
        })
        const state = fromSnapshot({
          ...snapshot,
          clients,
          days: [[epoch0 / 1_440, cells]],
          settled: entriesMax,
          receipts: entriesMax,
          earned: Number.MAX_SAFE_INTEGER,
          paid: Number.MAX_SAFE_INTEGER,
        })
        if (state === null) throw new Error('expected a snapshot')
        const atEpoch = epoch0 + age * 1_440 + 10
        const { breakdown, values } = toScore(state, atEpoch, maxOptions)
        const decay = BigInt(params.decayQ[age] ?? 0)
        const worth = counts.map((count) => (BigInt(count) * 10n * BigInt(ONE) * decay) / BigInt(ONE))
        const raw = worth.reduce((sum, each) => sum + each, 0n)
        const cap = [50n * BigInt(ONE), raw / 10n].reduce((a, b) => (a > b ? a : b))
        const counted = worth.reduce((sum, each) => sum + (each < cap ? each : cap), 0n)
        expect(BigInt(breakdown.rawQ)).toBe(counted)
        expect(BigInt(values[0])).toBe(counted / BigInt(ONE))
        expect(values.every((value) => Number.isSafeInteger(value))).toBe(true)
        const credit = toCredit(state, atEpoch, params)
        expect(credit).toMatchObject({ balance: 0, line: 500_000 })
      }),
    )
  })
})
