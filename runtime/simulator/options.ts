import { QMeshError } from '../../protocol/index.ts'

/** What a node can do wrong by itself; one that does nothing of it is honest. */
export const nodeStrategies = [
  'invented-scores',
  'one-sided-receipts',
  'replayed-receipts',
  'double-spending',
  'forks',
  'flooding',
  'black-holes',
] as const
/** What happens to the network, and what a group of accounts does together. */
const worldStrategies = ['partition', 'churn', 'sybil-clients', 'wash-trading'] as const

export const strategies = [...nodeStrategies, ...worldStrategies] as const
export type NodeStrategy = (typeof nodeStrategies)[number]
export type Strategy = (typeof strategies)[number]

/** Misdeeds that leave a proof: two signatures, or a log that anybody can read. */
export const provableStrategies: readonly NodeStrategy[] = [
  'one-sided-receipts',
  'replayed-receipts',
  'double-spending',
  'forks',
]

export interface SimulationOptions {
  /** How many nodes, one run for each. */
  readonly nodes: readonly number[]
  /** Rounds of dealing, an epoch each, before everything rests and has to become equal. */
  readonly rounds: number
  readonly seed: number
  /** Runs of each kind, with seeds that follow `seed`; of large ones only the first. */
  readonly seeds: number
  /** Part of the nodes that misbehave. */
  readonly misbehaving: number
  readonly strategies: readonly Strategy[]
  /** Everything that the claims are about, and not only the nodes that were asked for. */
  readonly isSuite: boolean
  /** Real keys and signatures instead of a keyed hash. */
  readonly hasRealCrypto: boolean
}

export const simulationLimits = {
  nodesMin: 10,
  nodesMax: 10_000,
  roundsMin: 4,
  roundsMax: 120,
  seedsMax: 100,
  seedMax: 2 ** 32 - 1,
  misbehavingMax: 0.4,
  realCryptoNodesMax: 100,
} as const

export const defaultOptions: SimulationOptions = {
  nodes: [100],
  rounds: 6,
  seed: 1,
  seeds: 1,
  misbehaving: 0.3,
  strategies: nodeStrategies,
  isSuite: false,
  hasRealCrypto: false,
}

/** What `isSuite` runs where nothing else was asked for. */
export const suiteNodes: readonly number[] = [10, 30, 100, 300, 1_000]

/** @throws QMeshError `QM_USAGE` for options that cannot be run */
export function checkOptions(options: SimulationOptions): void {
  const its = simulationLimits
  const { nodes, rounds, seed, seeds, misbehaving, hasRealCrypto } = options
  for (const count of nodes) wholeNumber('--nodes', count, its.nodesMin, its.nodesMax)
  if (nodes.length === 0 || options.strategies.length === 0)
    throw new QMeshError('QM_USAGE', 'expected at least one number of nodes and one strategy, got none')
  wholeNumber('--rounds', rounds, its.roundsMin, its.roundsMax)
  wholeNumber('--seed', seed, 0, its.seedMax)
  wholeNumber('--seeds', seeds, 1, its.seedsMax)
  if (!(misbehaving >= 0 && misbehaving <= its.misbehavingMax))
    throw new QMeshError('QM_USAGE', `--misbehaving must be from 0 to ${its.misbehavingMax}`)
  if (hasRealCrypto && Math.max(...nodes) > its.realCryptoNodesMax)
    throw new QMeshError('QM_USAGE', `--real-crypto works with up to ${its.realCryptoNodesMax} nodes`)
}

/** @throws QMeshError `QM_USAGE` for a name that is none */
export function toStrategies(names: readonly string[]): readonly Strategy[] {
  return names.map((name) => {
    const known = strategies.find((strategy) => strategy === name.trim())
    if (known) return known
    throw new QMeshError('QM_USAGE', `"${name}" is no strategy: choose from ${strategies.join(', ')}`)
  })
}

function wholeNumber(flag: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new QMeshError('QM_USAGE', `${flag} must be a whole number from ${min} to ${max}, but it is ${value}`)
}
