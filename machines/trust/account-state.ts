import type { PeerId } from '../../protocol/index.ts'
import type { IdentityCard } from '../../protocol/trust/card.ts'
import type { TrustParams } from './params.ts'

/** What can be wrong with an entry. It counts nothing then, except where the sentence says otherwise. */
export const logFaults = {
  'card-missing': 'The log does not begin with the card of its account.',
  'card-foreign': 'The card is of another account.',
  'card-stale': 'The card does not follow the one before it: its number is not higher.',
  'epoch-backwards': 'The entry is dated before the one in front of it.',
  'epoch-full': 'The log has more entries of one epoch than one account may have.',
  'log-too-long': 'The log has more entries than one account may have.',
  'receipt-foreign': 'The receipt is of another worker.',
  'receipt-self': 'The receipt is for work that the account did for itself.',
  'receipt-twice': 'The receipt is in the log already.',
  'receipt-late': 'The receipt was filed too long after its offer.',
  'receipt-early': 'The receipt is dated before its own offer or result.',
  'price-too-high': 'The price is higher than the tokens cost.',
  'price-on-gratis': 'The offer was for an answer without payment, yet there is a price.',
  'paid-twice': 'The payment is in the log already.',
  overspent: 'The account spent more than its credit line allows; the payment counts all the same.',
  'account-full': 'The sums of the account cannot hold another amount.',
} as const satisfies Record<string, string>

export type LogFaultCode = keyof typeof logFaults

export interface LogFault {
  readonly code: LogFaultCode
  readonly sentence: string
  /** Place of the entry in the log, from 0, and the epoch the log had reached. */
  readonly index: number
  readonly epoch: number
}

/** What the receipts of one client on one day come to. Sums of values in Q16.16, counts, and sums of points. */
export interface DayCell {
  readonly fundedQ: number
  readonly unfundedQ: number
  readonly gratisQ: number
  readonly receipts: number
  readonly speed: number
  readonly complexity: number
  readonly quality: number
  /** Receipts that count for achievements, and of those the fast and the long ones. */
  readonly sound: number
  readonly fast: number
  readonly long: number
}

/** A receipt that may not be final yet, under the epoch of its entry and the day of its result. */
export interface RecentReceipt {
  readonly epoch: number
  readonly day: number
  readonly clientId: PeerId
  readonly cell: DayCell
}

/**
 * What one account's log says, folded entry by entry. Everything that scores, credit and faults need, in bounded
 * memory: sums for each client and day for as long as a point decays, single receipts only for the last epochs.
 *
 * Only `applyEntry` changes a state, and in place: a state belongs to whoever folds it. `toSnapshot` copies.
 */
export interface AccountState {
  readonly accountId: PeerId
  readonly card: IdentityCard | null
  /** Entries folded. */
  readonly length: number
  /** The epoch of the last sound receipt or payment; 0 before the first. */
  readonly lastEpoch: number
  readonly receipts: number
  readonly payments: number
  readonly faultCount: number
  /** The first of them, at most `faultsKeptMax`. */
  readonly faults: readonly LogFault[]

  /** Ids of receipts by the epoch they were filed in, oldest first, while a second one would still be in time. */
  readonly seenReceipts: ReadonlyMap<string, number>
  /** Spend numbers of payments by epoch, oldest first, for as long. */
  readonly seenSpends: ReadonlyMap<number, number>
  /** Receipts and payments of `lastEpoch` that count: the two lists above are bounded by a bound of this. */
  readonly epochEntries: number
  /** The highest spend number that was ever paid with; 0 before the first. */
  readonly spentSeq: number

  /** Receipts that are final for everybody who may ask: day → client → sums. */
  readonly days: ReadonlyMap<number, ReadonlyMap<PeerId, DayCell>>
  /** Receipts that went into `days` so far … */
  readonly settled: number
  /** … and those after them, in the order of the log. */
  readonly recent: readonly RecentReceipt[]

  /** Milli-credits earned in all, and by epoch, oldest first, where some of it may not be vested. */
  readonly earned: number
  readonly earnings: ReadonlyMap<number, number>
  /** Milli-credits paid with the burn, and the burned part of them. */
  readonly paid: number
  readonly burned: number
}

/** Faults kept with their sentences; a log full of faults must not fill the memory of those who read it. */
export const faultsKeptMax = 64

export const createAccountState = (accountId: PeerId): AccountState => ({
  accountId,
  card: null,
  length: 0,
  lastEpoch: 0,
  receipts: 0,
  payments: 0,
  faultCount: 0,
  faults: [],
  seenReceipts: new Map(),
  seenSpends: new Map(),
  epochEntries: 0,
  spentSeq: 0,
  days: new Map(),
  settled: 0,
  recent: [],
  earned: 0,
  earnings: new Map(),
  paid: 0,
  burned: 0,
})

export const emptyCell: DayCell = {
  fundedQ: 0,
  unfundedQ: 0,
  gratisQ: 0,
  receipts: 0,
  speed: 0,
  complexity: 0,
  quality: 0,
  sound: 0,
  fast: 0,
  long: 0,
}

export const addCells = (a: DayCell, b: DayCell): DayCell => ({
  fundedQ: a.fundedQ + b.fundedQ,
  unfundedQ: a.unfundedQ + b.unfundedQ,
  gratisQ: a.gratisQ + b.gratisQ,
  receipts: a.receipts + b.receipts,
  speed: a.speed + b.speed,
  complexity: a.complexity + b.complexity,
  quality: a.quality + b.quality,
  sound: a.sound + b.sound,
  fast: a.fast + b.fast,
  long: a.long + b.long,
})

/**
 * Epochs that a log may be ahead of the epoch it is judged at. Clocks differ, and gossip brings entries of the epoch
 * that is only beginning here; a log further ahead claims work of the future and counts nothing until then.
 */
export const aheadEpochsMax = (params: TrustParams): number => params.filingEpochs

/** Whether the log reaches too far beyond an epoch to be judged at it; for a past epoch, fold its beginning only. */
export const isAhead = (state: AccountState, atEpoch: number, params: TrustParams): boolean =>
  state.lastEpoch > atEpoch + aheadEpochsMax(params)
