import sodium from 'sodium-universal'
import type { PeerId, RequestId } from '../ids.ts'
import { limits } from '../limits.ts'
import {
  bits,
  format,
  type Format,
  hex,
  nested,
  nullable,
  oneOf,
  optionalHex,
  signed,
  uint,
  varint,
} from './codec.ts'
import { type NetworkId, signedFormat } from './signing.ts'

/**
 * What one request leaves behind. Bytes, signatures included:
 *
 *                  usual   at most
 *     offer          246       280   with the prompt
 *     result         142       155   with the last tokens
 *     ack, tick      106       110   every 64 tokens
 *     ack, final     138       142   once
 *     receipt        534       585   in the worker's log, and 8 for being an entry of it
 *
 * All ids, hashes and signatures are lower-case hex here and bytes in an encoding; epochs are counted since 1970, as
 * long as the network's parameters say, and go up to 2^32 − 1.
 */

const epoch = uint(4, limits.epochMax)
const price = varint(limits.priceMax)
const tokens = varint(limits.outputTokensMax)
const ms = varint(limits.durationMsMax)
/** Milli-credits, either way: what fits a safe integer with room for adding up. */
const balanceMax = 2 ** 51

/** The client's promise to pay for an answer; goes with the prompt. */
export interface Offer {
  /** 16 bytes, random: one request of a client, and so one receipt. */
  readonly requestId: RequestId
  readonly clientId: PeerId
  readonly workerId: PeerId
  /** SHA-256 of the model file, 32 bytes. */
  readonly modelHash: string
  /** See `toPromptCommit`, 32 bytes. */
  readonly promptCommit: string
  /** Tokens that this worker may generate, at most 32,768. */
  readonly maxOut: number
  /** 0 greedy, 1 seeded in a way that can be checked, 2 any other. */
  readonly samplingId: number
  /** Of the sampling: a safe integer, at least 0. */
  readonly seed: number
  /** Milli-credits, at most 10^9. 0 when the client has none left: it is then served when nobody else waits. */
  readonly maxPrice: number
  /** When it was made. */
  readonly epoch: number
  /** A safe integer. Grows over the client's whole life: milliseconds since 1970 when it was made, or one more than the last. */
  readonly spendSeq: number
  /**
   * Milli-credits that the client has left if the answer costs `maxPrice`, by its own log up to `headLength`; from
   * −2^51 to 2^51, and negative on the newcomer's line.
   */
  readonly balanceAfter: number
  /** Entries of the client's log, at most 10^9. */
  readonly headLength: number
  /** The first half of the log's tree hash at that length; 16 zero bytes for an empty log. */
  readonly headHash: string
  /** Tokens of the answer that other workers had delivered, at most 32,768. */
  readonly resumed: number
  readonly flags: {
    /** An auditor can redo the answer, which was greedy or had a seed, and may be shown it. */
    readonly isAuditable: boolean
    /** They may be shown to nobody: the receipt then counts for less. */
    readonly isPrivate: boolean
    /** Tokens are sent while they come. */
    readonly isStreaming: boolean
    /** `maxPrice` is 0. */
    readonly isGratis: boolean
  }
  /**
   * Reserved, and empty: the nonce of a request's effort goes beside the offer, in the prompt. It is checked before an
   * offer is read, clients without an account make none, and nobody has a use for it in a log.
   */
  readonly effortNonce: string
  /** By the client, 64 bytes. */
  readonly signature: string
}

export const offerFormat = signedFormat<Offer>(
  'offer',
  format(1, {
    requestId: hex(16),
    clientId: hex(32),
    workerId: hex(32),
    modelHash: hex(32),
    promptCommit: hex(32),
    maxOut: tokens,
    samplingId: uint(1, 2),
    seed: varint(),
    maxPrice: price,
    epoch,
    spendSeq: varint(),
    balanceAfter: signed(balanceMax),
    headLength: varint(limits.logLengthMax),
    headHash: hex(16),
    resumed: tokens,
    flags: bits(['isAuditable', 'isPrivate', 'isStreaming', 'isGratis']),
    effortNonce: optionalHex(8),
  }),
)

export const resultFinishes = ['stop', 'length', 'stop-string', 'partial'] as const

/** The worker's word for what it did; goes with the last tokens. */
export interface Result {
  /** See `offerFormat.toHash`, 32 bytes. */
  readonly offerHash: string
  /** See `toOutputCommit`: this worker's part of the answer, hidden by the salt of the prompt, 32 bytes. */
  readonly outputCommit: string
  /** Tokens of the prompt that count, at most 16,777,216: no more than its text can give, see `toPromptTokensMax`. */
  readonly nIn: number
  /** Tokens that this worker generated, at most 32,768. */
  readonly nOut: number
  /** Why it ended; `partial` when it was broken off. */
  readonly finish: (typeof resultFinishes)[number]
  /** Milliseconds from the prompt's arrival, the queue included, to the first and to the last token; at most a day. */
  readonly firstTokenMs: number
  readonly totalMs: number
  /** Milli-credits, at most the offer's `maxPrice`. */
  readonly price: number
  /** 0 CPU, 1 CUDA, 2 Metal, 3 Vulkan, 255 unknown: how an audit compares. */
  readonly execProfile: number
  /** When it was done. */
  readonly epoch: number
  /** By the worker, 64 bytes. */
  readonly signature: string
}

