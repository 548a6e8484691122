import type { Tier } from '../../machines/scheduling/index.ts'
import { createRandom } from '../../machines/selection/random.ts'
import { BanSet, genesisParams, toPrecedence, toScore, type TrustParams } from '../../machines/trust/index.ts'
import { Members } from './members.ts'
import { firstEpoch } from './mesh.ts'
import type { Notary } from './notary.ts'

/** The parameters of a network that has auditors and enough members: strangers' unpaid work counts little. */
const matureParams: TrustParams = { ...genesisParams, unfundedCapOn: 1 }
/** Audits of an account whose score counts in full. */
const manyAudits = { passes: 500, convictions: 0 }

interface Gain {
  readonly score: number
  readonly tier: Tier
}

export interface SybilsResult {
  readonly sybils: number
  readonly receipts: number
  /** By today's parameters. */
  readonly genesis: Gain
  /** With the cap on unfunded clients, and audits enough that nothing of the score is held back. */
  readonly mature: Gain
  /** Milli-credits that the worker can spend in the end. */
  readonly credit: number
}

/** Fresh clients that spend their newcomer's line on one worker, and take one more answer for nothing. */
export function pump(sybils: number, seed: number, notary: Notary): SybilsResult {
  const members = new Members(notary, createRandom(seed))
  const worker = members.join('pumped')
  let epoch = firstEpoch
  for (let count = 0; count < sybils; count++) {
    const sybil = members.join('sybil')
    let isPaid = true
    while (isPaid) isPaid = members.serve(sybil, worker, epoch)
    if (count % 10 === 0) epoch += 1
  }
  const atEpoch = epoch + genesisParams.finalityEpochs
  const bans = BanSet.empty
  const genesis = toScore(worker.state, atEpoch, { bans, params: genesisParams }).s
  const mature = toScore(worker.state, atEpoch, { bans, params: matureParams, audits: manyAudits }).s
  return {
    sybils,
    receipts: worker.state.receipts,
    genesis: { score: genesis, tier: toPrecedence(genesis, genesisParams).tier },
    mature: { score: mature, tier: toPrecedence(mature, matureParams).tier },
    credit: worker.state.earned,
  }
}
