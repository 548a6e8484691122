import type { NoiseStream } from 'hyperswarm'
import type { PeerId } from '../../../protocol/index.ts'
import type { FraudProof, Head, IdentityCard, ScoreStatement } from '../../../protocol/trust/index.ts'

/**
 * What became of something a peer sent. `new` is worth passing on; `invalid` counts against the sender; `later` cannot
 * be judged yet, for example a head of an account whose card is not known.
 */
export type Learned = 'new' | 'known' | 'later' | 'invalid'

/** Why everybody who looks finds an account guilty. */
export interface KnownBan {
  /** As its evidence is dated. */
  readonly epoch: number
  /** Absent when the account's own log is the evidence. */
  readonly proof?: FraudProof | undefined
}

/** The node's books as gossip sees them. What is learned is checked inside; nothing here throws. */
export interface GossipLedger {
  readonly ownId: PeerId
  /** Of this node's clock. */
  readonly epoch: number
  /** Entries of the longest log of which a valid head is known, by account, this node's own included. */
  lengths(): ReadonlyMap<PeerId, number>
  headOf(accountId: PeerId): Head | undefined
  cardOf(accountId: PeerId): IdentityCard | undefined
  /** Proofs that were learned. */
  proofs(): readonly FraudProof[]
  /** Everybody whom evidence bans that others can check; not those with whom only this node has fallen out. */
  banned(): ReadonlyMap<PeerId, KnownBan>
  learnCard(card: IdentityCard): Promise<Learned>
  learnHead(head: Head): Learned
  /** `later` for an account that nobody introduced: keys cost nothing, and each can sign against itself. */
  learnProof(proof: FraudProof): Learned
  /** Somebody's word about a score; used where the own books cannot tell. */
  learnStatement(statement: ScoreStatement): Learned
  /** What this node signs for an account at an epoch; undefined where it has not read the log. */
  statementOf(accountId: PeerId, epoch: number): ScoreStatement | undefined
  /** A connected peer holds this much of this node's own log: the start-up check wants to know. */
  heardOwnHead(head: Head): void
  /** Logs travel over this connection until the returned function is called. */
  replicate(stream: NoiseStream): () => void
  /** Reads on in logs of which longer heads are known, over the connections there are. Resolves when that is done. */
  catchUp(): Promise<void>
  /** Once an epoch. */
  sweep(): void
}
