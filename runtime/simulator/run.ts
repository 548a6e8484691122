import { regimeTerms } from '../../machines/trust/regime.ts'
import type { Head } from '../../protocol/trust/index.ts'
import { countScoreTables, findDifference, toMinted } from './agreement.ts'
import { BanWatch, type StrategyResult } from './ban-watch.ts'
import { Dealing } from './dealing.ts'
import { GossipModel } from './gossip-model.ts'
import { Gossipers } from './gossipers.ts'
import { Mesh, type MeshInput } from './mesh.ts'
import { Misdeeds } from './misdeeds.ts'
import type { SimNode } from './sim-node.ts'

export interface RunInput extends MeshInput {
  /** Epochs of dealing. */
  readonly epochs: number
  /** False: nothing is told at once, only rounds bring news. */
  readonly isEager?: boolean
  /** Two halves that hear nothing of each other while they deal. */
  readonly isSplit?: boolean
  /** Part of the nodes that leave in each epoch, to come back some epochs later. */
  readonly churn?: number
}

export interface RunResult {
  readonly nodes: number
  readonly accounts: number
  readonly seed: number
  /** Rounds after the last epoch of dealing until all honest nodes hold the same; null when `restRoundsMax` did not do. */
  readonly roundsToEqual: number | null
  /** Whether they then also compute the same scores. */
  readonly isScoreEqual: boolean
  /** Honest accounts that an honest node bans. */
  readonly honestBanned: number
  readonly strategies: readonly StrategyResult[]
  /** Milli-credits that are there although nobody paid for them: 0 where everybody is honest. */
  readonly minted: number
  /** Bytes per node and second over the whole run. */
  readonly gossipRate: number
  readonly logRate: number
}

/** Rounds that a mesh at rest gets to become equal. */
export const restRoundsMax = 30
/** Rounds more that they get to find out whom not everybody bans yet. */
const lateRoundsMax = 4
/** The epoch of the misdeeds: logs have something in them by then. */
const misdeedEpoch = 2
const awayEpochsMax = 5

/** One run: everybody deals, some misbehave, then all rest until they agree. */
export async function run(input: RunInput): Promise<RunResult> {
  const { epochs, isEager = true, isSplit = false, churn = 0 } = input
  const mesh = new Mesh(input)
  const { clock, net } = mesh
  const { roundMs } = regimeTerms.calm
  const gossip = new GossipModel(mesh)
  gossip.isEager = isEager
  const dealing = new Dealing(mesh)
  const misdeeds = new Misdeeds(mesh, gossip, dealing)
  const watch = new BanWatch(mesh, gossip, misdeeds)
  const gossipers = startGossip(mesh, gossip)
  dealing.onGrown = (account) => {
    const node = mesh.node(account)
    holdOwn(mesh, node)
    // Who is away tells nobody; its log is the same when it is back.
    gossipers.grew(account, dealing.logOf(account).length)
  }
  const half = (node: number): number => node % 2
  const away = new Map<SimNode, number>()

  await gossipers.start(roundMs)
  net.reset()
  net.isCut = (from, to) => isSplit && half(from) !== half(to)
  for (let epoch = 0; epoch < epochs; epoch++) {
    if (churn > 0) comeAndGo(mesh, away, epoch, churn)
    dealing.plan(roundMs, (client, worker) => isSplit && half(client) !== half(worker))
    if (epoch === misdeedEpoch) misdeeds.commit()
    if (epoch >= misdeedEpoch) misdeeds.goOn()
    await clock.runUntil(clock.nowMs + roundMs)
  }
  net.isCut = () => false
  for (const node of away.keys()) node.isOnline = true
  let roundsToEqual: number | null = null
  for (let round = 1; round <= restRoundsMax; round++) {
    misdeeds.goOn()
    await clock.runUntil(clock.nowMs + roundMs)
    if (roundsToEqual === null && findDifference(mesh) === undefined) roundsToEqual = round
    if (roundsToEqual !== null && (watch.isDone || round >= roundsToEqual + lateRoundsMax)) break
  }
  gossipers.stop()
  const seconds = (clock.nowMs / 1_000 - roundMs / 1_000) * mesh.nodes.length
  return {
    nodes: mesh.nodes.length,
    accounts: mesh.accounts.length,
    seed: input.seed,
    roundsToEqual,
    isScoreEqual: countScoreTables(mesh) === 1,
    honestBanned: watch.honestBanned.size,
    strategies: watch.toResults(input.strategies),
    minted: toMinted(mesh),
    gossipRate: sum(net.sent.gossip) / seconds,
    logRate: sum(net.sent.logs) / seconds,
  }
}

const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0)

/**
 * Each node begins within the first round, at a moment of its own.
 *
 * @param toOwnHead what a node tells, where it has no log that is read
 */
export function startGossip(
  mesh: Mesh,
  gossip: GossipModel,
  toOwnHead?: (node: SimNode) => Head | undefined,
): Gossipers {
  const startsAtMs = mesh.nodes.map(() => mesh.random() * regimeTerms.calm.roundMs)
  return new Gossipers(mesh.clock, startsAtMs, {
    round: (index) => gossip.round(mesh.node(index)),
    announce: (index) => {
      if (index >= mesh.accounts.length) return
      const head = toOwnHead?.(mesh.node(index))
      gossip.announce(mesh.node(index), head ? [head] : mesh.toHeads(index))
    },
  })
}

/** A node's own head is in its own table at once. */
function holdOwn(mesh: Mesh, node: SimNode): void {
  const [log] = mesh.account(node.index).logs
  if (!log || log.length <= (node.heads[node.index]?.length ?? 0)) return
  node.takeHead(node.index, mesh.toHead(node.index, log))
  node.read[node.index] = log.length
  node.readLogs[node.index] = log
}

function comeAndGo(mesh: Mesh, away: Map<SimNode, number>, epoch: number, churn: number): void {
  for (const [node, until] of away) {
    if (epoch < until) continue
    node.isOnline = true
    away.delete(node)
  }
  for (const node of mesh.nodes) {
    if (!node.isOnline || mesh.random() >= churn) continue
    node.isOnline = false
    away.set(node, epoch + 1 + Math.floor(mesh.random() * awayEpochsMax))
  }
}
