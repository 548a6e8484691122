/**
 * How often this client turned to a worker, half forgotten every half-life. A value: every turn makes a new one. It
 * decides between workers that are as good and as free: luck alone would leave their shares a tenth and more apart.
 */
export interface Turns {
  /** As of `atMs`. */
  readonly count: number
  readonly atMs: number
}

/** Long enough to even out many turns, short enough that one who was away is not owed all that it missed. */
const halfLifeMs = 3_600_000

export const noTurns: Turns = { count: 0, atMs: 0 }

export const turnsAt = ({ count, atMs }: Turns, nowMs: number): number =>
  count === 0 ? 0 : count * 2 ** (-Math.max(0, nowMs - atMs) / halfLifeMs)

export const afterTurn = (turns: Turns, nowMs: number): Turns => ({
  count: turnsAt(turns, nowMs) + 1,
  atMs: nowMs,
})
