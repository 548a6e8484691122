import type { PeerId } from '../../protocol/index.ts'
import { limits } from '../../protocol/limits.ts'
import type { IdentityCard } from '../../protocol/trust/card.ts'
import type { LogEntry } from '../../protocol/trust/log-entry.ts'
import { toReceiptId } from '../../protocol/trust/receipt.ts'
import type { Receipt } from '../../protocol/trust/receipt.ts'
import { addCells, aheadEpochsMax, faultsKeptMax, logFaults } from './account-state.ts'
import type { AccountState, DayCell, LogFault, LogFaultCode, RecentReceipt } from './account-state.ts'
import { toDay } from './bans.ts'
import { toCredit } from './credit.ts'
import { toEvidence } from './evidence.ts'
import type { Evidence } from './evidence.ts'
import type { TrustParams } from './params.ts'
import { toBurn, toDue, toPaidPrice, toPrice } from './points.ts'

/**
 * The fold over one account's log. Signatures are not looked at: whoever takes an entry in has run `checkReceipt` or
 * checked the card; what is judged here is how the entries fit each other and the rules.
 *
 * Times of a receipt: it is final by the epoch of its *entry*, so what is final is always a beginning of the log; it
 * ages and is voided by the day of its *result*, so its worth does not depend on when it was filed.
 */
export interface FoldContext {
  readonly params: TrustParams
  readonly networkId: string
}

export interface Applied {
  /** The same object that was passed in. */
  readonly state: AccountState
  readonly fault?: LogFault
}

/** The state as only this file sees it. */
interface Draft extends AccountState {
  card: IdentityCard | null
  length: number
  lastEpoch: number
  receipts: number
  payments: number
  faultCount: number
  readonly faults: LogFault[]
  readonly seenReceipts: Map<string, number>
  readonly seenSpends: Map<number, number>
  epochEntries: number
  spentSeq: number
  readonly days: Map<number, Map<PeerId, DayCell>>
  settled: number
  readonly recent: RecentReceipt[]
  earned: number
  readonly earnings: Map<number, number>
  paid: number
  burned: number
}

type ReceiptEntry = Extract<LogEntry, { type: 'receipt' }>
type PaidEntry = Extract<LogEntry, { type: 'paid' }>

/**
 * Takes the next entry of the log in, changing the state in place. A faulty entry is counted and changes nothing else;
 * it never throws, so one bad entry does not hide the rest of a log.
 */
export function applyEntry(state: AccountState, entry: LogEntry, context: FoldContext): Applied {
  const draft = state as Draft
  const code = takeIn(draft, entry, context)
  const index = draft.length
  draft.length += 1
  if (code === null) return { state }
  const fault = { code, sentence: logFaults[code], index, epoch: draft.lastEpoch }
  draft.faultCount += 1
  if (draft.faults.length < faultsKeptMax) draft.faults.push(fault)
  return { state, fault }
}

function takeIn(draft: Draft, entry: LogEntry, context: FoldContext): LogFaultCode | null {
  if (draft.length >= limits.logLengthMax) return 'log-too-long'
  if (entry.type === 'card') return takeCard(draft, entry.card)
  if (draft.card === null) return 'card-missing'
  // A later version's entry is not a fault, it is only nothing to us.
  if (entry.type === 'unknown') return null
  if (entry.epoch < draft.lastEpoch) return 'epoch-backwards'
  // A log is its owner's word, and costs nothing: whoever reads it keeps no more of an epoch than this.
  if (entry.epoch === draft.lastEpoch && draft.epochEntries >= context.params.epochEntriesMax)
    return 'epoch-full'
  return entry.type === 'receipt' ? takeReceipt(draft, entry, context) : takePaid(draft, entry, context)
}

function takeCard(draft: Draft, card: IdentityCard): LogFaultCode | null {
  if (card.accountId !== draft.accountId) return 'card-foreign'
  if (draft.length > 0 && draft.card === null) return 'card-missing'
  if (draft.card !== null && card.seq <= draft.card.seq) return 'card-stale'
  draft.card = card
  return null
}

function takeReceipt(
  draft: Draft,
  { epoch, receipt }: ReceiptEntry,
  context: FoldContext,
): LogFaultCode | null {
  const { params, networkId } = context
  const fault = findReceiptFault(draft.accountId, epoch, receipt, params)
  if (fault !== null) return fault
  const receiptId = toReceiptId(receipt.offer, networkId)
  if (isSeen(draft.seenReceipts.get(receiptId), epoch, params)) return 'receipt-twice'
  const due = toDue(receipt, params)
  if (!Number.isSafeInteger(draft.earned + due)) return 'account-full'

  advance(draft, epoch, params)
  draft.epochEntries += 1
  draft.seenReceipts.set(receiptId, epoch)
  draft.receipts += 1
  draft.earned += due
  if (due > 0) draft.earnings.set(epoch, (draft.earnings.get(epoch) ?? 0) + due)
  const cell = toCell(toEvidence(receipt, params), params)
  draft.recent.push({
    epoch,
    day: toDay(receipt.result.epoch, params),
    clientId: receipt.offer.clientId,
    cell,
  })
  return null
}

