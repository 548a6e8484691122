import { randomBytes } from 'node:crypto'
import {
  toBurn,
  toPrice,
  toPriceMax,
  toPriceMin,
  toPromptTokensMax,
  type TrustParams,
} from '../../../machines/trust/index.ts'
import {
  type Finish,
  isOpaqueHash,
  limits,
  type PeerId,
  type Prompt,
  type RequestId,
} from '../../../protocol/index.ts'
import {
  type Ack,
  ackFormat,
  checkReceipt,
  type Offer,
  offerFormat,
  type PaidEntry,
  type Result,
  resultFormat,
  toOutputCommit,
  toPromptCommit,
  type TrustSigner,
} from '../../../protocol/trust/index.ts'
import type { Deal, DealsPort } from '../../request/deals.port.ts'
import { toEpoch } from '../epoch.ts'

/** What the client's own log says, and what is about to be written to it; all in milli-credits. */
export interface Funds {
  readonly balance: number
  /** How far below zero it may go. */
  readonly line: number
  /** Entries of the log and the first half of its tree hash: where the balance can be checked. */
  readonly headLength: number
  readonly headHash: string
  /** The highest spend number that was ever paid with; 0 for none. The next one is higher, whatever the clock says. */
  readonly spentSeq: number
}

export interface DealsPorts {
  readonly signer: TrustSigner
  readonly params: TrustParams
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** Undefined until the account's log is open. */
  readonly funds: () => Funds | undefined
  /** Whether a worker is in the same network: to others the promise would mean nothing. */
  readonly isPeer: (workerId: PeerId) => boolean
  /** Keeps what was paid. */
  readonly log: (entry: PaidEntry) => void
  /** A worker signed something else than it delivered. */
  readonly onWrongResult: (workerId: PeerId, requestId: RequestId, detail: string) => void
}

/** The client's side of the evidence: promises to pay, signs for what came, and writes down what it owes for it. */
export class Deals implements DealsPort {
  readonly #ports: DealsPorts
  #reserved = 0
  #spendSeq = 0

  constructor(ports: DealsPorts) {
    this.#ports = ports
  }

  /** Milli-credits promised for answers that are not complete. */
  get reserved(): number {
    return this.#reserved
  }

  begin(workerId: PeerId, prompt: Prompt): Deal | undefined {
    const { signer, params, funds, isPeer, wallMs } = this.#ports
    const own = funds()
    if (!own || workerId === signer.id || !isPeer(workerId) || prompt.modelHash === undefined) {
      return undefined
    }
    // A receipt counts the tokens that were written, and here none is.
    if (prompt.embed) return undefined
    const salt = randomBytes(16)
    const resumed = prompt.resume?.tokens.length ?? 0
    const maxOut = prompt.maxTokens - resumed
    const free = own.balance - this.#reserved
    const maxPrice = toOffered(prompt, maxOut, free + own.line, params)
    // A clock that was set back, here or between two runs, must not make two offers look like one spent twice.
    this.#spendSeq = Math.max(this.#spendSeq + 1, own.spentSeq + 1, wallMs())
    const { temperature, seed = 0 } = prompt.sampling
    const offer = offerFormat.sign(signer, {
      requestId: prompt.requestId,
      clientId: signer.id,
      workerId,
      modelHash: prompt.modelHash,
      promptCommit: toPromptCommit(salt, prompt),
      maxOut,
      samplingId: temperature === 0 ? 0 : 2,
      seed,
      maxPrice,
      epoch: toEpoch(wallMs(), params),
      spendSeq: this.#spendSeq,
      balanceAfter: free - maxPrice - toBurn(maxPrice, params),
      headLength: own.headLength,
      headHash: own.headHash,
      resumed,
      // What was drawn by chance cannot be done again, so no audit could tell whether it was made up.
      flags: {
        isAuditable: isRepeatable(prompt),
        isPrivate: false,
        isStreaming: true,
        isGratis: maxPrice === 0,
      },
      effortNonce: '',
    })
    return this.#toDeal(offer, salt, toPromptTokensMax(prompt))
  }

