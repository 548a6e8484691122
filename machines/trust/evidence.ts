import { isOpaqueHash } from '../../protocol/opaque-model.ts'
import type { Receipt } from '../../protocol/trust/receipt.ts'
import { mulQ, ONE } from './fixed.ts'
import type { TrustParams } from './params.ts'
import { countedTokens, isFull, toDue, toDuration, toPoints, toPrice } from './points.ts'
import type { Points } from './points.ts'

/** Earned credit, the newcomer's line, or nothing at all. */
export type Funding = 'funded' | 'unfunded' | 'gratis'

/** How much one receipt proves, with every factor that went into it. */
export interface Evidence extends Points {
  readonly funding: Funding
  /** 1 when an auditor may open it, less for a private or a sampled answer; Q16.16, as all weights. */
  readonly auditWeightQ: number
  readonly fundingWeightQ: number
  /** Less when the client did not sign the end. */
  readonly halfWeightQ: number
  /** All three together. */
  readonly weightQ: number
  /** Points times weight. */
  readonly valueQ: number
  readonly tokens: number
  readonly durationMs: number
  /** Counts for achievements: paid from earned credit, auditable, and signed to the end. */
  readonly isSound: boolean
}

/** Weighs a receipt that was found sound; whether it is final, in time or void is for the account to say. */
export function toEvidence(receipt: Receipt, params: TrustParams): Evidence {
  const { flags, samplingId, modelHash } = receipt.offer
  const points = toPoints(receipt, params)
  const funding = toFunding(receipt, params)
  // What an opaque model answered nobody can do again, whatever client and worker say.
  const canOpen = flags.isAuditable && !flags.isPrivate && !isOpaqueHash(modelHash)
  const auditWeightQ = canOpen ? (samplingId === 2 ? params.sampledWeightQ : ONE) : params.privateWeightQ
  const fundingWeightQ = toFundingWeight(funding, params)
  const halfWeightQ = isFull(receipt) ? ONE : params.halfWeightQ
  const weightQ = mulQ(mulQ(auditWeightQ, fundingWeightQ), halfWeightQ)
  const tokens = countedTokens(receipt, params)
  // Written out: a fold does this a hundred thousand times, and a spread costs more than all the arithmetic.
  return {
    speed: points.speed,
    complexity: points.complexity,
    quality: points.quality,
    skewed: points.skewed,
    funding,
    auditWeightQ,
    fundingWeightQ,
    halfWeightQ,
    weightQ,
    valueQ: (points.speed + points.complexity + points.quality) * weightQ,
    tokens,
    durationMs: toDuration(receipt),
    isSound: funding === 'funded' && canOpen && halfWeightQ === ONE && tokens > 0,
  }
}

/**
 * Where the payment came from. What was not paid for is gratis whatever the offer calls it, and what was paid in part
 * is not funded: else an account without credit could make full evidence by offering nothing.
 */
function toFunding(receipt: Receipt, params: TrustParams): Funding {
  const { offer, result } = receipt
  const due = toDue(receipt, params)
  if (offer.flags.isGratis || due === 0) return 'gratis'
  const tokens = Math.min(countedTokens(receipt, params), params.fundedTokensMax)
  return offer.balanceAfter >= 0 && due >= toPrice(result.nIn, tokens, params) ? 'funded' : 'unfunded'
}

function toFundingWeight(funding: Funding, params: TrustParams): number {
  if (funding === 'funded') return ONE
  return funding === 'gratis' ? params.gratisWeightQ : params.unfundedWeightQ
}
