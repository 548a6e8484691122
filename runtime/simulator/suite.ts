import { type CalmResult, runCalm } from './calm.ts'
import { circle, type CircleResult } from './circle.ts'
import { type LoadResult, runLoad } from './load.ts'
import { createHashNotary, createRealNotary } from './notary.ts'
import {
  checkOptions,
  type NodeStrategy,
  nodeStrategies,
  type SimulationOptions,
  type Strategy,
} from './options.ts'
import { run, type RunInput, type RunResult } from './run.ts'
import { pump, type SybilsResult } from './sybils.ts'

export interface SimulationResult {
  readonly options: SimulationOptions
  /** All chosen ways of misbehaving at once, for each number of nodes and each seed. */
  readonly mixed: readonly RunResult[]
  /** Nothing is told at once, the misbehaving are black holes: what rounds alone do. */
  readonly roundsOnly: readonly RunResult[]
  /** One way of misbehaving at a time. */
  readonly single: readonly { readonly strategy: NodeStrategy; readonly result: RunResult }[]
  readonly partition: readonly RunResult[]
  readonly churn: readonly RunResult[]
  readonly calm: readonly CalmResult[]
  readonly pumped: readonly SybilsResult[]
  readonly circles: readonly CircleResult[]
  readonly load: readonly LoadResult[]
}

/** Nodes of the runs that look at one thing at a time, at most. */
const singleNodesMax = 100
/** Larger runs are made with the first seed only. */
const manySeedsNodesMax = 300
/** Nodes from which on a table of bytes says nothing new and takes long. */
const calmNodesMax = 1_000
const splitRounds = 30
const churnRounds = 30
/** Part of the nodes that leave in each epoch. */
export const churnShare = 0.1
const sybilCounts = [10, 100, 1_000]
/** Members of rings, and of the honest mesh that they are compared with. */
const ringSizes = [5, 10, 30]
const honestSize = 60
const circleSeeds = 3
/** How much is asked for over what can be done, how often each asks, and whether tiers count. */
const loadRuns = [
  { load: 0.8, demand: 'person', hasTiers: true },
  { load: 1, demand: 'person', hasTiers: true },
  { load: 1.2, demand: 'person', hasTiers: true },
  { load: 1, demand: 'person', hasTiers: false },
  { load: 1.2, demand: 'person', hasTiers: false },
  { load: 1, demand: 'program', hasTiers: true },
] as const

export interface Watcher {
  /** Hears what is under way. */
  readonly progress?: (text: string) => void
  /** Ends the simulation, which then throws the signal's reason. */
  readonly signal?: AbortSignal
}

/** Runs everything that the options ask for. */
export async function simulate(
  options: SimulationOptions,
  { progress = () => {}, signal }: Watcher = {},
): Promise<SimulationResult> {
  checkOptions(options)
  const { seed, rounds, misbehaving, hasRealCrypto, isSuite } = options
  const createNotary = hasRealCrypto ? createRealNotary : createHashNotary
  const chosen = nodeStrategies.filter((strategy) => options.strategies.includes(strategy))
  const has = (name: Strategy): boolean => isSuite || options.strategies.includes(name)
  /** Whoever shows the progress, and Ctrl-C, get a turn. */
  const pause = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
  }
  const step = async <T>(text: string, work: () => T | Promise<T>): Promise<T> => {
    progress(text)
    await pause()
    return work()
  }
  const each = async (
    text: string,
    counts: readonly number[],
    extra: Partial<RunInput>,
  ): Promise<RunResult[]> => {
    const results: RunResult[] = []
    for (const nodes of counts)
      for (let more = 0; more < (nodes > manySeedsNodesMax ? 1 : options.seeds); more++) {
        const notary = createNotary()
        const one = {
          nodes,
          seed: seed + more,
          epochs: rounds,
          misbehaving,
          strategies: chosen,
          notary,
          pause,
        }
        results.push(await step(`${text}: ${nodes} nodes, seed ${one.seed}`, () => run({ ...one, ...extra })))
      }
    return results
  }
  const all = async <In, Out>(
    inputs: readonly In[],
    text: (input: In) => string,
    work: (input: In) => Out | Promise<Out>,
  ): Promise<Out[]> => {
    const results: Out[] = []
    for (const input of inputs) results.push(await step(text(input), () => work(input)))
    return results
  }

  const blackHoles: readonly NodeStrategy[] = ['black-holes']
  const smaller = [Math.min(singleNodesMax, Math.max(...options.nodes))]
  const mixed = chosen.length > 0 ? await each('misbehaving nodes', options.nodes, {}) : []
  const roundsOnly = isSuite
    ? await each('rounds alone', options.nodes, { isEager: false, strategies: blackHoles })
    : []
  const single: { strategy: NodeStrategy; result: RunResult }[] = []
  for (const strategy of isSuite ? chosen : [])
    for (const result of await each(strategy, smaller, { strategies: [strategy] }))
      single.push({ strategy, result })
  const split = { isSplit: true, epochs: splitRounds, strategies: blackHoles }
  const partition = has('partition') ? await each('partition', smaller, split) : []
  const leaving = { churn: churnShare, epochs: churnRounds, strategies: blackHoles }
  const churn = has('churn') ? await each('churn', smaller, leaving) : []
  const calm = await all(
    isSuite ? options.nodes.filter((count) => count <= calmNodesMax) : [],
    (nodes) => `calm: ${nodes} nodes`,
    (nodes) => runCalm({ nodes, seed, notary: createHashNotary(), pause }),
  )
  const pumped = await all(
    has('sybil-clients') ? sybilCounts : [],
    (count) => `${count} Sybil clients`,
    (count) => pump(count, seed, createHashNotary()),
  )
  const sizes = [['honest mesh', honestSize] as const, ...ringSizes.map((size) => ['ring', size] as const)]
  const circles = await all(
    has('wash-trading')
      ? sizes.flatMap(([name, size]) =>
          Array.from({ length: circleSeeds }, (_, more) => ({ name, size, seed: seed + more })),
        )
      : [],
    (one) => `${one.name} of ${one.size}, seed ${one.seed}`,
    (one) => circle(`${one.name} of ${one.size}`, one.size, one.seed, createHashNotary()),
  )
  const load = await all(
    isSuite ? loadRuns : [],
    (one) => `load ${one.load}, asked by ${one.demand}s`,
    (one) => runLoad({ ...one, seed, notary: createHashNotary(), pause }),
  )
  return { options, mixed, roundsOnly, single, partition, churn, calm, pumped, circles, load }
}
