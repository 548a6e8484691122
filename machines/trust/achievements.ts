import type { TrustParams } from './params.ts'

export const achievements = {
  'speed-demon': 'Answered fast, again and again.',
  marathon: 'Gave long answers, again and again.',
  'open-house': 'Answered many different clients.',
  'steady-hand': 'Answered on many different days.',
} as const satisfies Record<string, string>

export type AchievementId = keyof typeof achievements

/**
 * What achievements are made of: receipts that are funded, auditable and signed to the end, as far as their points
 * have not decayed to nothing and nobody concerned is banned.
 */
export interface Deeds {
  /** Answers that took less than `speedDemonMs`. */
  readonly fast: number
  /** Answers of at least `marathonTokens`. */
  readonly long: number
  /** Clients with such a receipt, and days with one. */
  readonly clients: number
  readonly days: number
}

/**
 * Which achievements an account holds. Each counts once, however often it was earned, and for as long as its deeds do:
 * so it depends on the receipts alone, not on the moment somebody looked.
 */
export function toAchievements(deeds: Deeds, params: TrustParams): AchievementId[] {
  const held: AchievementId[] = []
  if (deeds.fast >= params.speedDemonAnswers) held.push('speed-demon')
  if (deeds.long >= params.marathonAnswers) held.push('marathon')
  if (deeds.clients >= params.openHouseClients) held.push('open-house')
  if (deeds.days >= params.steadyHandDays) held.push('steady-hand')
  return held
}
