import type { CircleResult } from './circle.ts'
import type { LoadGroup } from './load.ts'
import { provableStrategies } from './options.ts'
import type { RunResult } from './run.ts'
import type { SimulationResult } from './suite.ts'

/** One promise of the design, and what the runs gave. */
export interface Target {
  readonly claim: string
  readonly target: string
  readonly measured: string
  /** `none`: these runs cannot tell. */
  readonly verdict: 'met' | 'missed' | 'none'
}

const growthMax = 1.25
const pumpedScoreMax = 50
const healRoundsMax = 8
/** What is promised for digests and for bans, by the number of nodes up to which it is. */
const roundsMax = [
  { nodes: 100, rounds: 8 },
  { nodes: 1_000, rounds: 10 },
] as const
/** A fork is to be known to everybody within so many rounds. */
const forkRoundsMax = 6

export function toTargets(result: SimulationResult): Target[] {
  const { mixed, roundsOnly, single, partition, churn } = result
  const runs = [...mixed, ...roundsOnly, ...single.map((one) => one.result), ...partition, ...churn]
  const share = `${Math.round(100 * result.options.misbehaving)} % misbehaving`
  return [
    ...roundsMax.map(({ nodes, rounds }) => {
      const claim = `rounds to identical digests, ${nodes.toLocaleString('en')} nodes, ${share}`
      return toRoundsTarget(
        claim,
        [...mixed, ...roundsOnly].filter((run) => run.nodes === nodes),
        rounds,
      )
    }),
    toTarget(
      'runs after which honest nodes compute different scores',
      '0',
      runs.map(({ isScoreEqual }) => Number(!isScoreEqual)),
      { most: 0, toText: (values) => `${sum(values)} of ${values.length}` },
    ),
    toTarget(
      'honest nodes banned',
      '0',
      runs.map(({ honestBanned }) => honestBanned),
      { most: 0, toText: (values) => `${sum(values)} in ${values.length} runs` },
    ),
    ...toBanTargets(result),
    toRoundsTarget(
      'rounds to identical digests after two halves dealt apart for 30 rounds',
      partition,
      healRoundsMax,
    ),
    toGrowthTarget(result, 'bytes of gossip per node and second in calm, 100 → 1,000 nodes', 'gossipRate'),
    toGrowthTarget(result, 'bytes of logs per node and second in calm, 100 → 1,000 nodes', 'logRate'),
    ...toLoadTargets(result),
    ...toSybilTargets(result),
    toRingTarget(result),
    toBurnTarget(result),
  ]
}

interface Bound {
  readonly most: number
  readonly toText: (values: readonly number[]) => string
}

function toTarget(claim: string, target: string, values: readonly number[], { most, toText }: Bound): Target {
  if (values.length === 0) return { claim, target, measured: 'not run', verdict: 'none' }
  const verdict = values.every((value) => value <= most) ? 'met' : 'missed'
  return { claim, target, measured: toText(values), verdict }
}

function toRoundsTarget(claim: string, runs: readonly RunResult[], most: number): Target {
  const toText = (values: readonly number[]): string => {
    const worst = Math.max(...values)
    return Number.isFinite(worst) ? `at most ${worst}` : 'not within the run'
  }
  const rounds = runs.map(({ roundsToEqual }) => roundsToEqual ?? Infinity)
  return toTarget(claim, `≤ ${most}`, rounds, { most, toText })
}

/** All provable misdeeds are found by all, and in time. */
function toBanTargets({ single, mixed }: SimulationResult): Target[] {
  const runs = [...single.map(({ result }) => result), ...mixed]
  const provable = runs.flatMap(({ nodes, strategies }) =>
    strategies
      .filter(({ strategy, guilty }) => guilty > 0 && provableStrategies.includes(strategy))
      .map((one) => ({ ...one, runNodes: nodes })),
  )
  const guilty = sum(provable.map((one) => one.guilty))
  const missing = guilty - sum(provable.map((one) => one.found))
  const late = provable.map(({ strategy, roundsToLastBan, runNodes }) => {
    const promised = roundsMax.find(({ nodes }) => runNodes <= nodes)?.rounds ?? Infinity
    return (roundsToLastBan ?? Infinity) - (strategy === 'forks' ? forkRoundsMax : promised)
  })
  const worst = Math.max(...provable.map(({ roundsToLastBan }) => roundsToLastBan ?? Infinity))
  return [
    toTarget('provable cheats that all honest nodes ban', 'all', guilty > 0 ? [missing] : [], {
      most: 0,
      toText: () => `${guilty - missing} of ${guilty}`,
    }),
    toTarget(
      'rounds until the last honest node bans a provable cheat',
      '≤ 8, ≤ 10 from 101 nodes, fork ≤ 6',
      late,
      {
        most: 0,
        toText: () => (Number.isFinite(worst) ? `at most ${worst.toFixed(2)}` : 'some never'),
      },
    ),
  ]
}

