import { describe, expect, it } from 'vitest'
import { type Account, Books } from '../../../actors/trust/books.ts'
import { newcomer } from '../../../machines/scheduling/index.ts'
import { genesisParams } from '../../../machines/trust/index.ts'
import { limits } from '../../../protocol/index.ts'
import { sampleHead } from '../../protocol/trust/samples.ts'

const idOf = (number: number): string => number.toString(16).padStart(64, '0')

/** Full books: the own account, and others as the test wants them. */
function fillBooks(change: (account: Account, number: number, books: Books) => void): Books {
  const books = new Books(genesisParams, () => 1_000)
  for (let number = 0; number < 1_024; number++) {
    const account = books.open(idOf(number))
    if (!account) throw new Error('there is room for 1,024')
    change(account, number, books)
  }
  return books
}

const isOnRecord = (account: Account): void => void ((account.state as { length: number }).length = 1)

describe('books that are full', () => {
  it('take in another account when a head that was told of is without a log', () => {
    const books = fillBooks((account, number) => {
      account.head = sampleHead()
      if (number !== 7) isOnRecord(account)
    })
    expect(books.open(idOf(2_000))).toBeDefined()
    expect(books.get(idOf(7))).toBeUndefined()
    isOnRecord(books.get(idOf(2_000)) as Account)
    expect(books.open(idOf(2_001))).toBeUndefined()
  })

  it('forget who is banned before who is not, and remember the ban', () => {
    const books = fillBooks((account, number, all) => {
      if (number > 8) isOnRecord(account)
      if (number === 500) all.ban({ accountId: account.id, reason: 'It lied.', epoch: 900 })
    })
    expect(books.open(idOf(2_000))).toBeDefined()
    expect(books.get(idOf(500))).toBeUndefined()
    expect(books.isBanned(idOf(500))).toBe(true)
    expect(books.precedenceOf(idOf(500))).toEqual(newcomer)
    expect(books.open(idOf(500))).toBeUndefined()
  })

  it('forget who told of nothing before who told of a log, and never the own account', () => {
    const books = fillBooks((account, number) => {
      if (number > 1) account.head = sampleHead()
      if (number > 2) isOnRecord(account)
    })
    books.open(idOf(2_000))
    expect(books.get(idOf(1))).toBeUndefined()
    isOnRecord(books.get(idOf(2_000)) as Account)
    books.open(idOf(2_001))
    expect(books.get(idOf(2))).toBeUndefined()
    expect(books.get(idOf(0))).toBeDefined()
  })
})

describe('what comes of a log', () => {
  /** An account whose log names so many clients. */
  const openWith = (books: Books, number: number, clients: number): Account => {
    const account = books.open(idOf(number))
    if (!account) throw new Error('there is room')
    // Only their number is looked at.
    ;(account.state.days as Map<number, unknown>).set(1, { size: clients })
    return account
  }

  it('has room up to a bound for one account', () => {
    const books = new Books(genesisParams, () => 1_000)
    const max = limits.sumsPerAccountMax
    expect(books.hasRoomFor(openWith(books, 1, max - 1))).toBe(true)
    expect(books.hasRoomFor(openWith(books, 2, max))).toBe(false)
  })

  it('has an equal share when that of all is at its bound, and all again when somebody was forgotten', () => {
    const books = new Books(genesisParams, () => 1_000)
    books.open(idOf(0))
    const count = limits.sumsMax / limits.sumsPerAccountMax
    const full = Array.from({ length: count }, (_, number) =>
      openWith(books, 1 + number, limits.sumsPerAccountMax),
    )
    expect(full.filter((account) => books.hasRoomFor(account))).toEqual([])
    const share = Math.floor(limits.sumsMax / (books.size + 1))
    expect(books.hasRoomFor(openWith(books, 100, share - 1))).toBe(true)
    expect(books.hasRoomFor(openWith(books, 100, share))).toBe(false)
    books.ban({ accountId: idOf(1), reason: 'It lied.', epoch: 900 })
    for (let number = 200; books.get(idOf(1)); number++) openWith(books, number, 0)
    expect(books.hasRoomFor(openWith(books, 100, share))).toBe(true)
  })

  it('is not counted, and not read, for somebody who was forgotten while it was read', () => {
    const books = fillBooks((account, number) => {
      if (number !== 7) isOnRecord(account)
    })
    const forgotten = books.get(idOf(7)) as Account
    openWith(books, 2_000, 0)
    ;(forgotten.state.days as Map<number, unknown>).set(1, { size: limits.sumsMax })
    expect(books.hasRoomFor(forgotten)).toBe(false)
    const share = Math.floor(limits.sumsMax / books.size)
    expect(books.hasRoomFor(openWith(books, 3, share))).toBe(true)
  })
})
