/**
 * Numbers that every node must compute alike: Q16.16 in plain integers.
 *
 * Rules for whoever adds to this: no `Math.pow`, `exp` or `log` (engines differ in the last digit), no quotient without
 * a floor, every intermediate a safe integer. Broken rules throw here, at once, and not months later as two nodes
 * that disagree.
 *
 * Why `Math.floor(a / b)` is exact for safe integers a >= 0, b >= 1: let q = floor(a / b) and suppose that the
 * division, correctly rounded as IEEE 754 demands, gave q + 1 although a / b < q + 1. The gap is at least 1 / b, and
 * rounding bridges at most half a unit in the last place of a / b, which is 2^(k - 53) when 2^k <= a / b < 2^(k + 1).
 * So b >= 2^(53 - k), hence a >= 2^k · b >= 2^53: not a safe integer. Rounding down below q cannot happen, q being exact.
 */

/** One in Q16.16. */
export const ONE = 65_536

/** Returns the value when it is a non-negative safe integer; throws a `RangeError` otherwise: a defect of the caller. */
export function asserted(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`Expected a non-negative safe integer in consensus arithmetic, got ${value}`)
  return value
}

/** floor(a / b) of two non-negative safe integers, b at least 1. */
export function floorDiv(a: number, b: number): number {
  asserted(a)
  if (asserted(b) === 0) throw new RangeError('Expected a divisor of at least 1, got 0')
  return Math.floor(a / b)
}

/** ceil(a / b) of two non-negative safe integers, b at least 1. */
export function ceilDiv(a: number, b: number): number {
  const quotient = floorDiv(a, b)
  return quotient * b === a ? quotient : quotient + 1
}

/**
 * floor(a · b / divisor), exact also where a · b itself would be no safe integer: with a = q · divisor + r it is
 * q · b + floor(r · b / divisor). Needs b · divisor and the result to be safe integers.
 */
export function mulDiv(a: number, b: number, divisor: number): number {
  const quotient = floorDiv(a, divisor)
  const rest = a - quotient * divisor
  return asserted(asserted(quotient * b) + floorDiv(rest * b, divisor))
}

/** floor(a · b / ONE): the product of a Q16.16 number, or a count, with a Q16.16 number of less than 2^37. */
export const mulQ = (a: number, b: number): number => mulDiv(a, b, ONE)

/** floor(a · ONE / b): the quotient of two counts or two Q16.16 numbers as Q16.16. `a` is less than 2^37. */
export const divQ = (a: number, b: number): number => floorDiv(asserted(a) * ONE, b)

/** floor(percent · a / 100). */
export const percentOf = (a: number, percent: number): number => mulDiv(a, percent, 100)

/**
 * The middle of the values, for an even number of them the floor of the mean of the middle two. Negative values are
 * allowed, an empty list is not.
 */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined)
    throw new RangeError('Expected a value to take the median of')
  // Written as a distance: the sum of two safe integers need not be one.
  return lower + Math.floor((upper - lower) / 2)
}

/**
 * The lowest value such that it and all lower ones carry at least half of the weight. Weights are non-negative and
 * pair up with the values; without any weight the plain median's lower half counts.
 */
export function weightedMedian(values: readonly number[], weights: readonly number[]): number {
  if (values.length === 0 || values.length !== weights.length)
    throw new RangeError(
      `Expected one weight for each of some values, got ${weights.length} for ${values.length}`,
    )
  const pairs = values
    .map((value, index) => ({ value, weight: asserted(weights[index] ?? 0) }))
    .toSorted((a, b) => a.value - b.value)
  const total = asserted(pairs.reduce((sum, { weight }) => sum + weight, 0))
  if (total === 0) return pairs[Math.floor((pairs.length - 1) / 2)]?.value ?? 0
  let below = 0
  for (const { value, weight } of pairs) {
    below += weight
    if (below >= total - below) return value
  }
  return pairs.at(-1)?.value ?? 0
}
