import { afterEach, describe, expect, it } from 'vitest'
import { ONE } from '../../../../machines/trust/fixed.ts'
import type { PeerId } from '../../../../protocol/index.ts'
import { scoreStatementFormat } from '../../../../protocol/trust/index.ts'
import { connect, createClock, createNode, makeKeys, settled, type TestNode } from './gossip-rig.ts'
import { connectLiar } from './liar.ts'
import { makeCard, makeFork, makeStatement } from './test-ledger.ts'

const clock = createClock()
const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/** Nodes that are all connected with each other. */
async function createFullMesh(count: number): Promise<TestNode[]> {
  const nodes = Array.from({ length: count }, (_, index) => createNode(index + 1, clock))
  for (const [index, a] of nodes.entries()) {
    for (const b of nodes.slice(index + 1)) {
      const link = await connect(a, b, clock)
      ends.push(() => link.destroy())
    }
  }
  await settled(nodes)
  return nodes
}

async function rounds(nodes: readonly TestNode[], count: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    clock.nowMs += 60_000
    for (const { gossip } of nodes) gossip.round()
    await settled(nodes)
  }
}

const first = <T>(list: readonly T[]): T => {
  const [value] = list
  if (value === undefined) throw new RangeError('the list is empty')
  return value
}

const agreementsOf = ({ gossip, ledger }: TestNode) =>
  [...ledger.lengths().keys()].flatMap((accountId: PeerId) => gossip.agreementOn(accountId) ?? [])

describe('asking witnesses', () => {
  it('goes on round after round, and everybody agrees', async () => {
    const nodes = await createFullMesh(4)
    await rounds(nodes, 4)
    for (const node of nodes) {
      const agreements = agreementsOf(node)
      expect(agreements.length).toBeGreaterThan(0)
      for (const { asked, answered, agreed, kind } of agreements) {
        expect([asked, answered, agreed, kind]).toEqual([asked, asked, asked, 'accepted'])
        expect(asked).toBeGreaterThan(0)
      }
      expect(node.violations).toEqual([])
    }
  })

  it('asks about logs that rest: who reads a growing one at another moment does not contradict', async () => {
    const nodes = await createFullMesh(3)
    for (let length = 2; length < 5; length++) {
      for (const { ledger, gossip } of nodes) {
        ledger.grow(length)
        gossip.announce()
      }
      await settled(nodes)
      await rounds(nodes, 1)
    }
    expect(nodes.flatMap(agreementsOf)).toEqual([])
  })

  it('that know something else exchanges what differs with them, and asks again', async () => {
    const nodes = await createFullMesh(5)
    const [a, ...others] = nodes
    if (!a) throw new RangeError('no node')
    // First they earn that their word counts.
    await rounds(nodes, 12)
    for (const { ledger, keys } of others) {
      ledger.statementOf = (accountId, epoch) =>
        scoreStatementFormat.sign(keys.signer, {
          ...makeStatement(keys.signer, accountId, epoch),
          inputDigest: 'ab'.repeat(32),
        })
    }
    const outcomes: string[] = []
    for (let round = 0; round < 12; round++) {
      await rounds(nodes, 1)
      outcomes.push(...agreementsOf(a).map(({ kind, agreed, asked }) => `${kind} ${agreed} of ${asked}`))
    }
    expect(outcomes).toContain('exchange 0 of 4')
  })

  it('answers four at once and one a second, whoever asks', async () => {
    const nodes = await createFullMesh(1)
    const victim = first(nodes)
    const liar = await connectLiar(victim, 700, clock)
    ends.push(() => liar.pair.destroy())
    await settled(nodes)
    const before = liar.heard.length
    for (let times = 0; times < 40; times++)
      liar.say({ type: 'score-request', accountId: victim.id, epoch: 9 })
    await settled(nodes)
    expect(liar.heard.length - before).toBe(4)
    clock.nowMs += 1_000
    liar.say({ type: 'score-request', accountId: victim.id, epoch: 9 })
    await settled(nodes)
    expect(liar.heard.length - before).toBe(5)
  })

  it('bans by everybody who states two scores from the same inputs', async () => {
    const nodes = await createFullMesh(3)
    const liar = await connectLiar(first(nodes), 701, clock)
    ends.push(() => liar.pair.destroy())
    const { signer } = liar.keys
    liar.say({ type: 'score-update', cards: [makeCard(signer)] })
    await settled(nodes)
    for (const score of [100, 100, 101]) {
      liar.say({ type: 'score-verify', statement: makeStatement(signer, first(nodes).id, 9, score) })
    }
    await settled(nodes)
    for (const { ledger } of nodes)
      expect(ledger.proofs().map(({ kind, a }) => [kind, 'signerId' in a && a.signerId])).toEqual([
        ['two-scores', signer.id],
      ])
  })
})

