import type { PeerId } from '../../protocol/index.ts'
import { asserted, ceilDiv, medianOf, percentOf, weightedMedian } from './fixed.ts'
import type { Regime } from './regime.ts'

/**
 * One value out of many reports of which some are lies: for what nobody can recompute (latency, availability, health)
 * and for ordering while a score is in dispute. Three ways, from one that makes the most of reputations to one that
 * needs none; the regime chooses.
 *
 * A reporter without influence is not heard, unless nobody has any: then all count alike. Values are non-negative
 * integers (Q16.16 by custom). Sums and squares go through BigInt, so no value that fits a statement can make them wrong.
 * Input that makes no sense throws a `RangeError`: a defect of the caller.
 */
export interface Report {
  readonly reporterId: PeerId
  readonly values: readonly number[]
  /** Q16.16. */
  readonly influence: number
}

export interface AggregateOptions {
  /**
   * The width of what each value can be, not of what was reported: one liar would stretch that. In calm, differences of
   * less than a hundredth of it never make an outlier. 0 where left out.
   */
  readonly ranges?: readonly number[]
  /** Upper estimate of the liars in percent, 30 where left out. Too high costs little, too low breaks the result. */
  readonly liarsPercent?: number
}

/** Below so many reports the median is all that trimming and Krum could give. */
export const reportsForTrim = 7
/** Krum's cost grows with the square of the reports. */
export const reportsMax = 256

/** Outliers are further than 3 · 1.48 median deviations from the median; the products below carry a factor of 100. */
const outlierFactor = 3n
const deviationPercent = 148n
const liarsPercentDefault = 30

export function aggregate(
  reports: readonly Report[],
  regime: Regime,
  options: AggregateOptions = {},
): number[] {
  const heard = toHeard(reports)
  switch (regime) {
    case 'calm':
      return influenceMean(heard, options)
    case 'preStorm':
      return trimmedMean(heard, options)
    case 'storm':
      return heard.length < reportsForTrim ? median(heard) : multiKrum(heard)
  }
}

/**
 * In each coordinate, the mean by influence of the reports near the median by influence. Drops outliers instead of
 * clipping them: clipped ones still pull. The deviation is weighed too, or a crowd of nobodies could narrow it.
 */
export function influenceMean(reports: readonly Report[], { ranges }: AggregateOptions = {}): number[] {
  const heard = toHeard(reports)
  const weights = heard.map(({ influence }) => influence)
  return columnsOf(heard).map((column, coordinate) => {
    const range = BigInt(asserted(ranges?.[coordinate] ?? 0))
    const middle = weightedMedian(column, weights)
    const deviations = column.map((value) => Math.abs(value - middle))
    const spread = BigInt(weightedMedian(deviations, weights)) * deviationPercent
    const most = outlierFactor * (spread > range ? spread : range)
    const near = column.flatMap((value, index) =>
      100n * BigInt(deviations[index] ?? 0) <= most ? [{ value, weight: weights[index] ?? 0 }] : [],
    )
    return meanOf(near)
  })
}

/**
 * In each coordinate, the mean without the lowest and the highest part of the reports. As long as no more lie than are
 * cut off at one end, it lies between honest values. The median when there are few reports.
 */
export function trimmedMean(reports: readonly Report[], { liarsPercent }: AggregateOptions = {}): number[] {
  const heard = toHeard(reports)
  if (heard.length < reportsForTrim) return columnsOf(heard).map(medianOf)
  const cut = percentOf(heard.length, toTrimPercent(liarsPercent))
  return columnsOf(heard).map((column) =>
    meanOf(
      column
        .toSorted((a, b) => a - b)
        .slice(cut, column.length - cut)
        .map((value) => ({ value, weight: 1 })),
    ),
  )
}

/** What is cut off at each end, in percent of the reports: five more than the liars that are expected, 20 to 45. */
export function toTrimPercent(liarsPercent: number = liarsPercentDefault): number {
  if (asserted(liarsPercent) > 100)
    throw new RangeError(`Expected a share of at most 100 percent, got ${liarsPercent}`)
  return Math.min(45, Math.max(20, liarsPercent + 5))
}