/** Version 2: the commitment to the answer is salted. */
export const resultFormat = signedFormat<Result>(
  'result',
  format(2, {
    offerHash: hex(32),
    outputCommit: hex(32),
    nIn: varint(limits.contextTokensMax),
    nOut: tokens,
    finish: oneOf(resultFinishes),
    firstTokenMs: ms,
    totalMs: ms,
    price,
    execProfile: uint(1),
    epoch,
  }),
)

export const ackKinds = ['tick', 'closing', 'final'] as const

/** The client's word for what it received, all in all: the next one stands for the ones before it. */
export interface Ack {
  /** See `offerFormat.toHash`, 32 bytes. */
  readonly offerHash: string
  /** tick: in mid-answer; closing: the client stops here; final: it has the whole, and the result is right. */
  readonly kind: (typeof ackKinds)[number]
  /** Tokens of this worker's part, at most the offer's `maxOut`. */
  readonly received: number
  /** See `resultFormat.toHash`, 32 bytes; empty unless `final`. */
  readonly resultHash: string
  /** Milliseconds since the client sent the prompt, at most a day. */
  readonly clientMs: number
  /** When it was signed. */
  readonly epoch: number
  /** By the client, 64 bytes. */
  readonly signature: string
}

export const ackFormat = signedFormat<Ack>(
  'ack',
  format(1, {
    offerHash: hex(32),
    kind: oneOf(ackKinds),
    received: tokens,
    resultHash: optionalHex(32),
    clientMs: ms,
    epoch,
  }),
)

/** The unit of evidence: the promise, what was done for it, and the client's last word, if it gave one. */
export interface Receipt {
  readonly offer: Offer
  readonly result: Result
  readonly ack: Ack | null
}

const partBytesMax = 512

export const receiptFormat: Format<Receipt> = format(1, {
  offer: nested(offerFormat, partBytesMax),
  result: nested(resultFormat, partBytesMax),
  ack: nullable(nested(ackFormat, partBytesMax)),
})

/** Names a receipt wherever it turns up: BLAKE2b-128(network id ‖ client id ‖ request id), in hex. */
export function toReceiptId({ clientId, requestId }: Offer, networkId: NetworkId): string {
  const id = Buffer.alloc(16)
  sodium.crypto_generichash_batch(
    id,
    [networkId, clientId, requestId].map((part) => Buffer.from(part, 'hex')),
  )
  return id.toString('hex')
}

/** What is wrong with an offer by itself, if something is. */
export function checkOffer(offer: Offer, networkId: NetworkId): string | undefined {
  if (offer.clientId === offer.workerId) return 'is made to its own maker'
  if (offer.flags.isGratis !== (offer.maxPrice === 0)) return 'is gratis and has a price, or neither'
  if (!offerFormat.isSigned(offer, offer.clientId, networkId)) return 'is not signed by its client'
  return undefined
}

/** What is wrong with an acknowledgement of this offer and, when it is final, of this result. */
export function checkAck(
  ack: Ack,
  { offer, result }: { readonly offer: Offer; readonly result: Result | undefined },
  networkId: NetworkId,
): string | undefined {
  if (ack.offerHash !== offerFormat.toHash(offer, networkId)) return 'acknowledges another offer'
  if (ack.received > offer.maxOut) return 'acknowledges more than was asked for'
  if ((ack.kind === 'final') !== (ack.resultHash !== ''))
    return 'is final without a result, or has one and is not'
  if (ack.kind === 'final') {
    if (!result || ack.resultHash !== resultFormat.toHash(result, networkId))
      return 'acknowledges another result'
    if (ack.received !== result.nOut) return 'acknowledges a part as the whole'
  }
  if (result && ack.received > result.nOut) return 'acknowledges more than was delivered'
  if (!ackFormat.isSigned(ack, offer.clientId, networkId)) return 'is not signed by the client'
  return undefined
}

/**
 * What is wrong with a receipt by itself, if something is: signatures, hashes, and that its parts can belong together.
 * Prices, times and whether it came before are the business of whoever counts it. Never throws.
 */
export function checkReceipt({ offer, result, ack }: Receipt, networkId: NetworkId): string | undefined {
  const wrongOffer = checkOffer(offer, networkId)
  if (wrongOffer !== undefined) return `the offer ${wrongOffer}`
  if (result.offerHash !== offerFormat.toHash(offer, networkId)) return 'the result is of another offer'
  if (result.nOut > offer.maxOut) return 'the result has more tokens than were asked for'
  if (result.price > offer.maxPrice) return 'the result costs more than was offered'
  if (result.firstTokenMs > result.totalMs) return 'the first token came after the last'
  if (!resultFormat.isSigned(result, offer.workerId, networkId))
    return 'the result is not signed by the worker'
  const wrongAck = ack === null ? undefined : checkAck(ack, { offer, result }, networkId)
  return wrongAck === undefined ? undefined : `the acknowledgement ${wrongAck}`
}
