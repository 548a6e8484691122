import {
  type AccountState,
  countedTokens,
  toBurn,
  toCredit,
  toPrice,
  toPriceMax,
  toPriceMin,
  type TrustParams,
} from '../../machines/trust/index.ts'
import {
  ackFormat,
  type Offer,
  offerFormat,
  type PaidEntry,
  type Receipt,
  resultFormat,
  type TrustSigner,
} from '../../protocol/trust/index.ts'

/** An answer, as far as its receipt tells. */
export interface Answer {
  readonly promptTokens: number
  readonly maxOut: number
  readonly tokens: number
  readonly firstTokenMs: number
  readonly totalMs: number
}

export interface TradeInput {
  readonly client: TrustSigner
  readonly worker: TrustSigner
  readonly params: TrustParams
  /** By the clocks of both. */
  readonly clientEpoch: number
  readonly workerEpoch: number
  readonly spendSeq: number
  /** What the client's log says. */
  readonly clientState: AccountState
  readonly random: () => number
  /** An ordinary one where left out. */
  readonly answer?: Answer | undefined
  /** Milli-credits that the client promised for answers that are not complete. */
  readonly reserved?: number | undefined
  /** Where somebody cheats: fields of the offer that differ, or no word of the client. */
  readonly offer?: Partial<Omit<Offer, 'signature'>> | undefined
  readonly isAckless?: boolean | undefined
}

export interface Trade {
  readonly receipt: Receipt
  /** What the client logs; absent when it paid nothing. */
  readonly paid: PaidEntry | undefined
}

/** Bytes of a token of English, about: a client offers by bytes, because it has no tokenizer. */
const bytesPerToken = 4
const networkMs = 100

/** One answer, offered, delivered and signed for as the product's `Deals` and `Earnings` do. */
export function trade(input: TradeInput): Trade {
  const { client, worker, params, clientEpoch, workerEpoch, spendSeq, clientState, random } = input
  const { networkId } = client
  const answer = input.answer ?? toOrdinaryAnswer(random)
  const { promptTokens, maxOut, tokens, firstTokenMs, totalMs } = answer
  const { balance, line } = toCredit(clientState, clientEpoch, params)
  const free = balance - (input.reserved ?? 0)
  const maxPrice = toOffered(answer, free + line, params)
  const offer = offerFormat.sign(client, {
    requestId: randomHex(16, random),
    clientId: client.id,
    workerId: worker.id,
    modelHash: 'ab'.repeat(32),
    promptCommit: 'cd'.repeat(32),
    maxOut,
    samplingId: 0,
    seed: 0,
    maxPrice,
    epoch: clientEpoch,
    spendSeq,
    balanceAfter: free - maxPrice - toBurn(maxPrice, params),
    headLength: clientState.length,
    headHash: '00'.repeat(16),
    resumed: 0,
    flags: { isAuditable: true, isPrivate: false, isStreaming: true, isGratis: maxPrice === 0 },
    effortNonce: '',
    ...input.offer,
  })
  const offerHash = offerFormat.toHash(offer, networkId)
  const result = resultFormat.sign(worker, {
    offerHash,
    outputCommit: 'ef'.repeat(32),
    nIn: promptTokens,
    nOut: tokens,
    finish: tokens < maxOut ? 'stop' : 'length',
    firstTokenMs,
    totalMs,
    price: Math.min(offer.maxPrice, toPrice(promptTokens, tokens, params)),
    execProfile: 0,
    epoch: workerEpoch,
  })
  const final = ackFormat.sign(client, {
    offerHash,
    kind: 'final',
    received: tokens,
    resultHash: resultFormat.toHash(result, networkId),
    clientMs: totalMs + networkMs,
    epoch: clientEpoch,
  })
  const receipt = { offer, result, ack: input.isAckless ? null : final }
  const paidPrice = Math.min(result.price, toPrice(promptTokens, countedTokens(receipt, params), params))
  if (paidPrice === 0) return { receipt, paid: undefined }
  const amount = paidPrice + toBurn(paidPrice, params)
  const { requestId } = offer
  const paid = { type: 'paid', epoch: clientEpoch, workerId: worker.id, requestId, spendSeq, amount } as const
  return { receipt, paid }
}

/**
 * What a client promises, in milli-credits: the price of the longest answer, or what it has if that covers the prompt
 * and 256 tokens, or nothing.
 */
export function toOffered(
  { promptTokens, maxOut }: Pick<Answer, 'promptTokens' | 'maxOut'>,
  available: number,
  params: TrustParams,
): number {
  const prompt = { prompt: 'x'.repeat(bytesPerToken * promptTokens) }
  const affordable = Math.floor((available * 100) / (100 + params.burnPercent)) - params.burnMinMc
  const price = Math.min(toPriceMax(prompt, maxOut, params), affordable)
  return price >= toPriceMin(prompt, maxOut, params) ? price : 0
}

/** A short question and an answer of a few sentences. */
export const toOrdinaryAnswer = (random: () => number): Answer => ({
  promptTokens: 40,
  maxOut: 128,
  tokens: 64,
  firstTokenMs: 400,
  totalMs: 1_500 + Math.floor(random() * 6_000),
})

export function randomHex(bytes: number, random: () => number): string {
  const digits = Array.from({ length: bytes }, () => Math.floor(random() * 256))
  return Buffer.from(digits).toString('hex')
}
