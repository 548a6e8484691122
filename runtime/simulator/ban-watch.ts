import { regimeTerms } from '../../machines/trust/regime.ts'
import type { GossipModel } from './gossip-model.ts'
import type { Mesh } from './mesh.ts'
import type { Misdeeds } from './misdeeds.ts'
import { type NodeStrategy, provableStrategies } from './options.ts'

/** What became of those of one strategy. */
export interface StrategyResult {
  readonly strategy: NodeStrategy
  readonly nodes: number
  /** Those with a misdeed that can be proved, and those of them that every honest node bans. */
  readonly guilty: number
  readonly found: number
  /** Rounds from the misdeed to the last honest node's ban, the slowest; null when not all were found. */
  readonly roundsToLastBan: number | null
  /** Connections between these and honest nodes at the end. */
  readonly linksLeft: number
}

/** Who bans whom, and when. */
export class BanWatch {
  /** Honest accounts that an honest node bans. */
  readonly honestBanned = new Set<number>()
  readonly #mesh: Mesh
  readonly #misdeeds: Misdeeds
  readonly #lastBanMs = new Map<number, number>()

  constructor(mesh: Mesh, gossip: GossipModel, misdeeds: Misdeeds) {
    this.#mesh = mesh
    this.#misdeeds = misdeeds
    gossip.onBanned = (node, { accountId }) => {
      const account = mesh.indexOf.get(accountId) ?? -1
      if (!node.isHonest || account < 0) return
      if (mesh.node(account).isHonest) this.honestBanned.add(account)
      this.#lastBanMs.set(account, mesh.clock.nowMs)
    }
  }

  /** Whether every honest node bans everybody with a misdeed that leaves a proof. */
  get isDone(): boolean {
    return [...this.#misdeeds.doneAtMs.keys()].every((account) => {
      const { strategy } = this.#mesh.node(account)
      return strategy === undefined || !provableStrategies.includes(strategy) || this.#isFound(account)
    })
  }

  toResults(strategies: readonly NodeStrategy[]): StrategyResult[] {
    return strategies.map((strategy) => this.#toResult(strategy))
  }

  #toResult(strategy: NodeStrategy): StrategyResult {
    const mesh = this.#mesh
    const { doneAtMs } = this.#misdeeds
    const { roundMs } = regimeTerms.calm
    const nodes = mesh.nodes.filter((node) => node.strategy === strategy)
    const guilty = nodes.filter(({ index }) => doneAtMs.has(index))
    const found = guilty.filter(({ index }) => this.#isFound(index))
    const rounds = found.map(
      ({ index }) => ((this.#lastBanMs.get(index) ?? 0) - (doneAtMs.get(index) ?? 0)) / roundMs,
    )
    return {
      strategy,
      nodes: nodes.length,
      guilty: guilty.length,
      found: found.length,
      roundsToLastBan: found.length === guilty.length && found.length > 0 ? Math.max(...rounds) : null,
      linksLeft: nodes.reduce(
        (count, { links }) => count + [...links].filter((peer) => mesh.node(peer).isHonest).length,
        0,
      ),
    }
  }

  #isFound(account: number): boolean {
    const { signer } = this.#mesh.account(account)
    return this.#mesh.honest.every((node) => node.books.isBanned(signer.id))
  }
}
