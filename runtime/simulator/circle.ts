import type { Tier } from '../../machines/scheduling/index.ts'
import { createRandom } from '../../machines/selection/random.ts'
import { BanSet, genesisParams, toCredit, toPrecedence, toScore } from '../../machines/trust/index.ts'
import { Members } from './members.ts'
import { firstEpoch } from './mesh.ts'
import type { Notary } from './notary.ts'

export interface CircleResult {
  readonly name: string
  readonly seed: number
  readonly members: number
  readonly answers: number
  /** Means over the members. */
  readonly score: number
  readonly scorePerAnswer: number
  /** Milli-credits that a member has more or less at the end, everything vested. */
  readonly balance: number
  readonly balancePerAnswer: number
  readonly tier: Tier
}

const days = 20
const answersPerDay = 20

/** Accounts that serve each other only: the whole of an honest mesh, or a ring that wants to rise. */
export function circle(name: string, members: number, seed: number, notary: Notary): CircleResult {
  const random = createRandom(seed)
  const world = new Members(notary, random)
  const all = Array.from({ length: members }, () => world.join(name))
  let answers = 0
  let epoch = firstEpoch
  for (let step = 0; step < days * answersPerDay; step++) {
    epoch = firstEpoch + Math.floor((step * genesisParams.epochsPerDay) / answersPerDay)
    for (const [index, client] of all.entries()) {
      const worker = all[(index + 1 + Math.floor(random() * (members - 1))) % members]
      if (!worker) continue
      world.serve(client, worker, epoch)
      answers += 1
    }
  }
  const atEpoch = epoch + genesisParams.finalityEpochs + genesisParams.vestingEpochs
  const options = { bans: BanSet.empty, params: genesisParams }
  const score = meanOf(all.map(({ state }) => toScore(state, atEpoch, options).s))
  const balance = meanOf(all.map(({ state }) => toCredit(state, atEpoch, genesisParams).balance))
  const each = answers / members
  return {
    name,
    seed,
    members,
    answers,
    score,
    scorePerAnswer: score / each,
    balance,
    balancePerAnswer: balance / each,
    tier: toPrecedence(Math.floor(score), genesisParams).tier,
  }
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
