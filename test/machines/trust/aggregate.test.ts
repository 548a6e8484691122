import { describe, expect, it } from 'vitest'
import {
  aggregate,
  influenceMean,
  krum,
  median,
  multiKrum,
  type Report,
  reportsMax,
  toLiarsMax,
  toTrimPercent,
  trimmedMean,
} from '../../../machines/trust/aggregate.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import { toInfluences } from '../../../machines/trust/influence.ts'
import { accountOf } from './receipt-rig.ts'
import { type Attack, type Method, sigma, simulateAttack } from './attack.ts'

/** One value each, all of the same influence unless told otherwise. */
const reportsOf = (values: readonly number[], influences: readonly number[] = []): Report[] =>
  values.map((value, index) => ({
    reporterId: accountOf(index + 1),
    values: [value],
    influence: influences[index] ?? ONE,
  }))

describe('the errors of the aggregators under attack', () => {
  /** Errors of the design's table: mean of the worst coordinate, honest reports having a deviation of 0.1. */
  const table: readonly (Attack & { readonly errors: Partial<Record<Method, number>> })[] = [
    {
      reporters: 16,
      liars: 5,
      shift: 3,
      errors: {
        mean: 0.96,
        calm: 0.051,
        trim20: 0.66,
        trim35: 0.11,
        median: 0.1,
        krum: 0.093,
        multiKrum: 0.069,
      },
    },
    {
      reporters: 31,
      liars: 9,
      shift: 3,
      errors: {
        mean: 0.89,
        calm: 0.036,
        trim20: 0.53,
        trim35: 0.088,
        median: 0.086,
        krum: 0.078,
        multiKrum: 0.046,
      },
    },
    {
      reporters: 100,
      liars: 30,
      shift: 3,
      errors: {
        mean: 0.91,
        calm: 0.02,
        trim20: 0.55,
        trim35: 0.078,
        median: 0.076,
        krum: 0.058,
        multiKrum: 0.025,
      },
    },
    {
      reporters: 100,
      liars: 40,
      shift: 3,
      errors: {
        mean: 1.21,
        calm: 0.022,
        trim20: 1.05,
        trim35: 0.59,
        median: 0.12,
        krum: 0.06,
        multiKrum: 0.03,
      },
    },
    {
      reporters: 100,
      liars: 30,
      shift: 0.25,
      errors: {
        mean: 0.085,
        calm: 0.046,
        trim20: 0.093,
        trim35: 0.078,
        median: 0.076,
        krum: 0.058,
        multiKrum: 0.026,
      },
    },
  ]

  it.each(table)('$liars of $reporters at +$shift: as published', ({ errors, ...attack }) => {
    const measured = simulateAttack(attack, 12, 42)
    for (const [method, published] of Object.entries(errors)) {
      const ratio = measured[method as Method] / published
      expect(
        ratio,
        `${method}: ${measured[method as Method]} where ${published} was published`,
      ).toBeGreaterThan(0.6)
      expect(ratio, `${method}: ${measured[method as Method]} where ${published} was published`).toBeLessThan(
        1.6,
      )
    }
  })

  it('30 liars of 100 move what the regimes use by less than an honest deviation, and a mean by nine', () => {
    const { calm, trim35, multiKrum, mean } = simulateAttack({ reporters: 100, liars: 30, shift: 3 }, 12, 7)
    expect(Math.max(calm, trim35, multiKrum)).toBeLessThan(sigma)
    expect(mean).toBeGreaterThan(8 * sigma)
  })
})

describe('the mean by influence', () => {
  it('drops what is further than 3 · 1.48 deviations from the median, and keeps what is just there', () => {
    // The median is 100 and the deviation 10, so the last one kept is 44 away.
    const around = [90, 90, 90, 100, 110, 110]
    expect(influenceMean(reportsOf([...around, 144]))).toEqual([Math.floor((590 + 144) / 7)])
    expect(influenceMean(reportsOf([...around, 145]))).toEqual([Math.floor(590 / 6)])
  })

  it('weighs by influence', () => {
    expect(influenceMean(reportsOf([100, 110], [3 * ONE, ONE]), { ranges: [10_000] })).toEqual([102])
  })

  it('calls nothing an outlier that differs by less than three hundredths of the range', () => {
    const reports = reportsOf([100, 100, 100, 100, 130])
    expect(influenceMean(reports)).toEqual([100])
    expect(influenceMean(reports, { ranges: [999] })).toEqual([100])
    expect(influenceMean(reports, { ranges: [1_000] })).toEqual([106])
  })

  it('does not let a crowd without influence widen or narrow the deviation', () => {
    const honest = [90, 95, 100, 105, 110]
    const alone = influenceMean(reportsOf(honest))
    const crowd = [
      ...honest,
      ...Array.from({ length: 50 }, () => 100),
      ...Array.from({ length: 50 }, () => 9_999),
    ]
    expect(influenceMean(reportsOf(crowd, [ONE, ONE, ONE, ONE, ONE, ...Array<number>(100).fill(0)]))).toEqual(
      alone,
    )
  })

  it('lets all count alike where nobody has influence', () => {
    expect(influenceMean(reportsOf([1, 2, 3], [0, 0, 0]))).toEqual([2])
  })
})

