import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findFork, headsPerAccount, HeadTable } from '../../../machines/trust/head-table.ts'
import type { Head } from '../../../protocol/trust/index.ts'
import { accountOf, bytes } from './receipt-rig.ts'

/** A head of the account's true log, or of another branch. */
const headOf = (account: number, length: number, branch = 0): Head => ({
  accountId: accountOf(account),
  epoch: 1_000 + length,
  length,
  treeHash: bytes(1_000 * length + branch, 32),
  signature: bytes(length, 64),
})

const announcements = fc.array(fc.record({ account: fc.nat(5), length: fc.integer({ min: 1, max: 60 }) }), {
  maxLength: 200,
})

describe('a head table', () => {
  it('never accuses an account with one log, whatever the order and repetition of its heads', () => {
    fc.assert(
      fc.property(announcements, (list) => {
        const table = new HeadTable(10)
        const longest = new Map<number, number>()
        const seen = new Set<string>()
        for (const { account, length } of list) {
          const before = longest.get(account)
          const expected = seen.has(`${account} ${length}`)
            ? 'known'
            : before === undefined || length > before
              ? 'new'
              : 'older'
          expect(table.add(headOf(account, length)).kind).toBe(expected)
          seen.add(`${account} ${length}`)
          longest.set(account, Math.max(length, before ?? 0))
          expect(table.longest(accountOf(account))).toEqual(headOf(account, longest.get(account) ?? 0))
        }
      }),
    )
  })

  it('finds two heads of equal length among 64, whatever was announced between them, and always the same proof', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 100 }),
        fc.boolean(),
        (length, between, isSwapped) => {
          const branches = [headOf(1, length), headOf(1, length, 1)]
          const [first, second] = isSwapped ? branches.toReversed() : branches
          const table = new HeadTable(10)
          if (!first || !second) throw new Error('unreachable')
          table.add(first)
          for (const other of between) if (other !== length) table.add(headOf(1, other))
          const [a, b] = branches
          expect(table.add(second)).toEqual({ kind: 'fork', a, b })
          // The account goes on being found out.
          expect(table.add(second)).toEqual({ kind: 'fork', a, b })
          expect(table.add(first)).toEqual({ kind: 'known' })
          expect(
            findFork([
              first,
              ...between.filter((other) => other !== length).map((l) => headOf(1, l)),
              second,
            ]),
          ).toEqual({
            kind: 'fork',
            a,
            b,
          })
        },
      ),
    )
  })

  it('keeps the longest 64 of an account, so replayed old heads push nothing out', () => {
    const table = new HeadTable(1)
    for (let length = 101; length <= 100 + headsPerAccount; length++) table.add(headOf(1, length))
    for (let length = 1; length <= 100; length++)
      expect(table.add(headOf(1, length))).toEqual({ kind: 'older' })
    expect(table.at(accountOf(1), 100)).toBeUndefined()
    expect(table.add(headOf(1, 101, 1)).kind).toBe('fork')
    expect(table.add(headOf(1, 165)).kind).toBe('new')
    expect(table.at(accountOf(1), 101)).toBeUndefined()
    expect(table.at(accountOf(1), 102)).toEqual(headOf(1, 102))
  })

  it('keeps the accounts heard of last', () => {
    const table = new HeadTable(2)
    table.add(headOf(1, 5))
    table.add(headOf(2, 5))
    expect(table.add(headOf(1, 5)).kind).toBe('known')
    table.add(headOf(3, 5))
    expect(table.size).toBe(2)
    expect(table.longest(accountOf(2))).toBeUndefined()
    expect(table.add(headOf(1, 5, 1)).kind).toBe('fork')
    table.forget(accountOf(1))
    expect(table.longest(accountOf(1))).toBeUndefined()
    expect(table.size).toBe(1)
    for (const max of [0, -1, 1.5, NaN]) expect(() => new HeadTable(max)).toThrow(RangeError)
  })

  it('takes no two accounts for one', () => {
    const table = new HeadTable(2)
    expect(table.add(headOf(1, 5)).kind).toBe('new')
    expect(table.add(headOf(2, 5, 1)).kind).toBe('new')
  })

  it('finds no fork among heads of one log', () => {
    expect(findFork([])).toBeUndefined()
    expect(findFork([headOf(1, 1), headOf(1, 2), headOf(1, 1)])).toBeUndefined()
  })
})
