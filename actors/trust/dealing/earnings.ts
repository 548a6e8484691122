import { toPrice, toPriceMin, toPromptTokensMax, type TrustParams } from '../../../machines/trust/index.ts'
import { limits, type PeerId, type Prompt, QMeshError, type RequestId } from '../../../protocol/index.ts'
import {
  type Ack,
  ackFormat,
  checkAck,
  checkOffer,
  type Offer,
  offerFormat,
  type Receipt,
  type Result,
  resultFormat,
  toOutputCommit,
  toPromptCommit,
  toReceiptId,
  type TrustSigner,
} from '../../../protocol/trust/index.ts'
import type { GenerationResult } from '../../inference/engine.port.ts'
import type { Earning, EarningsPort } from '../../scheduling/earnings.port.ts'
import { toEpoch } from '../epoch.ts'

export interface EarningsPorts {
  readonly signer: TrustSigner
  readonly params: TrustParams
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** Whether the own log holds this receipt. */
  readonly isFiled: (receiptId: string) => boolean
  /** Keeps a receipt in the own log. */
  readonly file: (receipt: Receipt) => void
  /** What runs the models: goes into the results, because it decides how an audit compares. */
  readonly execProfile: () => number
  /** What the client's log says against its offer; absent: its word is taken. */
  readonly contradictionOf?: (offer: Offer) => string | undefined
  /** Whether the client has used up its credit by what others hold of it, whatever it says. */
  readonly isSpent?: (offer: Offer) => boolean
}

/** Epochs after the end in which a client's last signature is waited for. */
const patienceEpochs = 2
/** Answers whose last signature is waited for; beyond, the oldest are filed as they are. */
const settlingMax = 4_096

/** It has a result for every answer. */
interface SignedEarning extends Earning {
  finished(result: GenerationResult): string
}

interface Open {
  readonly offer: Offer
  readonly offerHash: string
  readonly receiptId: string
  readonly salt: Uint8Array
  /** Tokens of the prompt that a client signs for. */
  readonly promptTokensMax: number
  readonly tokens: number[]
  readonly begunAtMs: number
  firstMs: number | undefined
  ack: Ack | null
  result: Result | undefined
  /** The worker itself let the client down: without the client's word it asks for nothing. */
  isOwnFault: boolean
  endedAtEpoch: number
}

/**
 * The worker's side of the evidence: checks what clients offer, signs for what it delivered, and files a receipt when
 * the client has signed for it, or when it waited long enough for that.
 */
export class Earnings implements EarningsPort {
  readonly #ports: EarningsPorts
  readonly #open = new Map<string, Open>()
  /** Receipts of offers seen, and the epoch until which such an offer would be taken. */
  readonly #seen = new Map<string, number>()

  constructor(ports: EarningsPorts) {
    this.#ports = ports
  }

