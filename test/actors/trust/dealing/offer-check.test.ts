import { describe, expect, it } from 'vitest'
import type { Account } from '../../../../actors/trust/books.ts'
import { findContradiction } from '../../../../actors/trust/dealing/offer-check.ts'
import { type AccountState, toBurn } from '../../../../machines/trust/index.ts'
import type { Offer } from '../../../../protocol/trust/index.ts'
import { client, sampleOffer } from '../../../protocol/trust/samples.ts'
import { createReceipt, epoch0, filed, fold, paid, params } from '../../../machines/trust/receipt-rig.ts'

const treeHash = '07'.repeat(32)
const maxPrice = 2_000
const cost = maxPrice + toBurn(maxPrice, params)

const accountOf = (state: AccountState): Account => ({
  id: client.id,
  card: undefined,
  head: undefined,
  state,
  treeHash,
})

/** A client that earned 3,000 and paid 1,050: half of the earning can be spent after ten epochs. */
const { state } = fold([filed(createReceipt({ price: 3_000, nOut: 128 })), paid(epoch0, 1, 1_050)])
const account = accountOf(state)
const balance = 450
const vestedEpoch = epoch0 + params.finalityEpochs

const check = (offer: Partial<Offer>, known: Account | 'nobody' = account): string | undefined =>
  findContradiction(
    sampleOffer({
      maxPrice,
      epoch: vestedEpoch,
      headLength: state.length,
      headHash: treeHash.slice(0, 32),
      balanceAfter: balance - cost,
      ...offer,
    }),
    known === 'nobody' ? undefined : known,
    params,
  )

describe('an offer', () => {
  it('that says what the log says, or less, is taken', () => {
    expect(check({})).toBeUndefined()
    expect(check({ balanceAfter: balance - cost - 5_000 })).toBeUndefined()
  })

  it('that claims more than the log has is not', () => {
    expect(check({ balanceAfter: balance - cost + 1 })).toMatch(/claims 451 milli-credits.* has 450/)
    expect(check({ epoch: vestedEpoch - 1 })).toMatch(/has -1050/)
  })

  it('that names an older head to hide what was paid since is not', () => {
    expect(check({ headLength: 2, balanceAfter: 1_500 - cost })).toMatch(/has 450/)
  })

  it('that names another log of the same length is not', () => {
    expect(check({ headHash: '08'.repeat(16) })).toMatch(/another log/)
  })

  it('that names more than was read is bounded while nothing of that can be vested, and believed then', () => {
    const ahead = { headLength: 9, balanceAfter: 50_000 }
    expect(check({ ...ahead, epoch: vestedEpoch - 1 })).toMatch(/claims/)
    expect(check({ ...ahead, epoch: vestedEpoch })).toBeUndefined()
  })

  it('of a client whose log nobody showed is believed, but not what an empty log cannot hold', () => {
    expect(check({ balanceAfter: 50_000 }, 'nobody')).toBeUndefined()
    expect(check({ balanceAfter: 50_000 }, accountOf(fold([]).state))).toBeUndefined()
    expect(check({ headLength: 0, balanceAfter: 1 - cost }, 'nobody')).toMatch(/empty log/)
    expect(check({ headLength: 0, balanceAfter: -cost }, 'nobody')).toBeUndefined()
  })
})
