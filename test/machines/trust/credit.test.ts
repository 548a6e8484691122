import { describe, expect, it } from 'vitest'
import { toCredit } from '../../../machines/trust/credit.ts'
import { createReceipt, epoch0, filed, fold, paid, params } from './receipt-rig.ts'

/** One answer that earns 9,001 milli-credits. */
const earning = filed(createReceipt({ nIn: 256, nOut: 600, price: 9_001 }))

describe('credit', () => {
  it('of a newcomer is a line of twenty', () => {
    expect(toCredit(fold([]).state, epoch0, params)).toEqual({
      balance: 0,
      line: 20_000,
      earned: 0,
      pending: 0,
      paid: 0,
      burned: 0,
    })
  })

  it('vests by half after ten epochs and in full sixty later', () => {
    const { state } = fold([earning])
    const balances = [0, 9, 10, 69, 70, 10_000].map((epochs) => toCredit(state, epoch0 + epochs, params))
    expect(balances.map(({ balance }) => balance)).toEqual([0, 0, 4_500, 4_500, 9_001, 9_001])
    expect(balances.map(({ pending }) => pending)).toEqual([9_001, 9_001, 4_501, 4_501, 0, 0])
    expect(balances.map(({ line }) => line)).toEqual([20_000, 20_000, 20_450, 20_450, 20_900, 20_900])
  })

  it('vests in time however much comes after', () => {
    const later = Array.from({ length: 300 }, (_, n) =>
      filed(createReceipt({ request: n + 10, epoch: epoch0 + n, price: 0 })),
    )
    expect(toCredit(fold([earning, ...later]).state, epoch0 + 299, params).balance).toBe(9_001)
  })

  it('is judged an hour back as it was then', () => {
    const later = (epochs: number) => filed(createReceipt({ request: 10, epoch: epoch0 + epochs, price: 0 }))
    const back = (epochs: number): number =>
      toCredit(fold([earning, later(epochs + 60)]).state, epoch0 + epochs, params).balance
    expect([9, 10, 69, 70].map(back)).toEqual([0, 4_500, 4_500, 9_001])
  })

  it('is spent at once, with the burn', () => {
    const credit = toCredit(fold([earning, paid(epoch0, 1, 2_100)]).state, epoch0 + 70, params)
    expect(credit).toMatchObject({ balance: 9_001 - 2_100, paid: 2_100, burned: 100 })
  })

  it('has a line that grows with what was earned, to five hundred', () => {
    const rich = Array.from({ length: 60 }, (_, n) =>
      filed(createReceipt({ request: n, nIn: 16_000_000, nOut: 1, price: 1_000_000 * (n + 1) })),
    )
    expect(toCredit(fold(rich).state, epoch0 + 70, params).line).toBe(500_000)
  })

  it('is not vested early by a log that claims to be of the future', () => {
    const future = filed(createReceipt({ request: 2, epoch: epoch0 + 1_000, price: 0 }))
    const { state } = fold([earning, future])
    expect(toCredit(state, epoch0 + 5, params)).toMatchObject({ balance: 0, pending: 9_001 })
    expect(toCredit(state, epoch0 + 1_000, params)).toMatchObject({ balance: 9_001, pending: 0 })
  })
})
