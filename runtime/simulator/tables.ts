import type { StrategyResult } from './ban-watch.ts'
import { calmRequestsPerMinute } from './calm.ts'
import type { LoadGroup, LoadResult } from './load.ts'
import type { RunResult } from './run.ts'
import type { SimulationResult } from './suite.ts'

type Row = readonly (string | number)[]

export function toTable(header: readonly string[], rows: readonly Row[]): string {
  const lines = [header, header.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const runHeader = [
  'what',
  'nodes',
  'accounts',
  'seed',
  'rounds',
  'same scores',
  'honest banned',
  'gossip B/s',
  'logs B/s',
]

/** One row a run, under the name of what was tried. */
export const toRunTable = (
  groups: readonly (readonly [name: string, runs: readonly RunResult[]])[],
): string =>
  toTable(
    runHeader,
    groups.flatMap(([name, runs]) =>
      runs.map((run) => [
        name,
        run.nodes,
        run.accounts,
        run.seed,
        toRounds(run.roundsToEqual, 1),
        run.isScoreEqual ? 'yes' : 'no',
        run.honestBanned,
        run.gossipRate.toFixed(0),
        run.logRate.toFixed(0),
      ]),
    ),
  )

/** One row a strategy of a run. */
export const toStrategyTable = (runs: readonly RunResult[]): string =>
  toTable(
    [
      'nodes',
      'seed',
      'strategy',
      'of these',
      'with a misdeed',
      'banned by all',
      'rounds to last ban',
      'links left',
    ],
    runs.flatMap((run) => run.strategies.map((one) => toStrategyRow(run, one))),
  )

const toStrategyRow = ({ nodes, seed }: RunResult, one: StrategyResult): Row => [
  nodes,
  seed,
  one.strategy,
  one.nodes,
  one.guilty,
  one.guilty === 0 ? '–' : one.found,
  toRounds(one.roundsToLastBan, one.guilty),
  one.linksLeft,
]

const toRounds = (rounds: number | null, expected: number): string =>
  rounds !== null ? String(Math.round(rounds * 100) / 100) : expected === 0 ? '–' : 'never'

export const toCalmTable = ({ calm }: SimulationResult): string =>
  toTable(
    ['nodes', 'gossip B/s', `logs B/s, at ${calmRequestsPerMinute} answers a minute`],
    calm.map(({ nodes, gossipRate, logRate }) => [nodes, gossipRate.toFixed(1), logRate.toFixed(0)]),
  )

const seconds = (ms: number): string => (ms / 1_000).toFixed(1)
const percent = (part: number, of: number): string => `${Math.round((100 * part) / Math.max(1, of))} %`
const toTiers = ({ tiers }: LoadGroup): string =>
  Object.entries(tiers)
    .toSorted(([, a], [, b]) => b - a)
    .map(([tier, count]) => `${tier} ${count}`)
    .join(', ')

export const toLoadTable = ({ load }: SimulationResult): string =>
  toTable(
    [
      'load',
      'asked by',
      'tiers',
      'who',
      'nodes',
      'asked',
      'answered',
      'paid',
      'wait p50, s',
      'p99, s',
      'asked as',
    ],
    load.flatMap((one) => [
      toLoadRow(one, 'served', one.served),
      toLoadRow(one, 'only asked', one.onlyAsked),
    ]),
  )

const toLoadRow = (result: LoadResult, who: string, group: LoadGroup): Row => [
  `${result.load}×`,
  `${result.demand}s`,
  result.hasTiers ? 'earned' : 'none',
  who,
  who === 'served' ? result.givers : result.takers,
  group.asked,
  percent(group.answered, group.asked),
  percent(group.paid, group.asked),
  seconds(group.p50Ms),
  seconds(group.p99Ms),
  toTiers(group),
]

export const toSybilTable = ({ pumped }: SimulationResult): string =>
  toTable(
    ['clients', 'receipts', 'score today', 'tier', 'score with the cap', 'tier', 'credits earned'],
    pumped.map(({ sybils, receipts, genesis, mature, credit }) => [
      sybils,
      receipts,
      genesis.score,
      genesis.tier,
      mature.score,
      mature.tier,
      credit / 1_000,
    ]),
  )

export const toCircleTable = ({ circles }: SimulationResult): string =>
  toTable(
    ['who', 'seed', 'answers', 'score', 'score per answer', 'tier', 'balance per answer, mC'],
    circles.map((one) => [
      one.name,
      one.seed,
      one.answers,
      one.score.toFixed(1),
      one.scorePerAnswer.toFixed(3),
      one.tier,
      one.balancePerAnswer.toFixed(1),
    ]),
  )