/** The one report that is closest to those around it. */
export function krum(reports: readonly Report[]): number[] {
  const [best] = byCloseness(toHeard(reports))
  return [...(best?.values ?? [])]
}

/** The mean of the reports that are closest to those around them. */
export function multiKrum(reports: readonly Report[]): number[] {
  const heard = toHeard(reports)
  const kept = Math.max(1, heard.length - 2 * toLiarsMax(heard.length) - 2)
  return columnsOf(byCloseness(heard).slice(0, kept)).map((column) =>
    meanOf(column.map((value) => ({ value, weight: 1 }))),
  )
}

/** Liars that Krum reckons with among n reports: two in five, and never so many that 2 · liars + 2 < n fails. */
export function toLiarsMax(count: number): number {
  if (asserted(count) < 3) throw new RangeError(`Expected at least 3 reports for Krum, got ${count}`)
  return Math.min(ceilDiv(2 * count, 5), Math.floor((count - 3) / 2))
}

/** In each coordinate, the middle value; of an even number the mean of the middle two. */
export function median(reports: readonly Report[]): number[] {
  return columnsOf(toHeard(reports)).map(medianOf)
}

/**
 * Reports by the sum of their squared distances to their n − f − 2 nearest, least first; of equals the lower account id
 * first, so that all nodes choose alike.
 */
function byCloseness(reports: readonly Report[]): Report[] {
  const nearest = reports.length - toLiarsMax(reports.length) - 2
  const distances = reports.map(() => Array<bigint>(reports.length).fill(0n))
  for (const [i, a] of reports.entries()) {
    for (const [j, b] of reports.slice(0, i).entries()) {
      const distance = toDistance(a, b)
      distances[i]?.splice(j, 1, distance)
      distances[j]?.splice(i, 1, distance)
    }
  }
  return reports
    .map((report, index) => {
      const others = (distances[index] ?? []).toSpliced(index, 1).toSorted(compare)
      return { report, score: others.slice(0, nearest).reduce((sum, distance) => sum + distance, 0n) }
    })
    .toSorted((a, b) => compare(a.score, b.score) || compare(a.report.reporterId, b.report.reporterId))
    .map(({ report }) => report)
}

function toDistance(a: Report, b: Report): bigint {
  return a.values.reduce((sum, value, coordinate) => {
    const difference = BigInt(value - (b.values[coordinate] ?? 0))
    return sum + difference * difference
  }, 0n)
}

const compare = <Ordered extends bigint | string>(a: Ordered, b: Ordered): number =>
  a < b ? -1 : a > b ? 1 : 0

/** floor of the mean by weight; all values are non-negative, so BigInt's division is a floor. */
function meanOf(terms: readonly { readonly value: number; readonly weight: number }[]): number {
  const total = terms.reduce((sum, { weight }) => sum + BigInt(weight), 0n)
  return Number(terms.reduce((sum, { value, weight }) => sum + BigInt(value) * BigInt(weight), 0n) / total)
}

function columnsOf(reports: readonly Report[]): number[][] {
  const [first] = reports
  return (first?.values ?? []).map((_, coordinate) => reports.map(({ values }) => values[coordinate] ?? 0))
}

/** Who counts, after a check that the reports fit together. */
function toHeard(reports: readonly Report[]): readonly Report[] {
  const [first] = reports
  if (first === undefined) throw new RangeError('Expected at least one report, got none')
  if (reports.length > reportsMax)
    throw new RangeError(`Expected at most ${reportsMax} reports, got ${reports.length}`)
  if (new Set(reports.map(({ reporterId }) => reporterId)).size !== reports.length)
    throw new RangeError('Expected one report of each account, got two of one')
  for (const { values, influence } of reports) {
    asserted(influence)
    values.forEach(asserted)
    if (values.length !== first.values.length || values.length === 0)
      throw new RangeError(`Expected ${first.values.length || 'some'} values a report, got ${values.length}`)
  }
  const heard = reports.filter(({ influence }) => influence > 0)
  return heard.length > 0 ? heard : reports.map((report) => ({ ...report, influence: 1 }))
}