  begin(clientId: PeerId, prompt: Prompt): SignedEarning | undefined {
    if (!prompt.evidence) return undefined
    const offer = offerFormat.decode(Buffer.from(prompt.evidence.offer, 'base64'))
    const salt = Buffer.from(prompt.evidence.salt, 'hex')
    const wrong = this.#check(offer, salt, clientId, prompt)
    if (wrong !== undefined) throw new QMeshError('QM_OFFER_INVALID', `the offer ${wrong}`)
    const { networkId } = this.#ports.signer
    const receiptId = toReceiptId(offer, networkId)
    if (this.#seen.has(receiptId) || this.#ports.isFiled(receiptId)) {
      throw new QMeshError('QM_OFFER_INVALID', 'the offer was made before')
    }
    this.#seen.set(receiptId, offer.epoch + this.#ports.params.clockSkewEpochs + 1)
    const open: Open = {
      offer,
      offerHash: offerFormat.toHash(offer, networkId),
      receiptId,
      salt,
      promptTokensMax: toPromptTokensMax(prompt),
      tokens: [],
      begunAtMs: performance.now(),
      firstMs: undefined,
      ack: null,
      result: undefined,
      isOwnFault: false,
      endedAtEpoch: 0,
    }
    this.#open.set(toKey(clientId, prompt.requestId), open)
    return {
      // Served as one who pays nothing; the promise stands, and is worth what it is worth.
      isGratis: offer.flags.isGratis || (this.#ports.isSpent?.(offer) ?? false),
      sent: (tokens) => {
        open.firstMs ??= performance.now() - open.begunAtMs
        open.tokens.push(...tokens)
      },
      finished: ({ reason, promptTokens }) => {
        const result = this.#end(open, reason, promptTokens)
        return Buffer.from(resultFormat.encode(result)).toString('base64')
      },
      ended: (isOwnFault, promptTokens) => this.#stopped(open, isOwnFault, promptTokens),
    }
  }

  acked(clientId: PeerId, requestId: RequestId, evidence: string): 'ok' | 'late' | 'violation' {
    const open = this.#open.get(toKey(clientId, requestId))
    if (!open) return 'late'
    let ack: Ack
    try {
      ack = ackFormat.decode(Buffer.from(evidence, 'base64'))
    } catch {
      return 'violation'
    }
    const isPossible =
      ack.offerHash === open.offerHash &&
      ack.received <= open.tokens.length &&
      ack.received >= (open.ack?.received ?? 0) &&
      (open.ack === null || open.ack.kind === 'tick')
    if (!isPossible || checkAck(ack, open, this.#ports.signer.networkId) !== undefined) return 'violation'
    open.ack = ack
    if (ack.kind !== 'tick' && open.result) this.#file(open)
    return 'ok'
  }

  /** Once an epoch: files what has waited long enough, and forgets offers that are too old to come again. */
  sweep(): void {
    const epoch = this.#epoch
    for (const open of this.#open.values()) {
      if (open.result && epoch - open.endedAtEpoch >= patienceEpochs) this.#file(open)
    }
    for (const [receiptId, untilEpoch] of this.#seen) if (untilEpoch < epoch) this.#seen.delete(receiptId)
  }

  /** Files all that ended: nobody will be waited for. */
  close(): void {
    for (const open of this.#open.values()) if (open.result) this.#file(open)
  }

  get #epoch(): number {
    return toEpoch(this.#ports.wallMs(), this.#ports.params)
  }

  #check(offer: Offer, salt: Uint8Array, clientId: PeerId, prompt: Prompt): string | undefined {
    const { signer, params } = this.#ports
    const resumed = prompt.resume?.tokens.length ?? 0
    if (offer.clientId !== clientId) return 'is another client’s'
    if (offer.workerId !== signer.id) return 'was made to another worker'
    if (offer.requestId !== prompt.requestId) return 'is for another request'
    if (offer.modelHash !== prompt.modelHash) return 'is for another model'
    if (offer.maxOut !== prompt.maxTokens - resumed || offer.resumed !== resumed)
      return 'is for another length'
    if (offer.promptCommit !== toPromptCommit(salt, prompt)) return 'is for another prompt'
    if (Math.abs(offer.epoch - this.#epoch) > params.clockSkewEpochs) {
      return `is of epoch ${offer.epoch}, and here it is epoch ${this.#epoch}: set the clock`
    }
    if (!offer.flags.isGratis && offer.maxPrice < toPriceMin(prompt, offer.maxOut, params)) {
      return 'may not cover the price of the answer'
    }
    return checkOffer(offer, signer.networkId) ?? this.#ports.contradictionOf?.(offer)
  }

  #stopped(open: Open, isOwnFault: boolean, promptTokens: number): void {
    if (open.result) return
    open.isOwnFault = isOwnFault
    if (open.tokens.length === 0) return this.#forget(open)
    this.#end(open, 'partial', promptTokens)
    if (open.ack?.kind === 'closing') this.#file(open)
  }

  #end(open: Open, finish: Result['finish'], promptTokens: number): Result {
    const { signer, params, execProfile } = this.#ports
    const { offer, tokens } = open
    const nIn = Math.min(promptTokens, open.promptTokensMax)
    const totalMs = Math.min(limits.durationMsMax, Math.round(performance.now() - open.begunAtMs))
    const result = resultFormat.sign(signer, {
      offerHash: open.offerHash,
      outputCommit: toOutputCommit(open.salt, tokens),
      nIn,
      nOut: tokens.length,
      finish,
      firstTokenMs: Math.min(totalMs, Math.round(open.firstMs ?? totalMs)),
      totalMs,
      price: Math.min(offer.maxPrice, toPrice(nIn, tokens.length, params)),
      execProfile: execProfile(),
      epoch: this.#epoch,
    })
    open.result = result
    open.endedAtEpoch = this.#epoch
    this.#makeRoom()
    return result
  }

  #makeRoom(): void {
    if (this.#open.size <= settlingMax) return
    for (const open of this.#open.values()) {
      if (!open.result) continue
      this.#file(open)
      return
    }
  }

  #file(open: Open): void {
    this.#forget(open)
    const { offer, result, ack, isOwnFault } = open
    if (!result || (isOwnFault && ack === null) || ack?.received === 0) return
    this.#ports.file({ offer, result, ack })
  }

  #forget({ offer }: Open): void {
    this.#open.delete(toKey(offer.clientId, offer.requestId))
  }
}

const toKey = (clientId: PeerId, requestId: RequestId): string => `${clientId}:${requestId}`
