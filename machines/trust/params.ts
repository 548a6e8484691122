import sodium from 'sodium-universal'
import { decayTable } from './decay-table.ts'
import { ONE } from './fixed.ts'

/**
 * Every number that two nodes have to share for their scores to agree. They are hashed into the network id, so nodes
 * with other parameters are in another network and their logs never mix.
 *
 * Units are in the names: `Q` is Q16.16, `Mc` milli-credits, `Percent` whole percent; an epoch is `epochSeconds`.
 */
export interface TrustParams {
  readonly version: number

  // Time.
  readonly epochSeconds: number
  readonly epochsPerDay: number
  /** A receipt counts once its entry is this old: by then gossip, and one day audits, have caught up. */
  readonly finalityEpochs: number
  /** A receipt is filed at most this long after its offer, so nobody has to remember older ones. */
  readonly filingEpochs: number
  /** Receipts and payments of one log, dated with one epoch, that count: who reads it keeps them for a while. */
  readonly epochEntriesMax: number
  /** How far the clocks of a client and a worker may differ without a receipt being lost: each may be off by half. */
  readonly clockSkewEpochs: number

  // Points of one receipt.
  /** Milliseconds up to which an answer earns 5, 4, 3, 2, 1 points for its speed. */
  readonly speedBucketsMs: readonly number[]
  readonly complexityTokensPerPoint: number
  readonly complexityMax: number
  /** Tokens of an answer that is of full quality however it ended … */
  readonly qualityTokensMin: number
  /** … and of one that ended by itself. */
  readonly qualityNaturalTokensMin: number
  /** Two clocks that differ by more than the larger of these mark the receipt. */
  readonly skewMsMin: number
  readonly skewPercent: number
  /** Tokens behind the last acknowledgement that still count: the most that a worker sends on trust. */
  readonly unackedTokensMax: number

  // Price.
  readonly priceUnitMc: number
  readonly promptTokensPerUnit: number
  readonly outputTokensPerUnit: number
  /** Units for one block of output; a door for models of different cost. */
  readonly modelFactor: number
  readonly burnPercent: number
  readonly burnMinMc: number
  /** An answer is funded when its price covers so many of its tokens; the rest of a longer one may be a gift. */
  readonly fundedTokensMax: number

  // Weight of a receipt as evidence.
  readonly privateWeightQ: number
  readonly sampledWeightQ: number
  readonly unfundedWeightQ: number
  readonly gratisWeightQ: number
  readonly halfWeightQ: number

  // Score.
  /** Worth of a point by its age in days; older ones are worth nothing. */
  readonly decayQ: readonly number[]
  /** One client counts at most so many points … */
  readonly clientCapPoints: number
  /** … or this part of all, whichever is more. */
  readonly clientCapPercent: number
  /** 1: unfunded clients together count at most `unfundedCapPoints` + funded / `unfundedCapDivisor`. 0: no such cap. */
  readonly unfundedCapOn: number
  readonly unfundedCapPoints: number
  readonly unfundedCapDivisor: number
  readonly repPassesMax: number
  readonly repConvictionWeight: number
  readonly repPrior: number
  /** The part of a score that counts before any audit. */
  readonly escrowFloorQ: number
  /** The score counts in full from a reputation of 1 / this. */
  readonly escrowRepFactor: number

  // Achievements: points, and what it takes.
  readonly achievementPoints: number
  readonly speedDemonAnswers: number
  /** Milliseconds; an answer has to take less. */
  readonly speedDemonMs: number
  readonly marathonAnswers: number
  readonly marathonTokens: number
  readonly openHouseClients: number
  readonly steadyHandDays: number

  // Tiers.
  /** `total`: by score. `daily`: by score / `tierDailyDivisor`, the average of a day. */
  readonly tierBasis: 'total' | 'daily'
  /** The sum of the 30-day half-life weights of one point a day. */
  readonly tierDailyDivisor: number
  /** Least points for silver, gold, platinum, diamond, master. */
  readonly tierThresholds: readonly number[]

  // Credit.
  readonly lineBaseMc: number
  readonly lineGrowthMaxMc: number
  /** The line grows by this part of everything earned and vested. */
  readonly lineGrowthPercent: number
  /** This part of an earning vests at finality … */
  readonly vestingFirstPercent: number
  /** … and the rest so much later. */
  readonly vestingEpochs: number
  /** Unsettled spending that a worker lets a client have, from bronze to master. */
  readonly exposureMc: readonly number[]

