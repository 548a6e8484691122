import type { TrustParams } from './params.ts'

/**
 * How much work a worker asks for with a request while its queue is full: zero bits of a hash. It rises by one for
 * every few seconds that the queue stays nearly full and falls as fast when it empties, so a flood pays and a quiet
 * mesh asks for nothing. Local policy: nodes need not agree on it.
 */
export interface EffortState {
  readonly bits: number
  /** On which side of the thresholds the queue is, and since when it has counted; in milliseconds. */
  readonly side: 'full' | 'fair' | 'empty'
  readonly sinceMs: number
}

export const createEffortState = (nowMs: number): EffortState => ({ bits: 0, side: 'fair', sinceMs: nowMs })

/**
 * The next state after looking at the queue. To be called as often as the queue changes, or every second.
 * @param fullness waiting requests / capacity, 0 to 1.
 */
export function stepEffort(
  state: EffortState,
  fullness: number,
  nowMs: number,
  params: TrustParams,
): EffortState {
  const side = toSide(fullness * 100, params)
  // A clock that was set back starts the count again; it must not hold the effort where it is for ever.
  if (side !== state.side || nowMs < state.sinceMs) return { bits: state.bits, side, sinceMs: nowMs }
  if (side === 'fair') return state
  const steps = Math.floor((nowMs - state.sinceMs) / params.effortHoldMs)
  if (steps === 0) return state
  // One look may come late: what was seen at both ends is taken to have lasted in between, but raises by one step only.
  const bits = side === 'full' ? state.bits + 1 : state.bits - steps
  return {
    bits: Math.min(params.effortBitsMax, Math.max(0, bits)),
    side,
    sinceMs: state.sinceMs + steps * params.effortHoldMs,
  }
}

function toSide(percent: number, params: TrustParams): EffortState['side'] {
  if (percent > params.effortRaisePercent) return 'full'
  return percent < params.effortLowerPercent ? 'empty' : 'fair'
}
