import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ceilDiv,
  divQ,
  floorDiv,
  medianOf,
  mulDiv,
  mulQ,
  ONE,
  weightedMedian,
} from '../../../machines/trust/fixed.ts'

const safe = fc.maxSafeNat()
const divisor = fc.oneof(
  fc.integer({ min: 1, max: 1_000 }),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
)

/** A numerator next to a multiple of the divisor, where a rounded quotient would show. */
const nearMultiple = fc
  .tuple(divisor, fc.maxSafeNat(), fc.integer({ min: -1, max: 1 }))
  .map(([b, a, off]) => ({ a: Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, a - (a % b) + off)), b }))

describe('integer arithmetic', () => {
  it('divides as exact arithmetic does', () => {
    const cases = fc.oneof(fc.record({ a: safe, b: divisor }), nearMultiple)
    fc.assert(
      fc.property(cases, ({ a, b }) => {
        expect(BigInt(floorDiv(a, b))).toBe(BigInt(a) / BigInt(b))
        expect(BigInt(ceilDiv(a, b))).toBe((BigInt(a) + BigInt(b) - 1n) / BigInt(b))
      }),
      { numRuns: 2_000 },
    )
  })

  it('multiplies by a fraction as exact arithmetic does, beyond where the product is safe', () => {
    fc.assert(
      fc.property(safe, fc.integer({ min: 0, max: ONE }), (a, b) => {
        expect(BigInt(mulQ(a, b))).toBe((BigInt(a) * BigInt(b)) / BigInt(ONE))
      }),
    )
    fc.assert(
      fc.property(safe, fc.integer({ min: 0, max: 100 }), (a, percent) => {
        expect(BigInt(mulDiv(a, percent, 100))).toBe((BigInt(a) * BigInt(percent)) / 100n)
      }),
    )
  })

  it('gives the exact result or throws, never a rounded one', () => {
    fc.assert(
      fc.property(safe, safe, divisor, (a, b, c) => {
        const exact = (BigInt(a) * BigInt(b)) / BigInt(c)
        let result: number | null = null
        try {
          result = mulDiv(a, b, c)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
        if (result !== null) expect(BigInt(result)).toBe(exact)
      }),
    )
  })

  it('leaves medians between the values, whatever their order', () => {
    const values = fc.array(fc.integer(), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(values, fc.infiniteStream(fc.nat(9)), (xs, weightStream) => {
        const weights = xs.map(() => weightStream.next().value ?? 0)
        const median = medianOf(xs)
        expect(median).toBe(medianOf(xs.toReversed()))
        expect(xs.filter((x) => x <= median).length * 2).toBeGreaterThanOrEqual(xs.length)
        expect(xs.filter((x) => x < median).length * 2).toBeLessThanOrEqual(xs.length)

        const weighted = weightedMedian(xs, weights)
        expect(weighted).toBe(weightedMedian(xs.toReversed(), weights.toReversed()))
        const sum = (isIn: (x: number) => boolean): number =>
          xs.reduce((total, x, index) => total + (isIn(x) ? (weights[index] ?? 0) : 0), 0)
        expect(sum((x) => x <= weighted) * 2).toBeGreaterThanOrEqual(sum(() => true))
        expect(sum((x) => x < weighted) * 2).toBeLessThanOrEqual(sum(() => true))
      }),
    )
  })
})

describe('arguments that no score may be computed from', () => {
  it.each([-1, 0.5, Number.NaN, Infinity, 2 ** 53])('refuses %s', (value) => {
    expect(() => mulQ(value, ONE)).toThrow(RangeError)
    expect(() => divQ(value, ONE)).toThrow(RangeError)
    expect(() => floorDiv(1, value)).toThrow(RangeError)
  })

  it('refuses to divide by nothing, and medians of nothing', () => {
    expect(() => floorDiv(1, 0)).toThrow(RangeError)
    expect(() => divQ(2 ** 40, 1)).toThrow(RangeError)
    expect(() => medianOf([])).toThrow(RangeError)
    expect(() => weightedMedian([], [])).toThrow(RangeError)
    expect(() => weightedMedian([1], [])).toThrow(RangeError)
  })
})
