import { asserted, divQ, floorDiv, ONE, weightedMedian } from './fixed.ts'
import type { PeerId } from '../../protocol/index.ts'

/** How rough it is around me. Local: nodes may differ, so no score depends on it. */
export type Regime = 'calm' | 'preStorm' | 'storm'

/** What a regime changes in gossip. */
export interface RegimeTerms {
  readonly roundMs: number
  /** Milliseconds between two heads of an account that did not change much. */
  readonly headIntervalMs: number
}

export const regimeTerms: Readonly<Record<Regime, RegimeTerms>> = {
  calm: { roundMs: 60_000, headIntervalMs: 600_000 },
  preStorm: { roundMs: 20_000, headIntervalMs: 60_000 },
  storm: { roundMs: 5_000, headIntervalMs: 15_000 },
}

/** Four signs of trouble in one round, each 0 to ONE. */
export interface Alarms {
  /** Failed audits: ONE when a tenth of them failed. */
  readonly audits: number
  /** Proofs of fraud: ONE when there is one for every hundredth member. */
  readonly proofs: number
  /** Influence of those who computed from other inputs than most. */
  readonly dissent: number
  /** Latency that was not to be expected. */
  readonly latency: number
}

export const noAlarms: Alarms = { audits: 0, proofs: 0, dissent: 0, latency: 0 }

export interface RegimeFacts {
  /** Final audits of the last 30 rounds, and those of them that failed. */
  readonly audits: number
  readonly failedAudits: number
  /** Proofs of the last 30 rounds that this node checked itself. */
  readonly proofs: number
  /** Accounts that this node knows. */
  readonly members: number
  /** What was said about scores in this round. */
  readonly answers: readonly {
    readonly accountId: PeerId
    readonly inputDigest: string
    /** Q16.16, of who said it. */
    readonly influence: number
  }[]
  /** Latencies reported in this round, in whole milliseconds. */
  readonly latencies: readonly { readonly ms: number; readonly influence: number }[]
}

/** Milliseconds by which a latency has to be off to count in full. */
const latencyRangeMs = 20_000

/** What a round says, and what to expect of the next one. */
export interface Observation {
  readonly alarms: Alarms
  /** Q16.16 milliseconds; undefined as long as no latency was reported. */
  readonly predictedMsQ: number | undefined
}

/** @param predictedMsQ from the observation before; undefined in the first round */
export function observe(facts: RegimeFacts, predictedMsQ?: number): Observation {
  const { audits, failedAudits, proofs, members } = facts
  const medianMs = toMedianMs(facts.latencies)
  return {
    alarms: {
      audits: audits === 0 ? 0 : Math.min(ONE, divQ(10 * failedAudits, audits)),
      proofs: Math.min(ONE, divQ(100 * proofs, Math.max(1, members))),
      dissent: toDissent(facts.answers),
      latency: toLatencyAlarm(medianMs, predictedMsQ),
    },
    predictedMsQ: toPrediction(medianMs, predictedMsQ),
  }
}

/**
 * The share of influence outside the largest group of its account. Less than a third counts as nothing: so much can
 * be pure lying, and it must neither lead into a storm nor keep anybody in one.
 */
function toDissent(answers: RegimeFacts['answers']): number {
  const groups = new Map<PeerId, Map<string, number>>()
  for (const { accountId, inputDigest, influence } of answers) {
    const group = groups.get(accountId) ?? new Map<string, number>()
    group.set(inputDigest, (group.get(inputDigest) ?? 0) + asserted(influence))
    groups.set(accountId, group)
  }
  const total = sumOf(answers.map(({ influence }) => influence))
  const agreed = sumOf([...groups.values()].map((group) => Math.max(...group.values())))
  return isThird(total - agreed, total) ? divQ(total - agreed, total) : 0
}

/** Whether a part is at least a third; of nothing, nothing is. */
export const isThird = (part: number, total: number): boolean => total > 0 && 3 * part >= total

function toMedianMs(latencies: RegimeFacts['latencies']): number | undefined {
  if (latencies.length === 0) return undefined
  return weightedMedian(
    latencies.map(({ ms }) => ms),
    latencies.map(({ influence }) => influence),
  )
}

function toLatencyAlarm(ms: number | undefined, predictedMsQ: number | undefined): number {
  if (ms === undefined || predictedMsQ === undefined) return 0
  const range = latencyRangeMs * ONE
  // Halved: latency alone is no attack.
  return divQ(floorDiv(Math.min(range, Math.abs(ms * ONE - predictedMsQ)), ONE), 2 * latencyRangeMs)
}

/** An eighth of the way from what was expected to what came. */
function toPrediction(ms: number | undefined, predictedMsQ: number | undefined): number | undefined {
  if (ms === undefined) return predictedMsQ
  const seen = asserted(ms * ONE)
  return predictedMsQ === undefined ? seen : predictedMsQ + Math.floor((seen - predictedMsQ) / 8)
}

/** The alarms of the last rounds, smoothed. Q16.16. */
export interface RegimeSignal {
  /** The worst alarm of each of the last three rounds, latest first. */
  readonly worst: readonly [number, number, number]
  /** Their mean, of each of the last three rounds, latest first. */
  readonly entropies: readonly [number, number, number]
  readonly entropy: number
  /** Half of what the entropy rose in the last two rounds; negative where it fell. */
  readonly derivative: number
}

/** Before the first round nothing was wrong. */
export const quietSignal: RegimeSignal = {
  worst: [0, 0, 0],
  entropies: [0, 0, 0],
  entropy: 0,
  derivative: 0,
}

export function stepSignal({ worst, entropies }: RegimeSignal, alarms: Alarms): RegimeSignal {
  const loudest = Math.max(alarms.audits, alarms.proofs, alarms.dissent, alarms.latency)
  // The regime machine takes this step, and no machine may throw: what is out of bounds is brought back into them.
  const x = loudest > 0 ? Math.min(ONE, Math.floor(loudest)) : 0
  const entropy = floorDiv(x + worst[0] + worst[1], 3)
  return {
    worst: [x, worst[0], worst[1]],
    entropies: [entropy, entropies[0], entropies[1]],
    entropy,
    derivative: Math.floor((entropy - entropies[1]) / 2),
  }
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
