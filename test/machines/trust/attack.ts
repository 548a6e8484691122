import {
  aggregate,
  influenceMean,
  krum,
  median,
  type Report,
  trimmedMean,
} from '../../../machines/trust/aggregate.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import { toInfluences } from '../../../machines/trust/influence.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { accountOf } from './receipt-rig.ts'

/** A group of reporters in which some agreed to report the truth plus a shift. */
export interface Attack {
  readonly reporters: number
  readonly liars: number
  /** In ONE. */
  readonly shift: number
}

/** Standard deviation of what honest reporters report, in ONE. */
export const sigma = 0.1
const dimensions = 5
const truth = 10

export function createNormal(random: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Honest reporters have reputations of 0.5 to 1, liars of 0.3 to 0.7. */
function createReports({ reporters, liars, shift }: Attack, random: () => number): Report[] {
  const normal = createNormal(random)
  const people = Array.from({ length: reporters }, (_, index) => ({
    isLiar: index < liars,
    reputation: index < liars ? 0.3 + 0.4 * random() : 0.5 + 0.5 * random(),
  }))
  const influences = toInfluences(people.map(({ reputation }) => Math.floor(reputation * ONE)))
  return people.map(({ isLiar }, index) => ({
    reporterId: accountOf(index + 1),
    influence: influences[index] ?? 0,
    values: Array.from({ length: dimensions }, () =>
      Math.round((truth + (isLiar ? shift : 0) + sigma * normal()) * ONE),
    ),
  }))
}

const plainMean = (reports: readonly Report[]): number[] =>
  Array.from({ length: dimensions }, (_, coordinate) =>
    reports.reduce((sum, { values }) => sum + (values[coordinate] ?? 0) / reports.length, 0),
  )

const weighedMean = (reports: readonly Report[]): number[] => {
  const total = reports.reduce((sum, { influence }) => sum + influence, 0)
  return Array.from({ length: dimensions }, (_, coordinate) =>
    reports.reduce((sum, { values, influence }) => sum + ((values[coordinate] ?? 0) * influence) / total, 0),
  )
}

export const methods = {
  mean: plainMean,
  weighedMean,
  calm: (reports: readonly Report[]) => influenceMean(reports),
  trim20: (reports: readonly Report[]) => trimmedMean(reports, { liarsPercent: 0 }),
  trim35: (reports: readonly Report[]) => aggregate(reports, 'preStorm'),
  median,
  krum,
  multiKrum: (reports: readonly Report[]) => aggregate(reports, 'storm'),
} satisfies Record<string, (reports: readonly Report[]) => number[]>

export type Method = keyof typeof methods

/** The error of the worst coordinate in ONE, averaged over seeded trials, of every method. */
export function simulateAttack(attack: Attack, trials: number, seed: number): Record<Method, number> {
  const random = createRandom(seed)
  const errors = Object.fromEntries(Object.keys(methods).map((name) => [name, 0])) as Record<Method, number>
  for (let trial = 0; trial < trials; trial++) {
    const reports = createReports(attack, random)
    for (const [name, method] of Object.entries(methods)) {
      const worst = Math.max(...method(reports).map((value) => Math.abs(value / ONE - truth)))
      errors[name as Method] += worst / trials
    }
  }
  return errors
}