/** What is wrong with a receipt whatever else the log holds. */
function findReceiptFault(
  accountId: PeerId,
  epoch: number,
  { offer, result }: Receipt,
  params: TrustParams,
): LogFaultCode | null {
  if (offer.workerId !== accountId) return 'receipt-foreign'
  if (offer.clientId === accountId) return 'receipt-self'
  if (epoch > offer.epoch + params.filingEpochs) return 'receipt-late'
  // The result is dated by the worker's clock, as the entry is; the offer by the client's, which may differ a little.
  const isAfterOffer = result.epoch + params.clockSkewEpochs >= offer.epoch
  if (result.epoch > epoch || !isAfterOffer) return 'receipt-early'
  if (offer.flags.isGratis && result.price > 0) return 'price-on-gratis'
  if (result.price > toPrice(result.nIn, result.nOut, params)) return 'price-too-high'
  return null
}

function takePaid(draft: Draft, entry: PaidEntry, { params }: FoldContext): LogFaultCode | null {
  const { epoch, spendSeq, amount } = entry
  if (isSeen(draft.seenSpends.get(spendSeq), epoch, params)) return 'paid-twice'
  if (!Number.isSafeInteger(draft.paid + amount)) return 'account-full'
  advance(draft, epoch, params)
  draft.epochEntries += 1
  draft.seenSpends.set(spendSeq, epoch)
  draft.spentSeq = Math.max(draft.spentSeq, spendSeq)
  draft.payments += 1
  draft.paid += amount
  draft.burned += amount - toPaidPrice(amount, params)
  const { balance, line } = toCredit(draft, epoch, params)
  return balance < -line ? 'overspent' : null
}

function toCell(evidence: Evidence, params: TrustParams): DayCell {
  const { funding, valueQ, speed, complexity, quality, isSound } = evidence
  return {
    fundedQ: funding === 'funded' ? valueQ : 0,
    unfundedQ: funding === 'unfunded' ? valueQ : 0,
    gratisQ: funding === 'gratis' ? valueQ : 0,
    receipts: 1,
    speed,
    complexity,
    quality,
    sound: Number(isSound),
    fast: Number(isSound && evidence.durationMs < params.speedDemonMs),
    long: Number(isSound && evidence.tokens >= params.marathonTokens),
  }
}

/** A copy filed after this is late, even if the client's clock was ahead when it signed the offer. */
const seenEpochs = (params: TrustParams): number => params.filingEpochs + params.clockSkewEpochs

/** Asked by epochs and not by what is still in memory: the answer must not depend on what else was filed before. */
const isSeen = (seenEpoch: number | undefined, epoch: number, params: TrustParams): boolean =>
  seenEpoch !== undefined && seenEpoch >= epoch - seenEpochs(params)

/**
 * Moves the log's clock on and forgets what can no longer matter. Each list is in the order of epochs, so forgetting
 * looks at little more than what goes.
 */
function advance(draft: Draft, epoch: number, params: TrustParams): void {
  if (epoch === draft.lastEpoch) return
  const dayBefore = toDay(draft.lastEpoch, params)
  draft.lastEpoch = epoch
  draft.epochEntries = 0
  dropBefore(draft.seenReceipts, epoch - seenEpochs(params))
  dropBefore(draft.seenSpends, epoch - seenEpochs(params))
  const settlingEpochs = params.finalityEpochs + aheadEpochsMax(params)
  dropEarningsBefore(draft.earnings, epoch - settlingEpochs - params.vestingEpochs)
  settle(draft, epoch - settlingEpochs)
  if (toDay(epoch, params) !== dayBefore) forgetDays(draft, params)
}

/** Drops what was put in before an epoch, from the front. */
function dropBefore(seen: Map<string | number, number>, epoch: number): void {
  for (const [id, seenEpoch] of seen) {
    if (seenEpoch >= epoch) return
    seen.delete(id)
  }
}

/** What was earned before an epoch is vested for everybody who may ask; it stays in the sum of everything earned. */
function dropEarningsBefore(earnings: Map<number, number>, epoch: number): void {
  for (const earnedEpoch of earnings.keys()) {
    if (earnedEpoch >= epoch) return
    earnings.delete(earnedEpoch)
  }
}

/** Receipts filed up to an epoch are final even for those whose clocks are behind: only their sums are kept. */
function settle(draft: Draft, epoch: number): void {
  const firstLater = draft.recent.findIndex((receipt) => receipt.epoch > epoch)
  const count = firstLater === -1 ? draft.recent.length : firstLater
  if (count === 0) return
  for (const { day, clientId, cell } of draft.recent.splice(0, count)) {
    const clients = draft.days.get(day) ?? new Map<PeerId, DayCell>()
    if (clients.size === 0) draft.days.set(day, clients)
    const known = clients.get(clientId)
    clients.set(clientId, known === undefined ? cell : addCells(known, cell))
  }
  draft.settled += count
}

/** A day's sums go when its points are worth nothing, one day later for those whose clocks are behind. */
function forgetDays(draft: Draft, params: TrustParams): void {
  const daysKept = params.decayQ.length
  const oldest = toDay(draft.lastEpoch, params) - daysKept
  for (const day of draft.days.keys()) if (day < oldest) draft.days.delete(day)
}

/** The amount that a client owes for a receipt with the burn, as its own log states it. */
export const toAmount = (receipt: Receipt, params: TrustParams): number => {
  const due = toDue(receipt, params)
  return due + toBurn(due, params)
}
