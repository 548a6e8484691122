import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  aggregate,
  influenceMean,
  multiKrum,
  type Report,
  toLiarsMax,
  toTrimPercent,
  trimmedMean,
} from '../../../machines/trust/aggregate.ts'
import { ONE, percentOf } from '../../../machines/trust/fixed.ts'
import { accountOf } from './receipt-rig.ts'

const value = fc.oneof(fc.nat(1_000), fc.maxSafeNat())
const vectors = (count: { min: number; max: number }) =>
  fc.array(fc.array(value, { minLength: 2, maxLength: 2 }), { minLength: count.min, maxLength: count.max })
const regimes = fc.constantFrom('calm', 'preStorm', 'storm')

const toReports = (values: readonly (readonly number[])[], influence = ONE): Report[] =>
  values.map((vector, index) => ({ reporterId: accountOf(index + 1), values: vector, influence }))

const columns = (values: readonly (readonly number[])[]): number[][] =>
  [0, 1].map((coordinate) => values.map((vector) => vector[coordinate] ?? 0))

describe('every aggregator', () => {
  it('gives the same whatever the order of the reports, and stays between the lowest and the highest', () => {
    fc.assert(
      fc.property(
        vectors({ min: 1, max: 20 }),
        regimes,
        fc.infiniteStream(fc.nat()),
        (values, regime, keys) => {
          const reports = toReports(values)
          const shuffled = reports
            .map((report) => ({ report, key: keys.next().value ?? 0 }))
            .toSorted((a, b) => a.key - b.key)
            .map(({ report }) => report)
          const result = aggregate(reports, regime)
          expect(aggregate(shuffled, regime)).toEqual(result)
          columns(values).forEach((column, coordinate) => {
            expect(result[coordinate]).toBeGreaterThanOrEqual(Math.min(...column))
            expect(result[coordinate]).toBeLessThanOrEqual(Math.max(...column))
          })
        },
      ),
    )
  })

  it('gives what all say when all say the same', () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        regimes,
        (v, n, r) => {
          expect(aggregate(toReports(Array.from({ length: n }, () => v)), r)).toEqual(v)
        },
      ),
    )
  })

  it('gives what honest reporters say when these agree and no more lie than it is made for', () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 2, maxLength: 2 }),
        vectors({ min: 1, max: 12 }),
        fc.nat(10),
        regimes,
        (truth, lies, more, regime) => {
          // Liars are a third at most: less than what any of the three reckons with.
          const honest = Array.from({ length: 2 * lies.length + 1 + more }, () => truth)
          expect(aggregate(toReports([...lies, ...honest]), regime)).toEqual(truth)
        },
      ),
    )
  })
})

describe('the mean by influence', () => {
  it('stays near honest values as long as liars have less than half of the influence', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 5_000, max: 6_000 }), { minLength: 1, maxLength: 10 }),
        fc.array(value, { maxLength: 30 }),
        (honest, lies) => {
          // However many they are: all of them together weigh less than one honest reporter.
          const reports = [
            ...toReports(honest.map((v) => [v])),
            ...lies.map((v, index) => ({
              reporterId: accountOf(100 + index),
              values: [v],
              influence: 2_000,
            })),
          ]
          const [low, high] = [Math.min(...honest), Math.max(...honest)]
          const [result = NaN] = influenceMean(reports)
          expect(result).toBeGreaterThanOrEqual(low - 4.44 * (high - low))
          expect(result).toBeLessThanOrEqual(high + 4.44 * (high - low))
        },
      ),
    )
  })
})

describe('the trimmed mean', () => {
  it('lies between honest values as long as no more lie than are cut off', () => {
    fc.assert(
      fc.property(
        vectors({ min: 7, max: 40 }),
        vectors({ min: 40, max: 40 }),
        fc.nat(60),
        (all, lies, liarsPercent) => {
          const cut = percentOf(all.length, toTrimPercent(liarsPercent))
          const mixed = all.map((vector, index) => (index < cut ? (lies[index] ?? vector) : vector))
          const result = trimmedMean(toReports(mixed), { liarsPercent })
          columns(all.slice(cut)).forEach((column, coordinate) => {
            expect(result[coordinate]).toBeGreaterThanOrEqual(Math.min(...column))
            expect(result[coordinate]).toBeLessThanOrEqual(Math.max(...column))
          })
        },
      ),
    )
  })
})

describe('Multi-Krum', () => {
  it('ignores liars who agree among themselves, far away, and are as many as it reckons with', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1_000, max: 2_000 }), { minLength: 7, maxLength: 30 }),
        fc.integer({ min: 1_000_000, max: 2_000_000 }),
        (values, far) => {
          const liars = toLiarsMax(values.length)
          const mixed = values.map((v, index) => [index < liars ? far : v])
          const honest = values.slice(liars)
          const [result = NaN] = multiKrum(toReports(mixed))
          expect(result).toBeGreaterThanOrEqual(Math.min(...honest))
          expect(result).toBeLessThanOrEqual(Math.max(...honest))
        },
      ),
    )
  })
})
