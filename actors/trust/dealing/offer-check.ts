import { toBurn, toCredit, type TrustParams } from '../../../machines/trust/index.ts'
import type { Offer } from '../../../protocol/trust/index.ts'
import type { Account } from '../books.ts'

/**
 * What the client's own log, as far as it was read here, says against its offer. A node that has read nothing of it
 * cannot tell, and takes the client's word.
 *
 * @param account the client's; undefined for one that nobody told of
 * @returns the end of a sentence that begins with "the offer"
 */
export function findContradiction(
  { headLength, headHash, balanceAfter, maxPrice, epoch }: Offer,
  account: Account | undefined,
  params: TrustParams,
): string | undefined {
  const claimed = balanceAfter + maxPrice + toBurn(maxPrice, params)
  if (headLength === 0 && claimed > 0) return 'claims credit that an empty log cannot hold'
  if (!account || account.state.length === 0) return undefined
  const { state, treeHash } = account
  if (state.length === headLength && treeHash !== undefined && !treeHash.startsWith(headHash)) {
    return 'names another log than the client showed'
  }
  // Entries not read yet are dated after those that were: as long as none of them can be vested, they only cost.
  const isUnreadVested = state.length < headLength && epoch >= state.lastEpoch + params.finalityEpochs
  if (isUnreadVested) return undefined
  const { balance } = toCredit(state, epoch, params)
  // What was written down since its head was promised or waiting when the offer was made: it is in the claim, too.
  return claimed > balance
    ? `claims ${claimed} milli-credits, and the client’s log has ${balance}`
    : undefined
}
