import { describe, expect, it } from 'vitest'
import type { LogEntry } from '../../../protocol/trust/log-entry.ts'
import { createAccountState, faultsKeptMax, logFaults } from '../../../machines/trust/account-state.ts'
import type { LogFaultCode } from '../../../machines/trust/account-state.ts'
import { fromSnapshot, toSnapshot } from '../../../machines/trust/account-snapshot.ts'
import { applyEntry, toAmount } from '../../../machines/trust/account.ts'
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

const first = filed(createReceipt({ request: 1 }))
const receiptAt = (epoch: number, spec: ReceiptSpec = {}): LogEntry =>
  filed(createReceipt({ request: 2, ...spec }), epoch)

/** Everything that faults must leave alone. */
const substance = (entries: readonly LogEntry[]) => {
  const { length: _, faultCount: __, faults: ___, ...rest } = toSnapshot(fold(entries).state)
  return rest
}

describe('an entry that breaks a rule', () => {
  it.each<[LogFaultCode, LogEntry]>([
    ['card-foreign', createCard({ accountId: accountOf(5), seq: 1 })],
    ['card-stale', createCard({ seq: 0, name: 'another' })],
    ['epoch-backwards', receiptAt(epoch0 - 1, { epoch: epoch0 - 1 })],
    ['epoch-backwards', paid(epoch0 - 1, 1, 1)],
    ['receipt-foreign', receiptAt(epoch0, { worker: accountOf(6) })],
    ['receipt-self', receiptAt(epoch0, { client: 0xbeef })],
    ['receipt-twice', first],
    ['receipt-twice', receiptAt(epoch0 + 59, { request: 1, nOut: 1 })],
    ['receipt-late', receiptAt(epoch0 + 61, { epoch: epoch0 })],
    ['receipt-late', receiptAt(epoch0 + 61, { epoch: epoch0 + 61, offerEpoch: epoch0 })],
    ['receipt-early', receiptAt(epoch0, { epoch: epoch0 + 1 })],
    ['receipt-early', receiptAt(epoch0, { epoch: epoch0, offerEpoch: epoch0 + 21 })],
    ['price-too-high', receiptAt(epoch0, { price: 2_001 })],
    ['price-on-gratis', receiptAt(epoch0, { gratis: true, price: 1 })],
  ])('is %s, is named with its place, and changes nothing', (code, entry) => {
    const { state, faults } = fold([first, entry])
    expect(faults).toEqual([{ code, sentence: logFaults[code], index: 2, epoch: epoch0 }])
    expect(state).toMatchObject({ length: 3, faultCount: 1, faults })
    expect(substance([first, entry])).toEqual(substance([first]))
  })

  it('is a payment made twice, even when written twice into the log', () => {
    const { state, faults } = fold([paid(epoch0, 7, 2_100), paid(epoch0 + 9, 7, 2_100)])
    expect(faults.map(({ code }) => code)).toEqual(['paid-twice'])
    expect(state).toMatchObject({ payments: 1, paid: 2_100, burned: 100 })
  })

  it('is any before the card', () => {
    const state = createAccountState(workerId)
    const codes = [first, createCard(), first].map(
      (entry) => applyEntry(state, entry, { params, networkId }).fault?.code,
    )
    expect(codes).toEqual(['card-missing', 'card-missing', 'card-missing'])
    expect(state).toMatchObject({ card: null, receipts: 0, length: 3 })
  })

  it('is an overspending payment, which counts all the same', () => {
    const { state, faults } = fold([paid(epoch0, 1, 20_000), paid(epoch0, 2, 1)])
    expect(faults.map(({ code }) => code)).toEqual(['overspent'])
    expect(state.paid).toBe(20_001)
  })

  it('is one that the sums cannot hold', () => {
    const full = fromSnapshot({ ...toSnapshot(fold([]).state), earned: Number.MAX_SAFE_INTEGER - 1_999 })
    if (full === null) throw new Error('expected a snapshot')
    expect(fold([first], { state: full }).faults.map(({ code }) => code)).toEqual(['account-full'])
    expect(full.receipts).toBe(0)
    const fits = createReceipt({ request: 3, price: 1_999 })
    expect(fold([filed(fits)], { state: full }).faults).toEqual([])
  })

  it('does not fill the memory when there are many', () => {
    const { state } = fold([first, ...Array.from({ length: 1_000 }, () => first)])
    expect(state.faultCount).toBe(1_000)
    expect(state.faults).toHaveLength(faultsKeptMax)
  })
})

