import type { Offer, Receipt, Result } from '../../protocol/trust/receipt.ts'
import { ceilDiv, floorDiv, mulDiv, percentOf } from './fixed.ts'
import type { TrustParams } from './params.ts'

/** What one receipt is worth before it is weighed. Recomputed by whoever reads the log, never taken from it. */
export interface Points {
  /** 0 to 5. */
  readonly speed: number
  /** 0 to 3. */
  readonly complexity: number
  /** 0 to 2. */
  readonly quality: number
  /** The clocks of client and worker disagree; the slower one counted. */
  readonly skewed: boolean
}

/** What of a receipt decides its points: enough to compute them before the receipt is signed by both. */
export interface Performance {
  readonly offer: Pick<Offer, 'maxOut'>
  readonly result: Pick<Result, 'nIn' | 'nOut' | 'finish' | 'totalMs'>
  readonly ack: Pick<NonNullable<Receipt['ack']>, 'kind' | 'received' | 'clientMs'> | null
}

/** Whether the client said how the answer ended. Otherwise it is a half receipt: no word at all, or ticks only. */
export const isFull = ({ ack }: Pick<Performance, 'ack'>): boolean => ack !== null && ack.kind !== 'tick'

/**
 * Tokens that are paid and counted: all of them with a final acknowledgement, those that arrived when the client
 * closed the answer, and for a half receipt those acknowledged and the few more that a worker sends on trust.
 */
export function countedTokens(
  { result, ack }: Pick<Performance, 'result' | 'ack'>,
  params: TrustParams,
): number {
  if (ack?.kind === 'final') return result.nOut
  if (ack?.kind === 'closing') return Math.min(result.nOut, ack.received)
  return Math.min(result.nOut, (ack?.received ?? 0) + params.unackedTokensMax)
}

/** Milliseconds that the answer took: the slower of both clocks, so neither side alone can make it look fast. */
export function toDuration({ result, ack }: Pick<Performance, 'result' | 'ack'>): number {
  return ack === null || ack.kind === 'tick' ? result.totalMs : Math.max(result.totalMs, ack.clientMs)
}

/** The points of a receipt, 0 to 10. An answer without a token that counts has none. */
export function toPoints(receipt: Performance, params: TrustParams): Points {
  const { result } = receipt
  const skewed = isSkewed(receipt, params)
  const tokens = countedTokens(receipt, params)
  if (tokens === 0) return { speed: 0, complexity: 0, quality: 0, skewed }
  const durationMs = toDuration(receipt)
  return {
    speed: params.speedBucketsMs.filter((bucketMs) => durationMs <= bucketMs).length,
    complexity: Math.min(params.complexityMax, floorDiv(result.nIn, params.complexityTokensPerPoint)),
    quality: toQuality(receipt, tokens, params),
    skewed,
  }
}

function toQuality(receipt: Performance, tokens: number, params: TrustParams): number {
  const { offer, result, ack } = receipt
  // A worker that stopped in the middle has failed, unless the client told it to stop.
  if (result.finish === 'partial' && ack?.kind !== 'closing') return 0
  if (tokens >= Math.min(params.qualityTokensMin, offer.maxOut)) return 2
  const ended = result.finish === 'stop' || result.finish === 'stop-string'
  return ended && tokens >= params.qualityNaturalTokensMin ? 2 : 1
}

function isSkewed({ result, ack }: Performance, params: TrustParams): boolean {
  if (ack === null || ack.kind === 'tick') return false
  const slower = Math.max(result.totalMs, ack.clientMs)
  const apart = slower - Math.min(result.totalMs, ack.clientMs)
  return apart > Math.max(params.skewMsMin, percentOf(slower, params.skewPercent))
}

/** The most that an answer may cost, in milli-credits: a unit for each started block of prompt and of output. */
export function toPrice(nIn: number, nOut: number, params: TrustParams): number {
  const units =
    ceilDiv(nIn, params.promptTokensPerUnit) + ceilDiv(nOut, params.outputTokensPerUnit) * params.modelFactor
  return params.priceUnitMc * units
}

/** What is taken out of the world with a payment, in milli-credits: it makes moving credit in circles a loss. */
export function toBurn(price: number, params: TrustParams): number {
  return price === 0 ? 0 : Math.max(params.burnMinMc, percentOf(price, params.burnPercent))
}

/**
 * What the worker earns and the client owes without the burn, in milli-credits: the price stated in the result, but
 * no more than the tokens that count are worth.
 */
export function toDue(
  receipt: Pick<Performance, 'ack'> & {
    readonly result: Pick<Result, 'nIn' | 'nOut' | 'price'> & Performance['result']
  },
  params: TrustParams,
): number {
  const { result } = receipt
  return Math.min(result.price, toPrice(result.nIn, countedTokens(receipt, params), params))
}

/**
 * The price inside an amount that a client paid: the largest one that together with its burn fits. The rest was burned.
 */
export function toPaidPrice(amount: number, params: TrustParams): number {
  // Near price = amount · 100 / (100 + burn percent); the floors move it by less than two, the least burn pulls it down.
  let price = Math.min(amount, mulDiv(amount, 100, 100 + params.burnPercent) + 2)
  while (price > 0 && price + toBurn(price, params) > amount) {
    const excess = price + toBurn(price, params) - amount
    // Taking the excess off overshoots by what the burn shrinks with it, so all but a little of it goes at once.
    price -= Math.max(1, floorDiv(excess, 2))
  }
  return Math.max(0, price)
}
