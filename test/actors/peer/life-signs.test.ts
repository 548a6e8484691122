import { describe, expect, it } from 'vitest'
import { PeerLifeSigns } from '../../../actors/peer/life-signs.ts'
import { limits } from '../../../protocol/index.ts'

function createRig() {
  const state = { nowMs: 0, isSending: false }
  const pings: number[] = []
  const life = new PeerLifeSigns(
    () => state.nowMs,
    (id) => pings.push(id),
    () => state.isSending,
  )
  /** A ping that is answered after so long. */
  const roundTrip = (ms: number): void => {
    state.nowMs += 1_000
    life.ping()
    state.nowMs += ms
    life.heard()
    expect(life.answered(pings.at(-1) ?? -1)).toBe(true)
  }
  return { state, pings, life, roundTrip }
}

describe('life signs of a peer', () => {
  it('give a near one a short time to answer, a far one a long one, both within bounds', () => {
    const near = createRig()
    expect(near.life.silenceMsMax).toBe(300)
    for (let round = 0; round < 20; round++) near.roundTrip(1)
    expect(near.life.silenceMsMax).toBe(120)
    const far = createRig()
    for (let round = 0; round < 40; round++) far.roundTrip(round % 2 === 0 ? 250 : 350)
    expect(far.life.silenceMsMax).toBeGreaterThan(400)
    expect(far.life.silenceMsMax).toBeLessThan(700)
    far.roundTrip(60_000)
    expect(far.life.silenceMsMax).toBe(5_000)
  })

  it('ask once for all who want to know', () => {
    const { state, pings, life } = createRig()
    life.ping()
    life.ping()
    state.nowMs += 39
    life.ping()
    expect(pings).toHaveLength(1)
    state.nowMs += 1
    life.ping()
    expect(pings).toHaveLength(2)
  })

  it('learn nothing from an answer that was overtaken, made up or said twice', () => {
    const { state, pings, life, roundTrip } = createRig()
    roundTrip(10)
    const before = life.silenceMsMax
    const [old = 0] = pings
    expect(life.answered(old)).toBe(false)
    state.nowMs += 1_000
    life.ping()
    expect(life.answered(limits.pingIdMax)).toBe(false)
    expect(life.answered(old)).toBe(false)
    expect(life.silenceMsMax).toBe(before)
  })

  it('are not missed while a long prompt of ours is still on its way', () => {
    const { state, life } = createRig()
    state.nowMs = 9_000
    expect(life.heardAtMs).toBe(0)
    state.isSending = true
    expect(life.heardAtMs).toBe(9_000)
  })
})
