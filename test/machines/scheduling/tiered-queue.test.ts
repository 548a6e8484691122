import { describe, expect, it } from 'vitest'
import { TieredQueue } from '../../../machines/scheduling/tiered-queue.ts'
import { headStartMsMax, laneCount, tiers, tierTerms } from '../../../machines/scheduling/tiers.ts'
import { ofScore } from './contributors.ts'

describe('tiers', () => {
  it('give a Master five seconds over a Bronze, and are ranked in order', () => {
    expect(headStartMsMax).toBe(5_000)
    expect(tiers.map((tier) => tierTerms[tier].rank)).toEqual([0, 1, 2, 3, 4, 5])
  })
})

describe('tiered queue', () => {
  it('lets a Master overtake a Bronze of 4,999 ms ago, not one of 5,000 ms ago', () => {
    for (const [laterMs, first] of [
      [4_999, 'master'],
      [5_000, 'bronze'],
    ] as const) {
      const queue = new TieredQueue<string>()
      queue.enqueue('bronze', 5_000, 0)
      queue.enqueue('master', 0, laterMs)
      expect(queue.dequeue()?.value).toBe(first)
    }
  })

  it('lets 32 points overtake a newcomer of 0.5 s ago, and not one of 1.5 s ago', () => {
    const { tier, waitMs } = ofScore(32)
    expect(tier).toBe('bronze')
    const queue = new TieredQueue<string>()
    queue.enqueue('newcomer of 1.5 s ago', 5_000, 0)
    queue.enqueue('newcomer of 0.5 s ago', 5_000, 1_000)
    queue.enqueue('32 points', waitMs, 1_500)
    expect([1, 2, 3].map(() => queue.dequeue()?.value)).toEqual([
      'newcomer of 1.5 s ago',
      '32 points',
      'newcomer of 0.5 s ago',
    ])
  })

  it('knows who of a tier would go last: not who came last', () => {
    const queue = new TieredQueue<string>()
    queue.enqueue('nothing, early', 5_000, 0)
    queue.enqueue('90 points, late', ofScore(90).waitMs, 2_000)
    queue.enqueue('silver, last', 2_000, 4_000)
    expect(queue.lastOf('bronze')?.value).toBe('nothing, early')
    expect(queue.lastOf('silver')?.value).toBe('silver, last')
    expect(queue.lastOf('gold')).toBeUndefined()
  })

  it('takes no wait that has no lane', () => {
    for (const waitMs of [-100, 50, 5_100, Number.NaN]) {
      expect(() => new TieredQueue<string>().enqueue('nobody', waitMs, 0)).toThrow('multiple of 100 ms')
    }
  })

  it('keeps positions exact for a hundred thousand, half of whom leave, in far less than quadratic time', () => {
    const queue = new TieredQueue<number>()
    const count = 100_000
    const tickets = Array.from({ length: count }, (_, at) =>
      queue.enqueue(at, (at % laneCount) * 100, at / 10),
    )
    const startedAt = performance.now()
    for (let at = 0; at < count; at += 2) {
      const ticket = tickets[(at * 7_919) % count]
      if (ticket !== undefined) queue.remove(ticket)
    }
    const positions = new Set(
      tickets.filter(({ index }) => index >= 0).map((ticket) => queue.aheadOf(ticket)),
    )
    expect(positions.size).toBe(queue.size)
    expect(Math.max(...Array.from(positions).slice(0, 1_000))).toBeLessThan(queue.size)
    // A scan per question would take minutes.
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('gives memory back after a burst and still knows everybody', () => {
    const queue = new TieredQueue<number>()
    for (let at = 0; at < 50_000; at++) queue.enqueue(at, 5_000, at)
    for (let at = 0; at < 49_990; at++) expect(queue.dequeue()?.value).toBe(at)
    for (let at = 50_000; at < 50_020; at++) queue.enqueue(at, 5_000, at)
    expect(queue.size).toBe(30)
    for (let at = 49_990; at < 50_020; at++) expect(queue.dequeue()?.value).toBe(at)
    expect(queue.dequeue()).toBeUndefined()
    expect(queue.peek()).toBeUndefined()
  })
})
