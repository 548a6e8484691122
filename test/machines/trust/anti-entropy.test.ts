import { describe, expect, it } from 'vitest'
import { limits } from '../../../protocol/index.ts'
import {
  checkPage,
  differingRanges,
  LengthTable,
  pageEntriesMax,
  type RangePage,
} from '../../../machines/trust/anti-entropy.ts'
import { accountOf } from './receipt-rig.ts'
import { simulateGossip } from './gossip-simulation.ts'

describe('anti-entropy with three random peers a round', () => {
  it.each([1, 2, 3, 4, 5])(
    'makes 100 tables equal within 8 rounds, 30 of them misbehaving (seed %i)',
    (seed) => {
      const { rounds, isComplete } = simulateGossip(100, 0.3, 3, seed)
      expect(rounds).toBeLessThanOrEqual(8)
      expect(isComplete).toBe(true)
    },
  )

  it('needs at least as many rounds as news need to reach everybody', () => {
    // In a round a table reaches at most 1 + 3 + as many as happen to ask: not one round, or the simulation cheats.
    expect(simulateGossip(100, 0.3, 3, 1).rounds).toBeGreaterThanOrEqual(3)
    expect(simulateGossip(100, 0, 0, 1).rounds).toBe(Infinity)
  })
})

describe('a page of a peer', () => {
  const id = (tail: number): string => `a${accountOf(tail).slice(1)}`
  const page: RangePage = {
    range: 10,
    after: id(1),
    upTo: id(9),
    entries: [
      { accountId: id(3), length: 1 },
      { accountId: id(9), length: 5 },
    ],
  }
  const entry = (accountId: string, length = 1) => ({ accountId, length })

  it('is sound, also when it is empty or ends at its last entry', () => {
    expect(checkPage(page)).toBeUndefined()
    expect(checkPage({ range: 0, after: '', upTo: '', entries: [] })).toBeUndefined()
    expect(checkPage({ ...page, after: '', upTo: '' })).toBeUndefined()
  })

  it.each<[string, Partial<RangePage>]>([
    ['no such range', { range: 16 }],
    ['no such range', { range: -1 }],
    ['no such range', { range: 0.5 }],
    [
      'too many',
      { entries: Array.from({ length: pageEntriesMax + 1 }, (_, n) => entry(id(2 + n))), upTo: '' },
    ],
    ['another range', { entries: [entry(accountOf(3))] }],
    ['another range', { after: accountOf(3) }],
    ['another range', { upTo: accountOf(3) }],
    ['out of order', { entries: [entry(id(4)), entry(id(3))] }],
    ['out of order', { entries: [entry(id(4)), entry(id(4))] }],
    ['out of order', { entries: [entry(id(1))] }],
    ['ends before', { entries: [entry(id(10))] }],
    ['ends before', { upTo: id(1), entries: [] }],
    ['out of bounds', { entries: [entry(id(3), 0)] }],
    ['out of bounds', { entries: [entry(id(3), 1.5)] }],
    ['out of bounds', { entries: [entry(id(3), limits.logLengthMax + 1)] }],
  ])('is refused for %s', (reason, change) => {
    expect(checkPage({ ...page, ...change })).toContain(reason)
  })
})

describe('a table of lengths', () => {
  it('knows nothing shorter, and nothing of an account that is none', () => {
    const table = new LengthTable()
    expect(table.raise({ accountId: accountOf(1), length: 3 })).toBe(true)
    const digest = table.digest()
    expect(table.raise({ accountId: accountOf(1), length: 3 })).toBe(false)
    expect(table.raise({ accountId: accountOf(1), length: 2 })).toBe(false)
    expect(table.raise({ accountId: accountOf(2), length: 0 })).toBe(false)
    expect(table.digest()).toEqual(digest)
    expect(table.lengthOf(accountOf(2))).toBe(0)
    expect(() => table.raise({ accountId: 'x', length: 1 })).toThrow(RangeError)
    expect(table.size).toBe(1)
  })

  it('differs everywhere from a digest that is none', () => {
    expect(differingRanges(new LengthTable().digest(), [])).toHaveLength(16)
  })
})
