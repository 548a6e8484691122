import { isAhead } from './account-state.ts'
import type { AccountState } from './account-state.ts'
import { percentOf } from './fixed.ts'
import type { TrustParams } from './params.ts'

/**
 * What an account may spend, all in milli-credits. It may spend down to -line.
 *
 * Over any set of accounts among which all payments were made and filed by both sides:
 * sum of balances + sum of pending = -(sum of burned).
 */
export interface Credit {
  /** Vested earnings less everything paid; negative for whoever lives on the line. */
  readonly balance: number
  /** How far below zero the balance may go; it grows with what was earned. */
  readonly line: number
  /** Everything earned, vested or not. */
  readonly earned: number
  /** The part of it that is not vested yet: all until final, then what is held back a while. */
  readonly pending: number
  /** Everything paid, the burn included, and the burn alone. */
  readonly paid: number
  readonly burned: number
}

/** The credit at an epoch, which is the epoch of the log's last entry or a later one. */
export function toCredit(state: AccountState, atEpoch: number, params: TrustParams): Credit {
  const { earned, paid, burned } = state
  const pending = isAhead(state, atEpoch, params) ? earned : toPending(state, atEpoch, params)
  const vested = earned - pending
  const growth = Math.min(params.lineGrowthMaxMc, percentOf(vested, params.lineGrowthPercent))
  return { balance: vested - paid, line: params.lineBaseMc + growth, earned, pending, paid, burned }
}

function toPending(state: AccountState, atEpoch: number, params: TrustParams): number {
  let pending = 0
  for (const [epoch, amount] of state.earnings) {
    const finalEpoch = epoch + params.finalityEpochs
    if (atEpoch < finalEpoch) pending += amount
    else if (atEpoch < finalEpoch + params.vestingEpochs)
      pending += amount - percentOf(amount, params.vestingFirstPercent)
  }
  return pending
}
