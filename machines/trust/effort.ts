import { tierTerms, type Tier } from '../scheduling/tiers.ts'
import type { TrustParams } from './params.ts'

/** When work is asked for, and how much. Local policy: nodes need not agree on it. */
export type EffortPolicy = Pick<
  TrustParams,
  'effortRaisePercent' | 'effortLowerPercent' | 'effortHoldMs' | 'effortBitsMax'
>

/** The part of a parameter set that is about it. */
export const toEffortPolicy = ({
  effortRaisePercent,
  effortLowerPercent,
  effortHoldMs,
  effortBitsMax,
}: EffortPolicy): EffortPolicy => ({ effortRaisePercent, effortLowerPercent, effortHoldMs, effortBitsMax })

/**
 * How much work a worker asks for with a request while its queue is full: zero bits of a hash. It rises by one for
 * every few seconds that the queue stays nearly full and falls as fast when it empties, so a flood pays and a quiet
 * mesh asks for nothing.
 */
export interface EffortState {
  readonly bits: number
  /** On which side of the thresholds the queue is, and since when it has counted; in milliseconds. */
  readonly side: 'full' | 'fair' | 'empty'
  readonly sinceMs: number
}

export const createEffortState = (nowMs: number): EffortState => ({ bits: 0, side: 'fair', sinceMs: nowMs })

/**
 * The next state after looking at the queue. To be called as often as the queue changes sides, and every second.
 * @param fullness waiting requests / capacity, 0 to 1.
 */
export function stepEffort(
  state: EffortState,
  fullness: number,
  nowMs: number,
  policy: EffortPolicy,
): EffortState {
  const side = toEffortSide(fullness, policy)
  // A clock that was set back starts the count again; it must not hold the effort where it is for ever.
  if (side !== state.side || nowMs < state.sinceMs) return { bits: state.bits, side, sinceMs: nowMs }
  if (side === 'fair') return state
  const steps = Math.floor((nowMs - state.sinceMs) / policy.effortHoldMs)
  if (steps === 0) return state
  // One look may come late: what was seen at both ends is taken to have lasted in between, but raises by one step only.
  const bits = side === 'full' ? state.bits + 1 : state.bits - steps
  return {
    bits: Math.min(policy.effortBitsMax, Math.max(0, bits)),
    side,
    sinceMs: state.sinceMs + steps * policy.effortHoldMs,
  }
}

/** @param fullness waiting requests / capacity, 0 to 1 */
export function toEffortSide(fullness: number, policy: EffortPolicy): EffortState['side'] {
  const percent = fullness * 100
  if (percent > policy.effortRaisePercent) return 'full'
  return percent < policy.effortLowerPercent ? 'empty' : 'fair'
}

/** Gold and above have worked already. */
export const isEffortExempt = (tier: Tier): boolean => tierTerms[tier].rank <= tierTerms.gold.rank

/** Milliseconds of one hash on an ordinary computer; a constant, so that a choice can be made again from its trace. */
const hashMs = 0.0005

/** Milliseconds that a client is expected to work for so many bits; each one doubles it. 0 for none. */
export const toEffortMs = (bits: number): number => (bits === 0 ? 0 : 2 ** bits * hashMs)
