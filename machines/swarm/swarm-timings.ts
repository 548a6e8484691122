import { limits } from '../../protocol/index.ts'

/** Every wait of the swarm and its peers, in milliseconds. Tests shorten them; a node has no reason to. */
export interface SwarmTimings {
  readonly helloTimeoutMs: number
  /** A closing connection has this long to flush its last words. */
  readonly closeTimeoutMs: number
  /** First wait between two probes of the DHT while offline; doubled up to `probeMsMax`. */
  readonly probeOfflineMs: number
  readonly probeMsMax: number
  /** First wait between two searches while no worker is connected; doubled up to `searchMsMax`. */
  readonly searchMs: number
  readonly searchMsMax: number
  /** Between two searches while fewer than `workersWanted` workers are connected. */
  readonly searchFewMs: number
  /** Between two announcements while everything is fine: a DHT node that left took its records with it. */
  readonly announceMs: number
  /** Quiet time after a change of the DHT before announcing anew. */
  readonly settleMs: number
  /** The network has this long to say goodbye; nodes that are gone themselves would be waited for in vain. */
  readonly stopTimeoutMs: number
}

export const defaultSwarmTimings: SwarmTimings = {
  helloTimeoutMs: limits.helloTimeoutMs,
  closeTimeoutMs: 1_000,
  probeOfflineMs: 500,
  probeMsMax: 15_000,
  searchMs: 500,
  searchMsMax: 30_000,
  searchFewMs: 5_000,
  announceMs: 120_000,
  settleMs: 300,
  stopTimeoutMs: 2_000,
}