  // Identity stamp.
  /** Leading zero bits of the Argon2id hash; 0 asks for no stamp. On average 2^bits hashes make one. */
  readonly stampBits: number
  readonly stampMemoryKb: number
  readonly stampPasses: number

  // Request effort under load.
  readonly effortRaisePercent: number
  readonly effortLowerPercent: number
  readonly effortHoldMs: number
  readonly effortBitsMax: number
}

/** The first network's parameters: no auditors yet, so half of a score counts unaudited, and any client's receipts do. */
export const genesisParams: TrustParams = deepFreeze({
  version: 2,

  epochSeconds: 60,
  epochsPerDay: 1_440,
  finalityEpochs: 10,
  filingEpochs: 60,
  epochEntriesMax: 4_096,
  clockSkewEpochs: 20,

  speedBucketsMs: [1_000, 2_000, 5_000, 10_000, 20_000],
  complexityTokensPerPoint: 50,
  complexityMax: 3,
  qualityTokensMin: 64,
  qualityNaturalTokensMin: 8,
  skewMsMin: 750,
  skewPercent: 25,
  unackedTokensMax: 128,

  priceUnitMc: 1_000,
  promptTokensPerUnit: 256,
  outputTokensPerUnit: 64,
  modelFactor: 1,
  burnPercent: 5,
  burnMinMc: 10,
  fundedTokensMax: 256,

  privateWeightQ: ONE / 4,
  sampledWeightQ: ONE / 2,
  unfundedWeightQ: ONE / 4,
  gratisWeightQ: ONE / 16,
  halfWeightQ: ONE / 4,

  decayQ: decayTable,
  clientCapPoints: 50,
  clientCapPercent: 10,
  unfundedCapOn: 0,
  unfundedCapPoints: 50,
  unfundedCapDivisor: 4,
  repPassesMax: 500,
  repConvictionWeight: 25,
  repPrior: 12,
  escrowFloorQ: ONE / 2,
  escrowRepFactor: 2,

  achievementPoints: 20,
  speedDemonAnswers: 10,
  speedDemonMs: 2_000,
  marathonAnswers: 10,
  marathonTokens: 512,
  openHouseClients: 10,
  steadyHandDays: 14,

  tierBasis: 'total',
  tierDailyDivisor: 44,
  tierThresholds: [100, 500, 1_500, 4_000, 10_000],

  lineBaseMc: 20_000,
  lineGrowthMaxMc: 480_000,
  lineGrowthPercent: 10,
  vestingFirstPercent: 50,
  vestingEpochs: 60,
  exposureMc: [10_000, 30_000, 100_000, 200_000, 400_000, 800_000],

  stampBits: 8,
  stampMemoryKb: 65_536,
  stampPasses: 1,

  effortRaisePercent: 80,
  effortLowerPercent: 50,
  effortHoldMs: 5_000,
  effortBitsMax: 24,
})

function deepFreeze(params: TrustParams): TrustParams {
  const lists = Object.values(params).filter((value) => Array.isArray(value))
  for (const list of lists) Object.freeze(list)
  return Object.freeze(params)
}

/**
 * The canonical bytes of a parameter set: JSON with its keys in code-unit order, integers, lists of integers and
 * strings only. Throws a `RangeError` for anything else, as other values have more than one spelling.
 */
export function toParamsBytes(params: TrustParams): Uint8Array {
  const pairs: [string, unknown][] = Object.entries(params)
  const sorted = pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))
  for (const [name, value] of sorted) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    const isCanonical = values.every(
      (one) => Number.isSafeInteger(one) || (typeof one === 'string' && !Array.isArray(value)),
    )
    if (!isCanonical)
      throw new RangeError(
        `Expected an integer, a list of integers or a string as ${name}, got ${String(value)}`,
      )
  }
  return Buffer.from(JSON.stringify(Object.fromEntries(sorted)))
}

/**
 * Which network this is, as 32 hex characters: BLAKE2b-128 over the parameters and the mesh secret, if there is one.
 * Everything that is signed is bound to it, so evidence of one network is nothing in another.
 */
export function toNetworkId(params: TrustParams, secret = ''): string {
  const id = Buffer.alloc(16)
  // The parameters are one JSON object: its last brace ends it, so no length is needed before the secret.
  sodium.crypto_generichash_batch(id, [toParamsBytes(params), Buffer.from(secret)])
  return id.toString('hex')
}