function toGrowthTarget({ calm }: SimulationResult, claim: string, rate: 'gossipRate' | 'logRate'): Target {
  const [small, large] = [100, 1_000].map((nodes) => calm.find((one) => one.nodes === nodes))
  return toTarget(claim, `growth ≤ ${growthMax}×`, small && large ? [large[rate] / small[rate]] : [], {
    most: growthMax,
    toText: ([growth = 0]) => `${growth.toFixed(2)}×`,
  })
}

const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** Who served waits less at the middle and at the end, and has no smaller part of its requests answered. */
function toLoadTargets({ load }: SimulationResult): Target[] {
  const part = ({ asked, answered }: LoadGroup): number => answered / asked
  return load
    .filter(({ hasTiers }) => hasTiers)
    .map(({ load: much, demand, served, onlyAsked }) => {
      const worse = [
        served.p50Ms - onlyAsked.p50Ms,
        served.p99Ms - onlyAsked.p99Ms,
        part(onlyAsked) - part(served),
      ]
      return toTarget(
        `wait of those that served against those that only ask, ${much}× load, asked by ${demand}s`,
        'less',
        worse,
        {
          most: 0,
          toText: () =>
            `p50 ${inSeconds(served.p50Ms)} / ${inSeconds(onlyAsked.p50Ms)}, ` +
            `p99 ${inSeconds(served.p99Ms)} / ${inSeconds(onlyAsked.p99Ms)}, ` +
            `answered ${percent(part(served))} / ${percent(part(onlyAsked))}`,
        },
      )
    })
}

const percent = (share: number): string => `${Math.round(100 * share)} %`

function toSybilTargets({ pumped }: SimulationResult): Target[] {
  const bound = {
    most: pumpedScoreMax,
    toText: (values: readonly number[]) => `at most ${Math.max(...values)}`,
  }
  return [
    toTarget(
      'score of a worker pumped by Sybils, with the cap on unfunded clients',
      `≤ ${pumpedScoreMax}`,
      pumped.map(({ mature }) => mature.score),
      bound,
    ),
    toTarget(
      'the same by the parameters of today, which have no such cap',
      `≤ ${pumpedScoreMax}`,
      pumped.map(({ genesis }) => genesis.score),
      bound,
    ),
  ]
}

const meanOf = (values: readonly number[]): number => sum(values) / values.length

/** Means over the seeds. */
function toRingTarget({ circles }: SimulationResult): Target {
  const isRing = ({ name }: CircleResult): boolean => name.startsWith('ring')
  const honest = circles.filter((one) => !isRing(one)).map(({ scorePerAnswer }) => scorePerAnswer)
  const names = [...new Set(circles.filter(isRing).map(({ name }) => name))]
  const ratios = names.map(
    (name) =>
      meanOf(circles.filter((one) => one.name === name).map(({ scorePerAnswer }) => scorePerAnswer)) /
      meanOf(honest),
  )
  return toTarget(
    'score per answer of a wash trading ring against an honest mesh',
    '≤ 1×',
    honest.length > 0 ? ratios : [],
    {
      most: 1,
      toText: (values) => names.map((name, at) => `${name} ${(values[at] ?? 0).toFixed(3)}×`).join(', '),
    },
  )
}

function toBurnTarget({ circles }: SimulationResult): Target {
  const rings = circles
    .filter(({ name }) => name.startsWith('ring'))
    .map(({ balancePerAnswer }) => balancePerAnswer)
  return toTarget('milli-credits that a ring gains by an answer among its members', '< 0', rings, {
    most: -1e-9,
    toText: (values) => `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`,
  })
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
