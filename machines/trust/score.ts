import { isAhead } from './account-state.ts'
import type { AccountState } from './account-state.ts'
import { toAchievements } from './achievements.ts'
import type { AchievementId } from './achievements.ts'
import { toDay } from './bans.ts'
import type { BanSet } from './bans.ts'
import { divQ, floorDiv, mulQ, ONE, percentOf } from './fixed.ts'
import type { TrustParams } from './params.ts'
import { ScoreView } from './score-view.ts'
import type { ClientWorth } from './score-view.ts'

export interface ScoreOptions {
  readonly bans: BanSet
  readonly params: TrustParams
  /** Audits of the account; without any, escrow lets through what it does for newcomers. */
  readonly audits?: AuditTally
}

export interface AuditTally {
  readonly passes: number
  readonly convictions: number
}

/** What the messages about a score carry: the score in points, three means and the reputation in Q16.16. */
export type ScoreValues = readonly [
  s: number,
  meanSpeed: number,
  meanComplexity: number,
  meanQuality: number,
  rep: number,
]

export interface Score {
  /** Whole points; what tiers go by. */
  readonly s: number
  /** Q16.16 means over the receipts that count. */
  readonly meanSpeed: number
  readonly meanComplexity: number
  readonly meanQuality: number
  /** 0 to ONE. */
  readonly rep: number
  readonly values: ScoreValues
  readonly breakdown: ScoreBreakdown
}

/** One of the two sums over clients, in Q16.16 points. */
export interface CappedSum {
  readonly rawQ: number
  /** The most that one client may count. */
  readonly clientCapQ: number
  readonly countedQ: number
}

/**
 * How a score came about: s = floor((funded + unfunded + achievements) · escrow), with `unfunded` under its own cap.
 * Amounts in Q16.16 points.
 */
export interface ScoreBreakdown {
  readonly atEpoch: number
  /** Receipts filed up to this epoch count. */
  readonly finalEpoch: number
  /** The log claims work of the future: nothing of it counts yet. */
  readonly isAhead: boolean
  /** Of all sound receipts: those that count, those void by a ban, those not final, those too old to be worth a thing. */
  readonly receipts: {
    readonly counted: number
    readonly void: number
    readonly pending: number
    readonly expired: number
  }
  readonly funded: CappedSum
  readonly unfunded: CappedSum
  /** The most that all unfunded clients may count together; Infinity where the parameters have no such cap. */
  readonly unfundedCapQ: number
  readonly achievements: readonly AchievementId[]
  readonly achievementsQ: number
  readonly rawQ: number
  /** The part of it that counts, before and with audits. */
  readonly escrowQ: number
}

/** A client's part in a score, for whoever asks why. */
export interface ClientTerm extends ClientWorth {
  /** What is left of both sums under the cap on one client. */
  readonly countedQ: number
}

/**
 * The score of an account at an epoch, which is that of the log's last entry or a later one. The same log, epoch, bans
 * and parameters give the same score on every machine.
 */
