import type { PeerId } from '../../protocol/index.ts'

/** From first to last. A tier's place in this list is its rank: 0 goes first. */
export const tiers = ['master', 'diamond', 'platinum', 'gold', 'silver', 'bronze'] as const
export type Tier = (typeof tiers)[number]

export interface TierTerms {
  readonly rank: number
  /** Milliseconds added to the arrival: the head start that this tier gives to a Master. */
  readonly waitMs: number
}

export const tierTerms: Readonly<Record<Tier, TierTerms>> = {
  master: { rank: 0, waitMs: 0 },
  diamond: { rank: 1, waitMs: 100 },
  platinum: { rank: 2, waitMs: 500 },
  gold: { rank: 3, waitMs: 1_000 },
  silver: { rank: 4, waitMs: 2_000 },
  bronze: { rank: 5, waitMs: 5_000 },
}

/** The rank of Bronze: the tier of newcomers, and the one with a reserved part of the queue. */
export const bronzeRank = tierTerms.bronze.rank

/** Milliseconds by which one request can go ahead of another that came before it; never more. */
export const headStartMsMax = tierTerms.bronze.waitMs - tierTerms.master.waitMs

/** Where a client's tier comes from. Asked once per request, so an answer has to be at hand. */
export interface TierPort {
  tierOf(clientId: PeerId): Tier
}

/** Without evidence of contribution everybody is a newcomer. */
export const bronzeForAll: TierPort = { tierOf: () => 'bronze' }