describe('how nodes answer', () => {
  it('is reported in rounds, and one value comes of it', async () => {
    const nodes = await createFullMesh(4)
    await rounds(nodes, 8)
    const standings = first(nodes).gossip.standings()
    expect(standings.size).toBeGreaterThan(0)
    for (const { latencyMs, availability } of standings.values()) {
      expect(latencyMs).toBeLessThan(60_000)
      expect(availability).toBe(ONE)
    }
    expect([...standings.values()].some(({ reporters }) => reporters > 1)).toBe(true)
  })

  it('is not for a liar to say, neither of itself nor against those whose word counts', async () => {
    const nodes = await createFullMesh(5)
    const [victim, ...others] = nodes
    if (!victim) throw new RangeError('no node')
    await rounds(nodes, 12)
    const liar = await connectLiar(victim, 702, clock)
    ends.push(() => liar.pair.destroy())
    const peers = [liar.id, ...others.map(({ id }) => id)].map((accountId) => ({
      accountId,
      latencyMs: 80_000_000,
      availability: 0,
    }))
    liar.say({ type: 'peer-report', peers })
    await settled(nodes)
    const standings = victim.gossip.standings()
    expect(standings.has(liar.id)).toBe(false)
    for (const { id } of others) {
      const found = standings.get(id)
      if (found) expect([found.availability, found.latencyMs < 60_000]).toEqual([ONE, true])
    }
    expect(standings.size).toBeGreaterThan(0)
  })
})

describe('the regime', () => {
  it('takes what happened before a node came for no news', async () => {
    const nodes = await createFullMesh(3)
    for (let index = 0; index < 5; index++) {
      const thief = makeKeys(300 + index).signer
      for (const { ledger } of nodes) {
        ledger.cards.set(thief.id, makeCard(thief))
        ledger.learnProof(makeFork(thief, 3))
      }
    }
    const late = createNode(60, clock)
    for (const node of nodes) {
      const link = await connect(late, node, clock)
      ends.push(() => link.destroy())
    }
    for (let round = 0; round < 6; round++) {
      const report = late.gossip.round()
      await settled([...nodes, late])
      expect(report?.alarms.proofs).toBe(0)
    }
    expect(late.ledger.bans.size).toBe(5)
  })

  it('hears of proofs and of storms that witnesses report', async () => {
    const nodes = await createFullMesh(3)
    await rounds(nodes, 8)
    const victim = first(nodes)
    const quiet = victim.gossip.round()
    expect(quiet).toMatchObject({ alarms: { proofs: 0, dissent: 0 }, storm: 0 })
    expect(quiet?.total).toBeGreaterThan(0)
    for (const { gossip } of nodes.slice(1)) gossip.setRegime('storm')
    const thief = makeKeys(77).signer
    victim.ledger.cards.set(thief.id, makeCard(thief))
    victim.ledger.learnProof(makeFork(thief, 3))
    await settled(nodes)
    const rough = victim.gossip.round()
    expect(rough?.alarms.proofs).toBe(ONE)
    expect(rough?.storm).toBe(rough?.total)
  })
})
