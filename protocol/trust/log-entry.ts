import type { PeerId, RequestId } from '../ids.ts'
import { limits } from '../limits.ts'
import { malformed } from './bytes.ts'
import { cardFormat, type IdentityCard } from './card.ts'
import { format, type Format, hex, nested, uint, varint } from './codec.ts'
import { type Receipt, receiptFormat } from './receipt.ts'

/** One entry of an account's log: a byte for its kind, then its encoding. At most 4,096 bytes. */
export type LogEntry = CardEntry | ReceiptEntry | PaidEntry | UnknownEntry

/** The first entry, and whenever something about the account changed. */
export interface CardEntry {
  readonly type: 'card'
  readonly card: IdentityCard
}

/** Work done for somebody. */
export interface ReceiptEntry {
  readonly type: 'receipt'
  /** When it was filed, in epochs since 1970. */
  readonly epoch: number
  readonly receipt: Receipt
}

/** Somebody's work paid for. */
export interface PaidEntry {
  readonly type: 'paid'
  /** When it was filed, in epochs since 1970. */
  readonly epoch: number
  readonly workerId: PeerId
  readonly requestId: RequestId
  /** That of the offer. */
  readonly spendSeq: number
  /** Milli-credits: the price and its burn, at most 2 · 10^9. */
  readonly amount: number
}

/** Of a later version: it counts for nothing here. */
export interface UnknownEntry {
  readonly type: 'unknown'
  /** Its first byte. */
  readonly code: number
}

const codes = { card: 1, receipt: 2, paid: 3 } as const

type Body<Entry> = Omit<Entry, 'type'>

const bodies: {
  readonly card: Format<Body<CardEntry>>
  readonly receipt: Format<Body<ReceiptEntry>>
  readonly paid: Format<Body<PaidEntry>>
} = {
  card: format(1, { card: nested(cardFormat, 512) }),
  receipt: format(1, { epoch: uint(4, limits.epochMax), receipt: nested(receiptFormat, 2_048) }),
  paid: format(1, {
    epoch: uint(4, limits.epochMax),
    workerId: hex(32),
    requestId: hex(16),
    spendSeq: varint(),
    // The burn comes on top of the highest price there is.
    amount: varint(2 * limits.priceMax),
  }),
}

/** @throws QMeshError `QM_EVIDENCE_INVALID` */
export function encodeEntry(entry: Exclude<LogEntry, UnknownEntry>): Buffer {
  const body =
    entry.type === 'card'
      ? bodies.card.encode(entry)
      : entry.type === 'receipt'
        ? bodies.receipt.encode(entry)
        : bodies.paid.encode(entry)
  return Buffer.concat([Buffer.from([codes[entry.type]]), body])
}

/**
 * A kind that is not known is an entry all the same, which counts for nothing. A version that is not known is refused:
 * nodes that cannot agree on what a receipt is must not be in one network.
 *
 * @throws QMeshError `QM_EVIDENCE_INVALID`
 */
export function decodeEntry(bytes: Uint8Array): LogEntry {
  const [code] = bytes
  if (code === undefined || bytes.byteLength > limits.logEntryBytesMax) {
    throw malformed(`an entry has ${bytes.byteLength} bytes`)
  }
  const body = bytes.subarray(1)
  switch (code) {
    case codes.card:
      return { type: 'card', ...bodies.card.decode(body) }
    case codes.receipt:
      return { type: 'receipt', ...bodies.receipt.decode(body) }
    case codes.paid:
      return { type: 'paid', ...bodies.paid.decode(body) }
    default:
      return { type: 'unknown', code }
  }
}
