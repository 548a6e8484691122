import { healthStates, type HealthState } from '../../protocol/index.ts'

/** How busy the machine is with other things than this worker; each 0 (not at all) to 1 (entirely). */
export interface HealthSample {
  readonly cpu: number
  readonly memory: number
  readonly load: number
}

/** A sample together with the queue. */
export interface Reading extends HealthSample {
  /** Waiting requests over the full capacity of the queue, 0–1. */
  readonly queue: number
}

export interface Health {
  /** 0–100, 100 is idle; whole numbers. */
  readonly score: number
  readonly state: HealthState
  /** The part of its full capacity that the queue may have, 0–1. */
  readonly capacityShare: number
}

const weights = { cpu: 0.3, memory: 0.3, load: 0.2, queue: 0.2 } as const

/** The lowest score of each state, and what its capacity is. */
const stateTerms: Readonly<
  Record<HealthState, { readonly scoreMin: number; readonly capacityShare: number }>
> = {
  idle: { scoreMin: 80, capacityShare: 1 },
  light: { scoreMin: 60, capacityShare: 0.8 },
  moderate: { scoreMin: 40, capacityShare: 0.6 },
  busy: { scoreMin: 20, capacityShare: 0.4 },
  overloaded: { scoreMin: 0, capacityShare: 0 },
}

/** Points by which a score must leave its state before the state changes: more than the noise of a second. */
export const hysteresis = 3

/**
 * Weight of the newest reading. A load that comes to stay shows at once by half, which the owner who comes first needs;
 * a spike of one second is as good as gone three seconds later.
 */
const newestWeight = 0.5

/** What is not a number says nothing good: it counts as entirely busy. */
const share = (value: number): number => (Number.isNaN(value) ? 1 : Math.min(1, Math.max(0, value)))

/** 0–100. */
export function toScore({ cpu, memory, load, queue }: Reading): number {
  const free =
    weights.cpu * (1 - share(cpu)) +
    weights.memory * (1 - share(memory)) +
    weights.load * (1 - share(load)) +
    weights.queue * (1 - share(queue))
  // Sums of decimal fractions miss the boundaries by a hair; a millionth of a point is finer than any boundary.
  return Math.round(free * 1e8) / 1e6
}

/** The running mean of a series, started by its first reading. */
export function smoothed(past: Reading | undefined, now: Reading): Reading {
  const mix = (before: number | undefined, value: number): number =>
    before === undefined ? share(value) : before + (share(value) - before) * newestWeight
  return {
    cpu: mix(past?.cpu, now.cpu),
    memory: mix(past?.memory, now.memory),
    load: mix(past?.load, now.load),
    queue: mix(past?.queue, now.queue),
  }
}

const stateOf = (score: number): HealthState =>
  healthStates.find((state) => score >= stateTerms[state].scoreMin) ?? 'overloaded'

/** The state of a score, which stays what it was until the score is clearly in another. */
export function toState(score: number, past: HealthState | undefined): HealthState {
  const now = stateOf(score)
  if (past === undefined || now === past) return now
  const isWorse = healthStates.indexOf(now) > healthStates.indexOf(past)
  const settled = stateOf(isWorse ? score + hysteresis : score - hysteresis)
  const stillMoves = isWorse
    ? healthStates.indexOf(settled) > healthStates.indexOf(past)
    : healthStates.indexOf(settled) < healthStates.indexOf(past)
  return stillMoves ? settled : past
}

/** What a smoothed reading means, given the state so far. */
export function toHealth(reading: Reading, past: HealthState | undefined): Health {
  const exact = toScore(reading)
  const state = toState(exact, past)
  return { score: Math.round(exact), state, capacityShare: stateTerms[state].capacityShare }
}

/** Places that a queue of `capacityMax` has at this health; at least one while anything is accepted. */
export const toCapacity = (capacityMax: number, { capacityShare }: Pick<Health, 'capacityShare'>): number =>
  capacityShare === 0 ? 0 : Math.max(1, Math.floor(capacityMax * capacityShare))
