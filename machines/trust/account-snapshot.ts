import { z } from 'zod'
import { peerIdSchema } from '../../protocol/index.ts'
import type { PeerId } from '../../protocol/index.ts'
import type { IdentityCard } from '../../protocol/trust/card.ts'
import { logFaults } from './account-state.ts'
import type { AccountState, DayCell, LogFaultCode, RecentReceipt } from './account-state.ts'

const count = z.int().min(0)
const faultCode = z.enum(Object.keys(logFaults) as [LogFaultCode, ...LogFaultCode[]])

/** The sums of a cell in this order; a list is a third of the size of the names. */
const cellSchema = z.tuple([count, count, count, count, count, count, count, count, count, count])
type CellRow = z.infer<typeof cellSchema>

const snapshotSchema = z.strictObject({
  version: z.literal(2),
  accountId: peerIdSchema,
  // A card is checked when it is decoded; here it comes back as it was written.
  card: z.looseObject({ accountId: peerIdSchema, seq: count }).nullable(),
  length: count,
  lastEpoch: count,
  receipts: count,
  payments: count,
  faultCount: count,
  faults: z.array(z.strictObject({ code: faultCode, index: count, epoch: count })),
  /** Every client once; elsewhere its place in this list stands for it. */
  clients: z.array(peerIdSchema),
  seenReceipts: z.array(z.tuple([z.string(), count])),
  seenSpends: z.array(z.tuple([count, count])),
  epochEntries: count,
  spentSeq: count,
  days: z.array(z.tuple([count, z.array(z.tuple([count, cellSchema]))])),
  settled: count,
  recent: z.array(z.tuple([count, count, count, cellSchema])),
  earned: count,
  earnings: z.array(z.tuple([count, count])),
  paid: count,
  burned: count,
})

/** An account's state as plain JSON: equal states have equal snapshots, however they came about. */
export type AccountSnapshot = z.infer<typeof snapshotSchema>

/** Copies a state for a cache. It belongs to one network and one parameter set: keep it apart from others'. */
export function toSnapshot(state: AccountState): AccountSnapshot {
  const ids = new Set<PeerId>()
  for (const clients of state.days.values()) for (const id of clients.keys()) ids.add(id)
  for (const { clientId } of state.recent) ids.add(clientId)
  const clients = [...ids].toSorted()
  const places = new Map(clients.map((id, place) => [id, place]))
  const placeOf = (id: PeerId): number => places.get(id) ?? 0
  return {
    version: 2,
    accountId: state.accountId,
    card: state.card === null ? null : { ...state.card },
    length: state.length,
    lastEpoch: state.lastEpoch,
    receipts: state.receipts,
    payments: state.payments,
    faultCount: state.faultCount,
    faults: state.faults.map(({ code, index, epoch }) => ({ code, index, epoch })),
    clients,
    seenReceipts: [...state.seenReceipts],
    seenSpends: [...state.seenSpends],
    epochEntries: state.epochEntries,
    spentSeq: state.spentSeq,
    days: [...state.days]
      .toSorted(([a], [b]) => a - b)
      .map(([day, cells]) => [
        day,
        [...cells]
          .map(([id, cell]): [number, CellRow] => [placeOf(id), toRow(cell)])
          .toSorted(([a], [b]) => a - b),
      ]),
    settled: state.settled,
    recent: state.recent.map(({ epoch, day, clientId, cell }) => [
      epoch,
      day,
      placeOf(clientId),
      toRow(cell),
    ]),
    earned: state.earned,
    earnings: [...state.earnings],
    paid: state.paid,
    burned: state.burned,
  }
}

/** The state again; null when this is no snapshot: it is a cache, so the log is folded anew then. */
export function fromSnapshot(snapshot: unknown): AccountState | null {
  const { data } = snapshotSchema.safeParse(snapshot)
  if (data === undefined) return null
  const { version: _, clients, card, faults, days, recent, ...rest } = data
  const isKnown = (place: number): boolean => place < clients.length
  if (!days.every(([, cells]) => cells.every(([place]) => isKnown(place)))) return null
  if (!recent.every(([, , place]) => isKnown(place))) return null
  const idOf = (place: number): PeerId => clients[place] ?? ''
  return {
    ...rest,
    card: card as unknown as IdentityCard | null,
    faults: faults.map((fault) => ({ ...fault, sentence: logFaults[fault.code] })),
    seenReceipts: new Map(rest.seenReceipts),
    seenSpends: new Map(rest.seenSpends),
    days: new Map(
      days.map(([day, cells]) => [day, new Map(cells.map(([place, row]) => [idOf(place), toCell(row)]))]),
    ),
    recent: recent.map(([epoch, day, place, row]): RecentReceipt => ({
      epoch,
      day,
      clientId: idOf(place),
      cell: toCell(row),
    })),
    earnings: new Map(rest.earnings),
  }
}

const toRow = (cell: DayCell): CellRow => [
  cell.fundedQ,
  cell.unfundedQ,
  cell.gratisQ,
  cell.receipts,
  cell.speed,
  cell.complexity,
  cell.quality,
  cell.sound,
  cell.fast,
  cell.long,
]

function toCell([
  fundedQ,
  unfundedQ,
  gratisQ,
  receipts,
  speed,
  complexity,
  quality,
  sound,
  fast,
  long,
]: CellRow): DayCell {
  return { fundedQ, unfundedQ, gratisQ, receipts, speed, complexity, quality, sound, fast, long }
}
