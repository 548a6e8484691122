import { aggregate } from '../../../machines/trust/aggregate.ts'
import { floorDiv, ONE } from '../../../machines/trust/fixed.ts'
import type { Regime } from '../../../machines/trust/regime.ts'
import { limits, type PeerId } from '../../../protocol/index.ts'
import type { PeerReport } from '../../../protocol/messages/scores.ts'
import type { Floor } from './gossip-floor.ts'
import type { Reporters } from './reporters.ts'

/** What nobody can recompute: how a node answers, as others see it. */
export interface Standing {
  readonly latencyMs: number
  /** 0 to ONE. */
  readonly availability: number
  /** Nodes whose word is in it, this one included. */
  readonly reporters: number
}

interface Seen {
  readonly latencyMs: number
  readonly availability: number
}

/** What each value can be at most: a hundredth of it never makes an outlier. */
const ranges = [20_000, ONE] as const
/** An eighth of the way from what was seen before to what was seen now. */
const smoothing = 8

/**
 * How quickly and reliably nodes answer on the scores network: what this node saw itself, what its peers say they saw,
 * and one value out of all that, formed as the regime asks for. Nobody is banned and no score depends on it.
 */
export class PeerReports {
  readonly #floor: Floor
  readonly #reporters: Reporters
  readonly #seen = new Map<PeerId, Seen>()
  /** Whom something new was seen of. */
  readonly #fresh = new Set<PeerId>()

  constructor(floor: Floor, reporters: Reporters) {
    this.#floor = floor
    this.#reporters = reporters
  }

  /** @param latencies by peer asked: milliseconds, or undefined for one that did not answer */
  note(latencies: ReadonlyMap<PeerId, number | undefined>): void {
    for (const [peerId, ms] of latencies) {
      const before = this.#seen.get(peerId)
      const availability = ms === undefined ? 0 : ONE
      const latencyMs = ms === undefined ? before?.latencyMs : Math.min(limits.durationMsMax, ms)
      // A peer that never answered has no latency, and nothing to report.
      if (latencyMs === undefined) continue
      this.#fresh.add(peerId)
      this.#seen.delete(peerId)
      this.#seen.set(peerId, {
        latencyMs: before ? toward(before.latencyMs, latencyMs) : latencyMs,
        availability: before ? toward(before.availability, availability) : availability,
      })
      const [oldest] = this.#seen.keys()
      if (this.#seen.size > limits.scoresReportsMax && oldest !== undefined) this.#seen.delete(oldest)
    }
  }

  /** What this node has to say since it was last asked; undefined for nothing. */
  takeMessage(): PeerReport | undefined {
    const peers = [...this.#seen]
      .filter(([accountId]) => this.#fresh.has(accountId))
      .map(([accountId, seen]) => ({ accountId, ...seen }))
    this.#fresh.clear()
    return peers.length === 0 ? undefined : { type: 'peer-report', peers }
  }

  /** Of each account that somebody reported on. Nobody's word about itself counts. */
  standings(ownId: PeerId, regime: Regime): ReadonlyMap<PeerId, Standing> {
    const said = new Map<PeerId, { readonly reporterId: PeerId; readonly seen: Seen }[]>()
    const add = (reporterId: PeerId, accountId: PeerId, seen: Seen): void => {
      if (reporterId === accountId) return
      const list = said.get(accountId) ?? []
      if (list.length === 0) said.set(accountId, list)
      list.push({ reporterId, seen })
    }
    for (const [accountId, seen] of this.#seen) add(ownId, accountId, seen)
    for (const { peerId, reports } of this.#floor.links.values()) {
      for (const [accountId, seen] of reports) add(peerId, accountId, seen)
    }
    return new Map(
      [...said].map(([accountId, list]) => {
        const influences = this.#reporters.influences(
          list.map(({ reporterId }) => reporterId),
          ownId,
        )
        const reports = list.map(({ reporterId, seen }) => ({
          reporterId,
          values: [seen.latencyMs, seen.availability],
          influence: influences.get(reporterId) ?? 0,
        }))
        const [latencyMs = 0, availability = 0] = aggregate(reports, regime, { ranges })
        return [accountId, { latencyMs, availability, reporters: list.length }]
      }),
    )
  }

  /** What this node itself saw, for the regime. */
  get latencies(): readonly { readonly peerId: PeerId; readonly ms: number }[] {
    return [...this.#seen].map(([peerId, { latencyMs }]) => ({ peerId, ms: latencyMs }))
  }
}

const toward = (before: number, now: number): number => before + eighthOf(now - before)

/** Rounds towards where it came from. */
const eighthOf = (difference: number): number =>
  difference < 0 ? -floorDiv(-difference, smoothing) : floorDiv(difference, smoothing)
