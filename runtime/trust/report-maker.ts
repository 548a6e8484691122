import type { Ledger } from '../../actors/trust/ledger.ts'
import type { Account } from '../../actors/trust/books.ts'
import type { Gossip } from '../../actors/trust/gossip/gossip.ts'
import type { Agreement } from '../../actors/trust/gossip/inquiries.ts'
import { headStartMsMax } from '../../machines/scheduling/index.ts'
import { achievements, toDue, toEvidence, type TrustParams } from '../../machines/trust/index.ts'
import { type PeerId, QMeshError } from '../../protocol/index.ts'
import { type LogEntry, type NetworkId, toReceiptId } from '../../protocol/trust/index.ts'
import type { NodeAccount } from '../node-status.ts'
import type { CreditReport, HistoryEntry, ScoreReport, ScoreRow } from './reports.ts'

/** What others say. */
export type Hearsay = Pick<Gossip, 'agreementOn' | 'regime' | 'regimes' | 'standings'>

/** Everybody, the highest score first. */
export function toLeaderboard(ledger: Ledger): ScoreRow[] {
  return [...ledger.books.accounts()]
    .filter(({ card }) => card !== undefined)
    .map((account) => toRow(ledger, account))
    .toSorted((a, b) => b.score - a.score || b.receipts - a.receipts || (a.id < b.id ? -1 : 1))
}

/**
 * @param idPart the account's id or its beginning; absent, this node's own
 * @throws QMeshError `QM_ACCOUNT_UNKNOWN`
 */
export async function toScoreReport(
  ledger: Ledger,
  idPart?: string,
  last = 20,
  gossip?: Hearsay,
): Promise<ScoreReport> {
  const account = findAccount(ledger, idPart)
  const { books } = ledger
  const { breakdown } = books.score(account)
  const { params } = books
  const capped = ({ rawQ, clientCapQ, countedQ }: typeof breakdown.funded) => ({
    raw: toPlain(rawQ),
    clientCap: toPlain(clientCapQ),
    counted: toPlain(countedQ),
  })
  return {
    ...toRow(ledger, account),
    ...toHearsay(account.id, ledger.ownId, gossip),
    epoch: books.epoch,
    counts: { ...breakdown.receipts },
    funded: capped(breakdown.funded),
    unfunded: capped(breakdown.unfunded),
    ...(Number.isFinite(breakdown.unfundedCapQ) && { unfundedCap: toPlain(breakdown.unfundedCapQ) }),
    achievements: breakdown.achievements.map((id) => ({
      id,
      why: achievements[id],
      points: params.achievementPoints,
    })),
    raw: toPlain(breakdown.rawQ),
    escrow: toPlain(breakdown.escrowQ),
    isAhead: breakdown.isAhead,
    clients: books.clientTerms(account).map(({ clientId, receipts, fundedQ, unfundedQ, countedQ }) => ({
      id: clientId,
      ...toName(ledger, clientId),
      receipts,
      raw: toPlain(fundedQ + unfundedQ),
      counted: toPlain(countedQ),
    })),
    faults: account.state.faults.map(({ index, code, sentence }) => ({ index, code, why: sentence })),
    entries: await toEntries(ledger, account, last),
  }
}

/** This node's own credit. */
export async function toCreditReport(ledger: Ledger, reserved: number, last = 20): Promise<CreditReport> {
  const account = findAccount(ledger)
  const { balance, line, earned, pending, paid, burned } = ledger.books.credit(account)
  const entries = await toEntries(ledger, account, last)
  return {
    id: account.id,
    balance: toCredits(balance),
    line: toCredits(line),
    available: toCredits(balance + line - reserved),
    earned: toCredits(earned),
    pending: toCredits(pending),
    paid: toCredits(paid),
    burned: toCredits(burned),
    entries: entries.filter((entry) =>
      entry.type === 'receipt' ? entry.price > 0 : entry.type === 'payment',
    ),
  }
}

/** This node's own account in a few words. */
export function toNodeAccount(ledger: Ledger): NodeAccount | undefined {
  const own = ledger.books.get(ledger.ownId)
  if (!own) return undefined
  const { tier, score, balance, line } = toRow(ledger, own)
  return { tier, score, balance, line }
}

