import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BanSet } from '../../../machines/trust/bans.ts'
import { accountOf } from './receipt-rig.ts'

const bans = fc.array(
  fc.record({ accountId: fc.nat(12).map(accountOf), fromDay: fc.integer({ min: 0, max: 30_000 }) }),
  { maxLength: 30, size: 'max' },
)

describe('a ban set', () => {
  it('is the same whatever the order, grouping and repetition of what came in', () => {
    fc.assert(
      fc.property(bans, fc.nat(30), fc.infiniteStream(fc.nat()), (list, cut, order) => {
        const shuffled = list
          .map((ban) => ({ ban, key: order.next().value ?? 0 }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ ban }) => ban)
        const inParts = BanSet.of(shuffled.slice(cut)).with(shuffled.slice(0, cut)).with(list)
        expect([...inParts]).toEqual([...BanSet.of(list)])
        expect(inParts.root).toBe(BanSet.of(list).root)
      }),
    )
  })

  it('has another root for every other content', () => {
    fc.assert(
      fc.property(bans, bans, (a, b) => {
        const same = JSON.stringify([...BanSet.of(a)]) === JSON.stringify([...BanSet.of(b)])
        expect(BanSet.of(a).root === BanSet.of(b).root).toBe(same)
      }),
    )
  })

  it('keeps the earliest day, in the order of ids, and is itself when nothing is new', () => {
    const set = BanSet.of([
      { accountId: accountOf(2), fromDay: 9 },
      { accountId: accountOf(1), fromDay: 5 },
      { accountId: accountOf(2), fromDay: 7 },
    ])
    expect([...set]).toEqual([
      { accountId: accountOf(1), fromDay: 5 },
      { accountId: accountOf(2), fromDay: 7 },
    ])
    expect(set.dayOf(accountOf(2))).toBe(7)
    expect(set.dayOf(accountOf(3))).toBe(Infinity)
    expect(set.has(accountOf(3))).toBe(false)
    expect(set.with([{ accountId: accountOf(2), fromDay: 8 }])).toBe(set)
    expect(set.with([{ accountId: accountOf(2), fromDay: 6 }])).not.toBe(set)
    expect(set.dayOf(accountOf(2))).toBe(7)
    expect(set.size).toBe(2)
  })
})
