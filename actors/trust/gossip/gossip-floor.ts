import type { PeerId } from '../../../protocol/index.ts'
import type { NetworkId } from '../../../protocol/trust/index.ts'
import type { GossipLink } from './gossip-link.ts'
import type { GossipLedger } from './gossip.port.ts'
import type { Holdings } from './holdings.ts'
import type { Learner } from './learner.ts'

/** The books, and what gossip keeps beside them while they are open. */
export interface Desk {
  readonly ledger: GossipLedger
  readonly holdings: Holdings
  readonly learner: Learner
}

/** What the parts of gossip share: who is there, and the books while they are open. */
export interface Floor {
  readonly networkId: NetworkId
  readonly links: ReadonlyMap<PeerId, GossipLink>
  /** Milliseconds of any steady clock. */
  readonly now: () => number
  /** Numbers in [0, 1). */
  readonly random: () => number
  readonly onDefect: (error: unknown) => void
  /** Undefined while the books are closed. */
  desk(): Desk | undefined
}

/** What a peer sent was well-formed, and no honest node passes it on. */
export const refuse = (link: GossipLink): void =>
  link.channel.violate('QM_EVIDENCE_INVALID', 'evidence that no honest node passes on')

export const shuffled = <T>(list: readonly T[], random: () => number): T[] =>
  list
    .map((value) => ({ value, rank: random() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ value }) => value)
