import type { PeerId } from '../../protocol/index.ts'

/** From first to last. A tier's place in this list is its rank: 0 goes first. */
export const tiers = ['master', 'diamond', 'platinum', 'gold', 'silver', 'bronze'] as const
export type Tier = (typeof tiers)[number]

export interface TierTerms {
  readonly rank: number
  /** Milliseconds added to the arrival of who has just come into this tier: the longest wait in it. */
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

/** Every wait is a multiple of this many milliseconds, so that there are few enough to have a lane each. */
export const waitStepMs = 100
/** Lanes of a queue: one for every wait from a Master's to a newcomer's. */
export const laneCount = headStartMsMax / waitStepMs + 1

/** The tier of each lane: a tier's waits are those up to its longest that are longer than any of the tier above. */
export const laneTiers: readonly Tier[] = Array.from(
  { length: laneCount },
  (_, lane) => tiers.find((tier) => lane * waitStepMs <= tierTerms[tier].waitMs) ?? 'bronze',
)

/** The rank of the tier that has this wait, in milliseconds. */
export const rankOfWait = (waitMs: number): number =>
  tierTerms[laneTiers[waitMs / waitStepMs] ?? 'bronze'].rank

/** What a client's score gives it in a queue. */
export interface Precedence {
  readonly tier: Tier
  /** Milliseconds added to its arrivals: a multiple of `waitStepMs` up to `headStartMsMax`, and one of its tier's. */
  readonly waitMs: number
}

/** Who has just come into a tier. */
export const entryOf = (tier: Tier): Precedence => ({ tier, waitMs: tierTerms[tier].waitMs })

/** Where a client's precedence comes from. Asked once per request, so an answer has to be at hand. */
export interface PrecedencePort {
  precedenceOf(clientId: PeerId): Precedence
}

/** Who has contributed nothing, as far as anybody knows. */
export const newcomer = entryOf('bronze')

/** Without evidence of contribution everybody is a newcomer. */
export const newcomersOnly: PrecedencePort = { precedenceOf: () => newcomer }
