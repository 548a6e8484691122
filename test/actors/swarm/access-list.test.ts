import { describe, expect, test } from 'vitest'
import { AccessList } from '../../../actors/swarm/access-list.ts'
import { limits } from '../../../protocol/index.ts'

const peerIdOf = (index: number): string => index.toString(16).padStart(64, '0')
const [a, b, c] = [peerIdOf(1), peerIdOf(2), peerIdOf(3)]

describe('the access list', () => {
  test('without lists everybody may come', () => {
    expect(new AccessList({}).allows(a)).toBe(true)
    expect(new AccessList({ allow: [], deny: [] }).allows(a)).toBe(true)
  })

  test('with an allow list only those on it may, and deny goes first', () => {
    const access = new AccessList({ allow: [a, b], deny: [b] })
    expect([a, b, c].map((peerId) => access.allows(peerId))).toEqual([true, false, false])
  })

  test('a ban holds against the allow list', () => {
    const access = new AccessList({ allow: [a] })
    access.ban(a)
    expect(access.allows(a)).toBe(false)
  })

  test('violations are remembered over reconnections', () => {
    const access = new AccessList({})
    access.remember(a, 4)
    expect(access.violations(a)).toBe(4)
    expect(access.violations(b)).toBe(0)
  })

  test('a flood of offenders forgets the oldest, not the newest, and stays bounded', () => {
    const access = new AccessList({})
    for (let index = 0; index <= limits.offendersMax; index++) {
      access.ban(peerIdOf(index))
      access.remember(peerIdOf(index + 1_000_000), 1)
    }
    expect(access.allows(peerIdOf(0))).toBe(true)
    expect(access.allows(peerIdOf(1))).toBe(false)
    expect(access.allows(peerIdOf(limits.offendersMax))).toBe(false)
    expect(access.violations(peerIdOf(1_000_000))).toBe(0)
    expect(access.violations(peerIdOf(1_000_000 + limits.offendersMax))).toBe(1)
  })
})
