import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  checkPage,
  differingRanges,
  LengthTable,
  pageEntriesMax,
  rangeCount,
  type RangePage,
  toRange,
} from '../../../machines/trust/anti-entropy.ts'
import { exchange, keyOf, learnAtOnce, peerOf } from './gossip-simulation.ts'

const entries = fc.array(fc.tuple(fc.nat(60).map(keyOf), fc.integer({ min: 1, max: 5 })), { maxLength: 80 })

/** What a table has to hold: the longest of each account. */
const toMax = (...lists: readonly (readonly (readonly [string, number])[])[]): Map<string, number> => {
  const max = new Map<string, number>()
  for (const [id, length] of lists.flat()) max.set(id, Math.max(length, max.get(id) ?? 0))
  return max
}

const contentOf = (table: LengthTable): Map<string, number> =>
  new Map(
    Array.from({ length: rangeCount }, (_, range) => table.page(range, '', Infinity).entries)
      .flat()
      .map(({ accountId, length }) => [accountId, length]),
  )

describe('a table of lengths', () => {
  it('holds the longest of each account, and its digest depends on nothing else', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const table = new LengthTable(list)
        const again = new LengthTable(toMax(list))
        expect(contentOf(table)).toEqual(toMax(list))
        expect(table.size).toBe(again.size)
        expect(again.digest()).toEqual(table.digest())
        expect(new LengthTable(list.toReversed()).digest()).toEqual(table.digest())
      }),
    )
  })

  it('differs from another in exactly the ranges in which they hold something else', () => {
    fc.assert(
      fc.property(entries, entries, fc.boolean(), (a, b, isLike) => {
        const [left, right] = [toMax(a), toMax(isLike ? [...a, ...b.slice(0, 1)] : b)]
        const ids = [...new Set([...left.keys(), ...right.keys()])]
        const expected = new Set(ids.filter((id) => left.get(id) !== right.get(id)).map(toRange))
        const ranges = differingRanges(new LengthTable(left).digest(), new LengthTable(right).digest())
        expect(ranges).toEqual([...expected].toSorted((x, y) => x - y))
      }),
    )
  })

  it('is cut into pages that are sound, in order and complete', () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 5 }), (list, max) => {
        const table = new LengthTable(list)
        const seen: string[] = []
        for (let range = 0; range < rangeCount; range++) {
          let page: RangePage | undefined
          do {
            page = table.page(range, page?.upTo ?? '', max)
            expect(checkPage(page)).toBeUndefined()
            expect(page.entries.length).toBeLessThanOrEqual(max)
            seen.push(...page.entries.map(({ accountId }) => accountId))
          } while (page.upTo !== '')
        }
        expect(seen).toEqual([...toMax(list).keys()].toSorted())
      }),
    )
  })

  it('becomes equal to another by one exchange: both hold the longest that either knew', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const [left, right] = [new LengthTable(a), new LengthTable(b)]
        exchange(left, peerOf(right, learnAtOnce), learnAtOnce)
        expect(contentOf(left)).toEqual(toMax(a, b))
        expect(contentOf(right)).toEqual(toMax(a, b))
        expect(differingRanges(left.digest(), right.digest())).toEqual([])
      }),
    )
  })

  it('compares a page within its bounds only', () => {
    fc.assert(
      fc.property(entries, entries, fc.integer({ min: 1, max: 3 }), (a, b, max) => {
        const [left, right] = [new LengthTable(a), new LengthTable(b)]
        const [mine, theirs] = [toMax(a), toMax(b)]
        for (let range = 0; range < rangeCount; range++) {
          const page = right.page(range, '', max)
          const within = (id: string): boolean =>
            toRange(id) === range && (page.upTo === '' || id <= page.upTo)
          const { ahead, behind } = left.compare(page)
          expect(ahead.map(({ accountId }) => accountId)).toEqual(
            [...mine.keys()]
              .filter((id) => within(id) && (mine.get(id) ?? 0) > (theirs.get(id) ?? 0))
              .toSorted(),
          )
          expect(behind.map(({ accountId }) => accountId)).toEqual(
            [...theirs.keys()]
              .filter((id) => within(id) && (theirs.get(id) ?? 0) > (mine.get(id) ?? 0))
              .toSorted(),
          )
        }
      }),
    )
  })

  it('converges over exchanges when one side lacks more than a message may carry', () => {
    const many = Array.from({ length: 40_000 }, (_, n) => keyOf(n)).filter((id) => toRange(id) === 3)
    expect(many.length).toBeGreaterThan(8 * pageEntriesMax)
    const [full, empty] = [new LengthTable(many.map((id) => [id, 1])), new LengthTable()]
    expect(full.compare(empty.page(3)).ahead).toHaveLength(pageEntriesMax)
    let exchanges = 0
    for (; exchanges < 100 && differingRanges(full.digest(), empty.digest()).length > 0; exchanges++)
      exchange(full, peerOf(empty, learnAtOnce), learnAtOnce)
    expect(empty.size).toBe(many.length)
    expect(exchanges).toBeLessThanOrEqual(Math.ceil(many.length / pageEntriesMax))
  })
})