function findAccount({ books, ownId }: Ledger, idPart?: string): Account {
  const own = idPart === undefined ? books.get(ownId) : undefined
  if (own) return own
  const found = [...books.accounts()].filter(({ id }) => idPart !== undefined && id.startsWith(idPart))
  const [account, ...others] = found
  if (account && others.length === 0) return account
  throw new QMeshError(
    'QM_ACCOUNT_UNKNOWN',
    account ? `${found.length} accounts begin with "${idPart}": give more of the id` : undefined,
  )
}

function toRow(ledger: Ledger, account: Account): ScoreRow {
  const { books } = ledger
  const { s, rep } = books.score(account)
  const { balance, line } = books.credit(account)
  const { id, state, head } = account
  const { tier, waitMs } = books.precedenceOf(id)
  const ban = books.recordOf(id)
  return {
    id,
    ...toName(ledger, id),
    isSelf: id === ledger.ownId,
    tier,
    headStartMs: headStartMsMax - waitMs,
    score: ban ? 0 : s,
    reputation: toPlain(rep),
    receipts: state.receipts,
    payments: state.payments,
    read: state.length,
    length: Math.max(state.length, head?.length ?? 0),
    balance: toCredits(balance),
    line: toCredits(line),
    ...(ban && { banned: ban.reason }),
  }
}

/** What others say of an account, and what it says itself of the weather: nothing that two nodes agree on. */
function toHearsay(
  id: PeerId,
  ownId: PeerId,
  gossip: Hearsay | undefined,
): Pick<ScoreReport, 'regime' | 'standing' | 'witnesses'> {
  if (!gossip) return {}
  const regime = id === ownId ? gossip.regime : gossip.regimes.get(id)
  const standing = gossip.standings().get(id)
  const agreement = gossip.agreementOn(id)
  return {
    ...(regime && { regime }),
    ...(standing && { standing: { ...standing, availability: toPlain(standing.availability) } }),
    ...(agreement && { witnesses: toWitnesses(agreement) }),
  }
}

const toWitnesses = ({ kind, ...counts }: Agreement): ScoreReport['witnesses'] => ({
  outcome: kind,
  ...counts,
})

function toName({ books }: Ledger, id: PeerId): { name?: string } {
  const name = books.get(id)?.card?.name
  return name ? { name } : {}
}

async function toEntries(ledger: Ledger, account: Account, last: number): Promise<HistoryEntry[]> {
  const { books, networkId } = ledger
  const entries = await ledger.entriesOf(account, last)
  return entries
    .flatMap(({ index, entry }) => toEntry(index, entry, books.params, networkId) ?? [])
    .toReversed()
}

function toEntry(
  index: number,
  entry: LogEntry,
  params: TrustParams,
  networkId: NetworkId,
): HistoryEntry | undefined {
  switch (entry.type) {
    case 'card':
      return { type: 'card', index, name: entry.card.name }
    case 'paid':
      return {
        type: 'payment',
        index,
        at: toTime(entry.epoch, params),
        requestId: entry.requestId,
        workerId: entry.workerId,
        amount: toCredits(entry.amount),
      }
    case 'receipt': {
      const { receipt, epoch } = entry
      const evidence = toEvidence(receipt, params)
      return {
        type: 'receipt',
        index,
        at: toTime(epoch, params),
        receiptId: toReceiptId(receipt.offer, networkId),
        clientId: receipt.offer.clientId,
        speed: evidence.speed,
        complexity: evidence.complexity,
        quality: evidence.quality,
        funding: evidence.funding,
        weight: toPlain(evidence.weightQ),
        worth: toPlain(evidence.valueQ),
        tokens: evidence.tokens,
        milliseconds: evidence.durationMs,
        price: toCredits(toDue(receipt, params)),
        isSigned: receipt.ack !== null && receipt.ack.kind !== 'tick',
      }
    }
    case 'unknown':
      return undefined
  }
}

/** Q16.16 for people. */
const toPlain = (q: number): number => Math.round((q / 65_536) * 1_000) / 1_000

const toCredits = (milliCredits: number): number => milliCredits / 1_000

const toTime = (epoch: number, { epochSeconds }: TrustParams): string =>
  new Date(epoch * epochSeconds * 1_000).toISOString()
