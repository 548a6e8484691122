import { expect, test } from 'vitest'
import { PeerLifeSigns } from '../../../actors/peer/life-signs.ts'
import { limits } from '../../../protocol/index.ts'

function createRig() {
  const sent: number[] = []
  const rig = { nowMs: 1_000, sent }
  const life = new PeerLifeSigns(
    () => rig.nowMs,
    (id) => sent.push(id),
  )
  /** A ping, and its answer after so many milliseconds. */
  const roundTrip = (ms: number): boolean => {
    rig.nowMs += 1_000
    life.ping()
    rig.nowMs += ms
    return life.answered(sent.at(-1) ?? 0)
  }
  return { rig, life, roundTrip }
}

test('a peer that is far or answers unevenly is given longer, within bounds', () => {
  const { life, roundTrip } = createRig()
  const first = life.silenceMsMax
  for (let count = 0; count < 50; count++) roundTrip(1)
  const near = life.silenceMsMax
  expect(near).toBeLessThan(first)
  for (let count = 0; count < 50; count++) roundTrip(count % 2 === 0 ? 50 : 450)
  const uneven = life.silenceMsMax
  expect(uneven).toBeGreaterThan(450)
  for (let count = 0; count < 50; count++) roundTrip(60_000)
  expect(life.silenceMsMax).toBe(5_000)
})

test('one ping under way serves all who ask, and an answer to another one counts for nothing', () => {
  const { rig, life } = createRig()
  life.ping()
  life.ping()
  expect(rig.sent).toHaveLength(1)
  const before = life.silenceMsMax
  expect(life.answered((rig.sent[0] ?? 0) + 1)).toBe(false)
  expect(life.answered(rig.sent[0] ?? 0)).toBe(true)
  // The same again is a message that nobody asked for.
  expect(life.answered(rig.sent[0] ?? 0)).toBe(false)
  expect(life.silenceMsMax).toBeLessThan(before)
})

test('a clock that jumps, forwards or back, leaves the bounds what they are and pings on', () => {
  const { rig, life, roundTrip } = createRig()
  for (let count = 0; count < 20; count++) roundTrip(1)
  const least = life.silenceMsMax
  for (const jumpMs of [3_600_000, -7_200_000]) {
    life.ping()
    rig.nowMs += jumpMs
    life.answered(rig.sent.at(-1) ?? 0)
    expect(life.silenceMsMax).toBeGreaterThanOrEqual(least)
    expect(life.silenceMsMax).toBeLessThanOrEqual(5_000)
    const pings = rig.sent.length
    rig.nowMs += 1_000
    life.ping()
    expect(rig.sent).toHaveLength(pings + 1)
    // It recovers: what was measured across a jump is forgotten as other wrong samples are.
    for (let count = 0; count < 100; count++) roundTrip(1)
    expect(life.silenceMsMax).toBe(least)
  }
})

test('the numbers of pings stay within what the protocol allows', () => {
  const { rig, life } = createRig()
  for (let count = 0; count < 100; count++) {
    rig.nowMs += 1_000
    life.ping()
  }
  expect(Math.max(...rig.sent)).toBeLessThanOrEqual(limits.pingIdMax)
  expect(new Set(rig.sent).size).toBe(100)
})