describe('the trimmed mean', () => {
  it.each([
    [0, 20],
    [15, 20],
    [16, 21],
    [30, 35],
    [40, 45],
    [60, 45],
  ])('reckoning with %i percent liars cuts off %i percent at each end', (liars, cut) => {
    expect(toTrimPercent(liars)).toBe(cut)
  })

  it('expects 30 % liars where nothing else is said', () => expect(toTrimPercent()).toBe(35))

  it('cuts floor(β · n) at each end, in exact arithmetic', () => {
    // 35 % of 20 are 7, although 0.35 in Q16.16 times 20 is a little less.
    const values = Array.from({ length: 20 }, (_, index) =>
      index < 7 ? 0 : index < 13 ? 100 + index : 9_999,
    )
    expect(trimmedMean(reportsOf(values))).toEqual([Math.floor((107 + 108 + 109 + 110 + 111 + 112) / 6)])
  })

  it('of fewer than seven reports is the median', () => {
    expect(trimmedMean(reportsOf([1, 2, 3, 40, 50, 60]))).toEqual([21])
    expect(trimmedMean(reportsOf([1, 2, 3, 41, 50, 60, 70]))).toEqual([Math.floor((3 + 41 + 50) / 3)])
  })
})

describe('Krum', () => {
  it.each([
    [3, 0],
    [7, 2],
    [16, 6],
    [31, 13],
    [64, 26],
    [100, 40],
  ])('reckons among %i reports with %i liars', (count, liars) => {
    expect(toLiarsMax(count)).toBe(liars)
    expect(2 * liars + 2).toBeLessThan(count)
  })

  it('takes the report whose n − f − 2 nearest are closest, and of equals the lower account', () => {
    // n = 7, f = 2: three nearest. Around 10 there are four, so 10 and its twin have the least sum.
    const values = [50, 11, 10, 10, 9, 90, 91]
    expect(krum(reportsOf(values))).toEqual([10])
    const twins = [0, 2, 4, 6, 8, 10, 12]
    // All but the ends have 4 + 4 + 16; the lowest account of these decides, whatever the order of the reports.
    const reports = reportsOf(twins)
    expect(krum(reports)).toEqual([2])
    expect(krum(reports.toReversed())).toEqual([2])
    expect(krum(reports.map((report, index) => ({ ...report, reporterId: accountOf(99 - index) })))).toEqual([
      10,
    ])
  })

  it('averages the n − 2f − 2 best', () => {
    // n = 16, f = 6: two.
    const values = [
      100,
      101,
      ...Array.from({ length: 8 }, (_, index) => 90 - 3 * index),
      999,
      999,
      999,
      1,
      1,
      1,
    ]
    expect(values).toHaveLength(16)
    const byHand = values
      .map((value, index) => ({
        value,
        score: values
          .flatMap((other, at) => (at === index ? [] : [(other - value) ** 2]))
          .toSorted((a, b) => a - b)
          .slice(0, 8)
          .reduce((sum, square) => sum + square, 0),
      }))
      .toSorted((a, b) => a.score - b.score)
    const [first, second] = byHand
    expect(multiKrum(reportsOf(values))).toEqual([
      Math.floor(((first?.value ?? 0) + (second?.value ?? 0)) / 2),
    ])
  })

  it('is exact for values whose squares are not', () => {
    const far = Number.MAX_SAFE_INTEGER
    const values = [far, far - 1, far - 2, far - 3, 5, 6, 0]
    expect(krum(reportsOf(values))).toEqual([far - 1])
  })
})

describe('aggregate', () => {
  const values = [10, 11, 12, 13, 14, 15, 16, 900, 901]
  it('takes the way of the regime', () => {
    const reports = reportsOf(values)
    expect(aggregate(reports, 'calm')).toEqual(influenceMean(reports))
    expect(aggregate(reports, 'preStorm')).toEqual(trimmedMean(reports))
    expect(aggregate(reports, 'storm')).toEqual(multiKrum(reports))
    const few = reportsOf([1, 5, 900])
    expect(aggregate(few, 'preStorm')).toEqual([5])
    expect(aggregate(few, 'storm')).toEqual(median(few))
  })

  it('of few with influence is the median of these, however many have none', () => {
    const reports = reportsOf([...values, 7], [ONE, 0, 0, 0, 0, 0, 0, 0, 0, ONE])
    expect(aggregate(reports, 'storm')).toEqual([8])
  })

  it.each([
    ['no report', []],
    ['no value', [{ reporterId: accountOf(1), values: [], influence: 1 }]],
    ['a fraction', reportsOf([1.5])],
    ['a negative value', reportsOf([-1])],
    ['a value beyond exact integers', reportsOf([2 ** 53])],
    ['a negative influence', reportsOf([1], [-1])],
    [
      'other numbers of values',
      [...reportsOf([1]), { reporterId: accountOf(9), values: [1, 2], influence: 1 }],
    ],
    ['two reports of one account', [...reportsOf([1]), ...reportsOf([2])]],
    ['more reports than there is time for', reportsOf(Array.from({ length: reportsMax + 1 }, () => 1))],
  ] satisfies [string, Report[]][])('refuses %s', (_, reports) => {
    for (const regime of ['calm', 'preStorm', 'storm'] as const)
      expect(() => aggregate(reports, regime)).toThrow(RangeError)
  })

  it('refuses a share of liars above all, and Krum of two', () => {
    expect(() => toTrimPercent(101)).toThrow(RangeError)
    expect(() => krum(reportsOf([1, 2]))).toThrow(RangeError)
  })
})

describe('influence', () => {
  it('is four fifths of the cube of the reputation, at most twice the median', () => {
    expect(toInfluences([ONE, ONE, ONE])).toEqual([52_428, 52_428, 52_428])
    expect(toInfluences([ONE / 2, ONE / 2, ONE])).toEqual([6_553, 6_553, 13_106])
    expect(toInfluences([0, 0, ONE])).toEqual([0, 0, 0])
    expect(toInfluences([])).toEqual([])
    expect(() => toInfluences([ONE + 1])).toThrow(RangeError)
  })
})