describe('an entry within the rules', () => {
  it.each<[string, LogEntry]>([
    ['a card that follows', createCard({ seq: 1, name: 'renamed' })],
    ['of an unknown type', { type: 'unknown', code: 99 }],
    ['a receipt filed as late as may be', receiptAt(epoch0 + 60, { epoch: epoch0 })],
    ['a receipt of a client whose clock is ahead', receiptAt(epoch0, { offerEpoch: epoch0 + 20 })],
    ['a receipt of a client whose clock is behind', receiptAt(epoch0, { offerEpoch: epoch0 - 20 })],
    ['the same request number of another client', receiptAt(epoch0, { request: 1, client: 2 })],
    ['a lower price', receiptAt(epoch0, { price: 1 })],
  ])('is %s', (_, entry) => {
    expect(fold([first, entry]).faults).toEqual([])
  })

  it('counts again under an old request number once the first is out of reach', () => {
    const epoch = epoch0 + 81
    expect(fold([first, receiptAt(epoch, { request: 1, epoch })]).faults).toEqual([])
  })

  it('leaves no moment in which a copy is neither late nor known', () => {
    const ahead = createReceipt({ request: 1, epoch: epoch0, offerEpoch: epoch0 + 20 })
    for (let epoch = epoch0; epoch < epoch0 + 100; epoch += 1) {
      const { faults } = fold([filed(ahead), receiptAt(epoch, { epoch }), filed(ahead, epoch)])
      expect(faults).toHaveLength(1)
    }
  })
})

describe('the fold', () => {
  it('keeps the card, what was earned and paid, and counts', () => {
    const spent = toAmount(createReceipt({ nOut: 200 }), params)
    const { state } = fold([createCard({ seq: 3, name: 'renamed' }), first, paid(epoch0, 1, spent)])
    expect(state.card?.name).toBe('renamed')
    expect(state).toMatchObject({ receipts: 1, earned: 2_000, payments: 1, paid: 5_250, burned: 250 })
  })

  it('remembers no more than the last epochs, one by one', () => {
    const entries = Array.from({ length: 2_000 }, (_, n) => [
      filed(createReceipt({ request: n, client: n % 5, epoch: epoch0 + n })),
      paid(epoch0 + n, n, 1),
    ])
    const { state } = fold(entries.flat())
    expect(state.seenReceipts.size).toBeLessThanOrEqual(81)
    expect(state.seenSpends.size).toBeLessThanOrEqual(81)
    expect(state.recent.length).toBeLessThanOrEqual(70)
    expect(state.earnings.size).toBeLessThanOrEqual(131)
    expect(state.settled + state.recent.length).toBe(2_000)
    expect(state.days.size).toBe(2)
  })

  it('counts no more of one epoch than it may hold, whatever its owner wrote', () => {
    const small = { ...params, epochEntriesMax: 10 }
    const many = Array.from({ length: 20 }, (_, n) => paid(epoch0, n + 1, 1))
    const { state, faults } = fold(many, { params: small })
    expect([state.seenSpends.size, state.payments, state.length]).toEqual([10, 10, 21])
    expect(new Set(faults.map(({ code }) => code))).toEqual(new Set(['epoch-full']))
    fold([paid(epoch0 + 1, 21, 1)], { state, params: small })
    expect([state.payments, state.epochEntries, state.spentSeq]).toEqual([11, 1, 21])
  })

  it('remembers the highest number it ever paid with', () => {
    const { state } = fold([paid(epoch0, 900, 1), paid(epoch0 + 1, 700, 1), paid(epoch0 + 500, 800, 1)])
    expect(state.spentSeq).toBe(900)
    expect(fromSnapshot(toSnapshot(state))?.spentSeq).toBe(900)
  })

  it('forgets the sums of days whose points are worth nothing', () => {
    const entries = Array.from({ length: 400 }, (_, n) =>
      filed(createReceipt({ request: n, epoch: epoch0 + n * 1_440 })),
    )
    expect(fold(entries).state.days.size).toBeLessThanOrEqual(182)
  })
})

describe('a snapshot', () => {
  const damaged: [string, unknown][] = [
    ['nothing', undefined],
    ['another version', { ...toSnapshot(fold([first]).state), version: 1 }],
    ['a missing field', { ...toSnapshot(fold([first]).state), paid: undefined }],
    ['a negative sum', { ...toSnapshot(fold([first]).state), earned: -1 }],
    ['a fraction', { ...toSnapshot(fold([first]).state), burned: 0.5 }],
    ['a client that it does not list', { ...toSnapshot(fold([first]).state), clients: [] }],
  ]

  it.each(damaged)('with %s is none', (_, snapshot) => {
    expect(fromSnapshot(snapshot)).toBeNull()
  })

  it('shares nothing with the state it was taken of', () => {
    const { state } = fold([first])
    const snapshot = toSnapshot(state)
    const before = JSON.stringify(snapshot)
    const copy = fromSnapshot(snapshot)
    fold([receiptAt(epoch0)], { state })
    expect(JSON.stringify(snapshot)).toBe(before)
    expect(copy?.receipts).toBe(1)
  })
})