export function toScore(state: AccountState, atEpoch: number, options: ScoreOptions): Score {
  const { params, audits = { passes: 0, convictions: 0 } } = options
  const rep = toRep(audits, params)
  const escrowQ = Math.min(ONE, Math.max(params.escrowFloorQ, params.escrowRepFactor * rep))
  const ahead = isAhead(state, atEpoch, params)
  // Nothing of a log that is ahead is judged: an account that has never done a thing scores the same.
  const view = ahead ? null : viewOf(state, atEpoch, options)
  const funded = toCapped(view?.fundedQ ?? [], params)
  const unfunded = toCapped(view?.unfundedQ ?? [], params)
  const unfundedCapQ =
    params.unfundedCapOn === 1
      ? params.unfundedCapPoints * ONE + floorDiv(funded.countedQ, params.unfundedCapDivisor)
      : Infinity
  const achievements = view === null ? [] : toAchievements(view.deeds, params)
  const achievementsQ = achievements.length * params.achievementPoints * ONE
  const rawQ = funded.countedQ + Math.min(unfunded.countedQ, unfundedCapQ) + achievementsQ
  const s = floorDiv(mulQ(rawQ, escrowQ), ONE)
  const counted = view?.counted
  const mean = (sum = 0): number => (counted?.receipts ? divQ(sum, counted.receipts) : 0)
  const meanSpeed = mean(counted?.speed)
  const meanComplexity = mean(counted?.complexity)
  const meanQuality = mean(counted?.quality)
  return {
    s,
    meanSpeed,
    meanComplexity,
    meanQuality,
    rep,
    values: [s, meanSpeed, meanComplexity, meanQuality, rep],
    breakdown: {
      atEpoch,
      finalEpoch: toFinalEpoch(atEpoch, params),
      isAhead: ahead,
      receipts: toReceiptCounts(state, view),
      funded,
      unfunded,
      unfundedCapQ,
      achievements,
      achievementsQ,
      rawQ,
      escrowQ,
    },
  }
}

/** What each client adds to the score of `toScore`, the largest part first; empty for a log that is ahead. */
export function toClientTerms(state: AccountState, atEpoch: number, options: ScoreOptions): ClientTerm[] {
  const { params } = options
  if (isAhead(state, atEpoch, params)) return []
  const view = viewOf(state, atEpoch, options)
  const fundedCapQ = toCapped(view.fundedQ, params).clientCapQ
  const unfundedCapQ = toCapped(view.unfundedQ, params).clientCapQ
  return [...view.clients()]
    .map((worth) => ({
      ...worth,
      countedQ: Math.min(worth.fundedQ, fundedCapQ) + Math.min(worth.unfundedQ, unfundedCapQ),
    }))
    .toSorted((a, b) => b.countedQ - a.countedQ || (a.clientId < b.clientId ? -1 : 1))
}

/** ONE · passes / (passes + weight · convictions + prior): slow to rise, quick to fall. */
export function toRep({ passes, convictions }: AuditTally, params: TrustParams): number {
  const counted = Math.min(passes, params.repPassesMax)
  return divQ(counted, counted + params.repConvictionWeight * convictions + params.repPrior)
}

/** Entries of a later epoch are not final. -1 where nothing can be. */
const toFinalEpoch = (atEpoch: number, params: TrustParams): number =>
  Math.max(-1, atEpoch - params.finalityEpochs)

/** Sums over clients, each cut to a number of points or a part of the whole: no client alone makes a worker. */
function toCapped(worthQ: readonly number[], params: TrustParams): CappedSum {
  let rawQ = 0
  for (const worth of worthQ) rawQ += worth
  const clientCapQ = Math.max(params.clientCapPoints * ONE, percentOf(rawQ, params.clientCapPercent))
  let countedQ = 0
  for (const worth of worthQ) countedQ += Math.min(worth, clientCapQ)
  return { rawQ, clientCapQ, countedQ }
}

function toReceiptCounts(state: AccountState, view: ScoreView | null): ScoreBreakdown['receipts'] {
  const counted = view?.counted.receipts ?? 0
  const voided = view?.voidReceipts ?? 0
  const pending = view?.pendingReceipts ?? state.receipts
  return { counted, void: voided, pending, expired: state.receipts - counted - voided - pending }
}

const views = new WeakMap<AccountState, ScoreView>()

function viewOf(state: AccountState, atEpoch: number, { bans, params }: ScoreOptions): ScoreView {
  const finalEpoch = toFinalEpoch(atEpoch, params)
  const day = toDay(atEpoch, params)
  const known = views.get(state)
  if (known?.canServe(finalEpoch, day, bans, params) === true) {
    known.extend(finalEpoch)
    return known
  }
  const view = new ScoreView(state, finalEpoch, day, bans, params)
  views.set(state, view)
  return view
}
