import { describe, expect, it } from 'vitest'
import { Debts } from '../../../../actors/trust/dealing/debts.ts'
import { toAmount } from '../../../../machines/trust/index.ts'
import { createReceipt, epoch0, params, type ReceiptSpec } from '../../../machines/trust/receipt-rig.ts'

/** Epochs after which a payment that was not read counts all the same. */
const window = params.filingEpochs + params.clockSkewEpochs + params.finalityEpochs

function read(spec: ReceiptSpec = {}, { at = epoch0, isPaid = false } = {}) {
  const debts = new Debts(params)
  const receipt = createReceipt(spec)
  debts.received(receipt, at, isPaid)
  const { clientId, spendSeq } = receipt.offer
  return { debts, receipt, clientId, spendSeq, amount: toAmount(receipt, params) }
}

describe('a payment that a client signed for', () => {
  it('counts when it is not in the client’s log in time, and not before', () => {
    const { debts, clientId, spendSeq, amount } = read()
    expect(debts.sweep(epoch0 + window)).toEqual([])
    expect(debts.overdueOf(clientId)).toBe(0)
    expect(debts.sweep(epoch0 + window + 1)).toMatchObject([{ clientId, spendSeq, amount }])
    expect(debts.overdueOf(clientId)).toBe(amount)
    expect(debts.sweep(epoch0 + window + 2)).toEqual([])
  })

  it('does not count twice: one that is read later counts in the log alone', () => {
    const { debts, receipt, clientId, spendSeq } = read()
    debts.sweep(epoch0 + window + 1)
    debts.received(receipt, epoch0, false)
    debts.paid(clientId, spendSeq)
    expect(debts.overdueOf(clientId)).toBe(0)
    expect(debts.sweep(epoch0 + 10 * window)).toEqual([])
  })

  it.each<[string, ReceiptSpec, Parameters<typeof read>[1]]>([
    ['was paid already', {}, { isPaid: true }],
    ['was not signed to the end', { ack: 'tick', received: 64 }, {}],
    ['was never signed', { ack: 'none' }, {}],
    ['stopped before the first token', { ack: 'closing', received: 0 }, {}],
    ['was for nothing', { gratis: true }, {}],
    ['is too old to tell', {}, { at: epoch0 + params.filingEpochs + 1 }],
  ])('is not waited for when it %s', (_, spec, how) => {
    const { debts, clientId } = read(spec, how)
    expect(debts.sweep(epoch0 + 10 * window)).toEqual([])
    expect(debts.overdueOf(clientId)).toBe(0)
  })

  it('is forgotten, the oldest first, when there are too many', () => {
    const debts = new Debts(params)
    for (let request = 0; request < 20_010; request++)
      debts.received(createReceipt({ request }), epoch0, false)
    expect(debts.sweep(epoch0 + window + 1)).toHaveLength(20_000)
  })
})