  #toDeal(offer: Offer, salt: Buffer, promptTokensMax: number): Deal {
    const { signer, params, wallMs, log, onWrongResult } = this.#ports
    const { workerId, requestId, spendSeq } = offer
    const reserve = offer.maxPrice + toBurn(offer.maxPrice, params)
    const begunAtMs = performance.now()
    const tokens: number[] = []
    let promptTokens = 0
    let ticked = 0
    let isOver = false
    this.#reserved += reserve

    const sign = (kind: Ack['kind'], resultHash = ''): string =>
      toBase64(
        ackFormat.encode(
          ackFormat.sign(signer, {
            offerHash: offerFormat.toHash(offer, signer.networkId),
            kind,
            received: tokens.length,
            resultHash,
            clientMs: Math.min(limits.durationMsMax, Math.round(performance.now() - begunAtMs)),
            epoch: toEpoch(wallMs(), params),
          }),
        ),
      )
    const settle = (price: number): void => {
      if (isOver) return
      isOver = true
      this.#reserved -= reserve
      if (price === 0) return
      const amount = price + toBurn(price, params)
      log({ type: 'paid', epoch: toEpoch(wallMs(), params), workerId, requestId, spendSeq, amount })
    }
    const close = (): string => {
      const price = tokens.length === 0 ? 0 : toPrice(promptTokens, tokens.length, params)
      settle(Math.min(offer.maxPrice, price))
      return sign('closing')
    }
    /** What is wrong with the result, or the result itself. */
    const check = ({ evidence, promptTokens: nIn }: Finish): Result | string => {
      if (evidence === undefined) return 'it came without one'
      const result = resultFormat.decode(Buffer.from(evidence, 'base64'))
      if (result.nOut !== tokens.length) return `it says ${result.nOut} tokens, and ${tokens.length} came`
      if (result.outputCommit !== toOutputCommit(salt, tokens)) return 'it is about other tokens'
      if (result.nIn !== Math.min(nIn, promptTokensMax))
        return 'it counts the prompt in another way than the answer'
      const price = toPrice(result.nIn, result.nOut, params)
      if (result.price > price) return `it costs ${result.price} instead of ${price} milli-credits`
      return checkReceipt({ offer, result, ack: null }, signer.networkId) ?? result
    }

    return {
      evidence: { offer: toBase64(offerFormat.encode(offer)), salt: salt.toString('hex') },
      admitted: (count) => (promptTokens = Math.min(count, promptTokensMax)),
      took: (more) => void tokens.push(...more),
      tick: () => {
        if (tokens.length === ticked) return undefined
        ticked = tokens.length
        return sign('tick')
      },
      close,
      finish: (finish) => {
        const result = attempt(() => check(finish))
        if (typeof result === 'string') {
          onWrongResult(workerId, requestId, result)
          return close()
        }
        settle(result.price)
        return sign('final', resultFormat.toHash(result, signer.networkId))
      },
    }
  }
}

/** The price of the longest answer; less if that is all there is; nothing, and served when nobody else is, below that. */
function toOffered(prompt: Prompt, maxOut: number, available: number, params: TrustParams): number {
  // What is left for the price beside its burn, which is a twentieth and at least 10.
  const affordable = Math.floor((available * 100) / 105) - 10
  const price = Math.min(toPriceMax(prompt, maxOut, params), affordable)
  return price >= toPriceMin(prompt, maxOut, params) ? price : 0
}

/** Nor could it be done again by who does not know what an opaque model is. */
const isRepeatable = ({ sampling: { temperature, seed }, modelHash = '' }: Prompt): boolean =>
  (temperature === 0 || seed !== undefined) && !isOpaqueHash(modelHash)

function attempt<Value>(step: () => Value): Value | string {
  try {
    return step()
  } catch (error) {
    return (error as Error).message
  }
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
