import { describe, expect, test } from 'vitest'
import { circle } from '../../../runtime/simulator/circle.ts'
import { runLoad } from '../../../runtime/simulator/load.ts'
import { createHashNotary } from '../../../runtime/simulator/notary.ts'
import { pump } from '../../../runtime/simulator/sybils.ts'
import { pause } from './simulate-small.ts'

describe('what an account can gain', () => {
  test('Sybils lift nobody out of Bronze where unfunded clients are capped', () => {
    const { mature, genesis } = pump(30, 1, createHashNotary())
    expect(mature).toEqual({ score: 50, tier: 'bronze' })
    // Today's parameters have no such cap, and the report says so.
    expect(genesis.score).toBeGreaterThan(100)
  })

  test('a ring loses credit with every answer among its members', () => {
    const ring = circle('ring', 5, 1, createHashNotary())
    expect(ring.balancePerAnswer).toBeLessThan(-50)
    expect(ring.scorePerAnswer).toBeLessThan(circle('mesh', 12, 1, createHashNotary()).scorePerAnswer)
  })

  test('under load those who served are asked for as Silver or better, and the others as Bronze', async () => {
    const input = { seed: 1, load: 1, demand: 'person', notary: createHashNotary(), pause } as const
    const result = await runLoad({ ...input, hasTiers: true, warmUpMinutes: 60, measuredMinutes: 10 })
    const { served, onlyAsked } = result
    expect(served.tiers.bronze ?? 0).toBeLessThan(served.asked / 2)
    expect(onlyAsked.tiers).toEqual({ bronze: onlyAsked.asked })
    expect(served.answered / served.asked).toBeGreaterThanOrEqual(onlyAsked.answered / onlyAsked.asked)
  })
})
