import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  differingRanges,
  HeadTable,
  rangeCount,
  type TableHead,
  toRange,
} from '../../../machines/trust/head-table.ts'
import { hash256 } from '../../../protocol/trust/index.ts'

const keyOf = (n: number): string => hash256(Buffer.from(`key ${n}`)).toString('hex')

/** Heads of 60 accounts; of each log there is one tree to a length. */
const heads = fc.array(
  fc
    .tuple(fc.nat(60).map(keyOf), fc.integer({ min: 1, max: 5 }))
    .map(([accountId, length]) => ({ accountId, length, treeHash: keyOf(length) })),
  { maxLength: 80 },
)

const tableOf = (list: Iterable<TableHead>): HeadTable => {
  const table = new HeadTable()
  for (const head of list) table.raise(head)
  return table
}

/** What a table has to hold: the longest of each account. */
const toMax = (list: readonly TableHead[]): Map<string, TableHead> => {
  const max = new Map<string, TableHead>()
  for (const head of list)
    if (head.length > (max.get(head.accountId)?.length ?? 0)) max.set(head.accountId, head)
  return max
}

describe('a table of heads', () => {
  it('holds the longest of each account, and its digest depends on nothing else', () => {
    fc.assert(
      fc.property(heads, (list) => {
        const table = tableOf(list)
        expect(table.size).toBe(toMax(list).size)
        expect(table.digest()).toEqual(tableOf(toMax(list).values()).digest())
        expect(table.digest()).toEqual(tableOf(list.toReversed()).digest())
      }),
    )
  })

  it('differs from another in exactly the ranges in which they hold something else', () => {
    fc.assert(
      fc.property(heads, heads, fc.boolean(), (a, b, isLike) => {
        const [left, right] = [toMax(a), toMax(isLike ? [...a, ...b.slice(0, 1)] : b)]
        const ids = [...new Set([...left.keys(), ...right.keys()])]
        const expected = ids.filter((id) => left.get(id)?.length !== right.get(id)?.length).map(toRange)
        const ranges = differingRanges(tableOf(left.values()).digest(), tableOf(right.values()).digest())
        expect(ranges).toEqual([...new Set(expected)].toSorted((x, y) => x - y))
      }),
    )
  })

  it('is after a deletion as if the account had never been there', () => {
    fc.assert(
      fc.property(heads, fc.nat(60).map(keyOf), (list, gone) => {
        const table = tableOf(list)
        expect(table.delete(gone)).toBe(toMax(list).has(gone))
        expect(table.digest()).toEqual(tableOf(list.filter(({ accountId }) => accountId !== gone)).digest())
      }),
    )
  })

  it('tells two logs of one length apart, and keeps the one that came first', () => {
    const [accountId, length] = [keyOf(1), 3]
    const table = tableOf([{ accountId, length, treeHash: keyOf(1) }])
    const other = { accountId, length, treeHash: keyOf(2) }
    expect(differingRanges(table.digest(), tableOf([other]).digest())).toEqual([toRange(accountId)])
    const before = table.digest()
    expect(table.raise(other)).toBe(false)
    expect(table.digest()).toEqual(before)
  })

  it('takes nothing of an account that is none, and differs everywhere from a digest that is none', () => {
    expect(() => new HeadTable().raise({ accountId: 'x', length: 1, treeHash: '' })).toThrow(RangeError)
    expect(differingRanges(new HeadTable().digest(), [])).toHaveLength(rangeCount)
  })
})
