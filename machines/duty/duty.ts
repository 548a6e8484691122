import { isQuiet, type QuietHours } from './quiet-hours.ts'

/**
 * Why a worker takes nothing from others: the node stops, its owner said so, the hour, the battery, or other programs
 * that keep the machine busy.
 */
export const pauseReasons = ['shutdown', 'owner', 'quiet-hours', 'battery', 'load'] as const
export type PauseReason = (typeof pauseReasons)[number]

export interface Battery {
  /** 0–100, all batteries of the machine together. */
  readonly percent: number
  readonly isDischarging: boolean
}

/** What is looked at again and again. */
export interface Surroundings {
  /** Minutes after midnight, local time. */
  readonly minuteOfDay: number
  /** Absent where there is none, or where it cannot be read. */
  readonly battery?: Battery | undefined
}

/** What the owner has settled beforehand. */
export interface DutyPolicy {
  readonly quietHours: readonly QuietHours[]
  /** Percent of battery below which a machine without mains takes nothing; 0 for never. */
  readonly batteryMin: number
}

export interface DutyFacts {
  readonly isStopping: boolean
  /** The owner said `drain`, and not `resume` since. */
  readonly isDrained: boolean
  readonly isOverloaded: boolean
  /** Undefined before the first look: what held before holds on. */
  readonly surroundings: Surroundings | undefined
}

/** Percent that a battery must gain before it counts as charged again: the gauge wavers around its mark. */
export const batteryHysteresis = 5

function isBatteryLow(battery: Battery | undefined, batteryMin: number, wasLow: boolean): boolean {
  if (!battery?.isDischarging) return false
  const mark = wasLow && batteryMin > 0 ? Math.min(100, batteryMin + batteryHysteresis) : batteryMin
  return battery.percent < mark
}

/** Every reason that holds now, in the order of `pauseReasons`; none means that the worker serves. */
export function toPauses(
  { quietHours, batteryMin }: DutyPolicy,
  { isStopping, isDrained, isOverloaded, surroundings }: DutyFacts,
  past: readonly PauseReason[],
): readonly PauseReason[] {
  const holds: Readonly<Record<PauseReason, boolean>> = {
    shutdown: isStopping,
    owner: isDrained,
    'quiet-hours': surroundings
      ? isQuiet(quietHours, surroundings.minuteOfDay)
      : past.includes('quiet-hours'),
    battery: surroundings
      ? isBatteryLow(surroundings.battery, batteryMin, past.includes('battery'))
      : past.includes('battery'),
    load: isOverloaded,
  }
  return pauseReasons.filter((reason) => holds[reason])
}
