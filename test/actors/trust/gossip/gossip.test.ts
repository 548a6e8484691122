import { afterEach, describe, expect, it } from 'vitest'
import type { FraudProof, TrustSigner } from '../../../../protocol/trust/index.ts'
import {
  bytesWritten,
  connect,
  createClock,
  createNode,
  makeKeys,
  randomEdges,
  settled,
  type TestClock,
  type TestNode,
} from './gossip-rig.ts'
import { makeCard, makeFork, makeHead } from './test-ledger.ts'

const clock: TestClock = createClock()
const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

const join = async (...args: Parameters<typeof connect>) => {
  const link = await connect(...args)
  ends.push(() => link.destroy())
  return link
}

async function createMesh(count: number, edges: readonly (readonly [number, number])[]): Promise<TestNode[]> {
  const nodes = Array.from({ length: count }, (_, index) => createNode(index + 1, clock))
  for (const [a, b] of edges) await join(at(nodes, a), at(nodes, b), clock)
  return nodes
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new RangeError(`there is no ${index}`)
  return value
}

const expectEqual = (nodes: readonly TestNode[]): void => {
  const [first, ...others] = nodes.map(({ ledger }) => ledger.view())
  for (const other of others) expect(other).toEqual(first)
  for (const { violations, defects } of nodes) expect([violations, defects]).toEqual([[], []])
}

const rounds = async (nodes: readonly TestNode[], count: number): Promise<void> => {
  for (let round = 0; round < count; round++) {
    for (const { gossip } of nodes) gossip.round()
    await settled(nodes)
  }
}

/** Bytes of a round of a node with few links when all is well: digests, questions, answers to others' questions, a report. */
const calmBytes = 2_400

/** Somebody introduced itself to a node, and that found proof against it. */
function convict({ ledger }: TestNode, thief: TrustSigner, proof: FraudProof = makeFork(thief, 3)): void {
  ledger.cards.set(thief.id, makeCard(thief))
  expect(ledger.learnProof(proof)).toBe('new')
}

describe('gossip', () => {
  it('tells everybody of every card and head as the nodes connect', async () => {
    const nodes = await createMesh(10, randomEdges(10, 5, 7))
    await settled(nodes)
    await rounds(nodes, 3)
    expectEqual(nodes)
    expect(at(nodes, 0).ledger.cards.size).toBe(10)
  })

  it('spreads a new head over several hops without a round', async () => {
    const nodes = await createMesh(10, randomEdges(10, 5, 7))
    await rounds(nodes, 3)
    const { ledger, gossip } = at(nodes, 3)
    ledger.grow(50)
    gossip.announce()
    await settled(nodes)
    expect(nodes.map((node) => node.ledger.heads.get(ledger.ownId)?.length)).toEqual(nodes.map(() => 50))
    expectEqual(nodes)
    for (const node of nodes) if (node.ledger !== ledger) expect(node.ledger.catchUps).toBeGreaterThan(0)
  })

  it('passes a thing on once, however often it comes', async () => {
    const nodes = await createMesh(4, [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [1, 3]]) // prettier-ignore
    await settled(nodes)
    const before = nodes.map(bytesWritten)
    const { ledger, gossip } = at(nodes, 0)
    ledger.grow(9)
    gossip.announce()
    gossip.announce()
    gossip.announce()
    await settled(nodes)
    const spent = nodes.map((node, index) => bytesWritten(node) - at(before, index))
    // Three heads to three peers, and each peer names it to two others, once.
    for (const bytes of spent.slice(1)) expect(bytes).toBeLessThan(2 * 200)
    expectEqual(nodes)
  })

  it('repairs by rounds what a push did not reach', async () => {
    const nodes = await createMesh(8, randomEdges(8, 4, 3))
    await settled(nodes)
    for (const { ledger } of nodes) ledger.grow(20)
    at(nodes, 5).ledger.cards.set(makeKeys(98).signer.id, makeCard(makeKeys(98).signer))
    at(nodes, 5).ledger.heads.set(makeKeys(98).signer.id, makeHead(makeKeys(98).signer, 4))
    convict(at(nodes, 6), makeKeys(99).signer)
    await rounds(nodes, 6)
    expectEqual(nodes)
    expect(at(nodes, 0).ledger.cards.size).toBe(10)
    expect(at(nodes, 0).ledger.bans.size).toBe(1)
  })

  it('says almost nothing in a round when all hold the same', async () => {
    const nodes = await createMesh(4, [[0, 1], [1, 2], [2, 3], [3, 0]]) // prettier-ignore
    await rounds(nodes, 4)
    const before = nodes.map(bytesWritten)
    await rounds(nodes, 1)
    expectEqual(nodes)
    nodes.forEach((node, index) => expect(bytesWritten(node) - at(before, index)).toBeLessThan(calmBytes))
  })

  it('teaches a node that joins late everything in one round', async () => {
    const nodes = await createMesh(6, randomEdges(6, 3, 5))
    convict(at(nodes, 0), makeKeys(97).signer)
    for (const node of nodes) node.ledger.grow(30)
    await rounds(nodes, 5)
    const late = createNode(50, clock)
    await join(late, at(nodes, 2), clock)
    await settled([...nodes, late])
    await rounds([late], 1)
    await settled([...nodes, late])
    expectEqual([...nodes, late])
    expect(late.ledger.cards.size).toBe(8)
    expect(late.ledger.bans.size).toBe(1)
  })

  it('brings a proof to everybody at once', async () => {
    const nodes = await createMesh(10, randomEdges(10, 5, 11))
    await rounds(nodes, 3)
    const thief = makeKeys(77).signer
    convict(at(nodes, 4), thief)
    at(nodes, 4).gossip.announceProofs()
    await settled(nodes)
    for (const { ledger } of nodes) expect([...ledger.bans.keys()]).toEqual([thief.id])
    expectEqual(nodes)
  })

  it('finds a fork of equal length that was shown to different halves, and tells everybody', async () => {
    const nodes = await createMesh(8, randomEdges(8, 4, 13))
    await settled(nodes)
    const thief = makeKeys(66).signer
    nodes.forEach(({ ledger }, index) => {
      ledger.cards.set(thief.id, makeCard(thief))
      ledger.heads.set(thief.id, makeHead(thief, 5, index % 2 === 0 ? 'left' : 'right'))
    })
    await rounds(nodes, 2)
    for (const { ledger } of nodes) expect(ledger.bans.has(thief.id)).toBe(true)
    expectEqual(nodes)
    const before = nodes.map(bytesWritten)
    await rounds(nodes, 1)
    // The banned one's branches differ for ever, and nobody talks about them any more.
    nodes.forEach((node, index) => expect(bytesWritten(node) - at(before, index)).toBeLessThan(2 * calmBytes))
  })

  it('agrees on whom proofs ban, whichever of two a node holds, and talks no more about them', async () => {
    const nodes = await createMesh(4, [[0, 1], [1, 2], [2, 3]]) // prettier-ignore
    await settled(nodes)
    const thief = makeKeys(66).signer
    const twoCards = (createdEpoch: number) =>
      ({
        kind: 'two-cards',
        a: makeCard(thief, { createdEpoch }),
        b: makeCard(thief, { createdEpoch, name: 'other' }),
      }) as const
    convict(at(nodes, 0), thief, twoCards(500))
    convict(at(nodes, 3), thief, twoCards(400))
    await rounds(nodes, 4)
    for (const { ledger } of nodes) expect(ledger.bans.has(thief.id)).toBe(true)
    expect(at(nodes, 0).ledger.bans.get(thief.id)?.epoch).toBe(500)
    expectEqual(nodes)
    const before = nodes.map(bytesWritten)
    await rounds(nodes, 1)
    nodes.forEach((node, index) => expect(bytesWritten(node) - at(before, index)).toBeLessThan(calmBytes))
  })

  it('tells each peer, on opening, what it holds of the log of that peer', async () => {
    const [a, b, c] = [createNode(1, clock), createNode(2, clock), createNode(3, clock, { isStarted: false })]
    const head = b.ledger.grow(40)
    a.ledger.cards.set(b.id, makeCard(b.keys.signer))
    a.ledger.heads.set(b.id, head)
    b.ledger.grow(7)
    const told: string[] = []
    const note = ({ peers, holders }: { readonly peers: number; readonly holders: number }) =>
      void told.push(`${holders} of ${peers}`)
    b.gossip.start(b.ledger, note)
    await join(a, b, clock)
    await join(b, c, clock)
    await settled([a, b, c])
    expect(b.ledger.ownHeads[0]).toEqual(head)
    expect(told).toEqual(['1 of 1'])
    // Its books open later than its connections, and it hears what was said before.
    c.gossip.start(c.ledger, note)
    await settled([a, b, c])
    expect(told).toEqual(['1 of 1', '0 of 1', '1 of 2'])
  })

  it('knows how rough it looks to its peers', async () => {
    const [a, b] = [createNode(1, clock), createNode(2, clock)]
    a.gossip.setRegime('preStorm')
    await join(a, b, clock)
    await settled([a, b])
    expect(b.gossip.regimes).toEqual(new Map([[a.id, 'preStorm']]))
    a.gossip.setRegime('storm')
    await settled([a, b])
    expect(b.gossip.regimes).toEqual(new Map([[a.id, 'storm']]))
  })

  it('leaves a peer alone that does not gossip, or for another network', async () => {
    const [a, b] = [createNode(1, clock), createNode(2, clock)]
    const link = await join(a, b, clock, { capabilities: ['scores/2:ffffffffffffffffffffffffffffffff'] })
    await settled([a, b])
    // B heard the capability of A and opened a channel; A did not, so it was refused and nothing else happened.
    expect([a.gossip.peers, b.gossip.peers]).toEqual([[], []])
    expect([link.aChannel.isOpen, link.bChannel.isOpen]).toEqual([true, true])
    expect([a.ledger.replicating, b.ledger.replicating]).toEqual([0, 0])
    expectViolationsNone([a, b])
  })

  it('lets go of everything when a connection closes or the books do', async () => {
    const [a, b] = [createNode(1, clock), createNode(2, clock)]
    const link = await join(a, b, clock)
    await settled([a, b])
    expect([a.ledger.replicating, b.ledger.replicating]).toEqual([1, 1])
    a.gossip.stop()
    expect(a.ledger.replicating).toBe(0)
    expect(a.gossip.round()).toBeUndefined()
    a.gossip.start(a.ledger)
    expect(a.ledger.replicating).toBe(1)
    link.destroy()
    await new Promise((resolve) => setImmediate(resolve))
    await settled([a, b])
    expect([a.gossip.peers, b.gossip.peers]).toEqual([[], []])
    expect([a.ledger.replicating, b.ledger.replicating]).toEqual([0, 0])
  })

  it('survives books that throw', async () => {
    const [a, b] = [createNode(1, clock), createNode(2, clock)]
    await join(a, b, clock)
    await settled([a, b])
    const broken = new Error('the books fell over')
    b.ledger.learnHead = () => {
      throw broken
    }
    b.ledger.learnCard = () => Promise.reject(broken)
    a.ledger.grow(30)
    a.ledger.cards.set(a.id, makeCard(a.keys.signer, { seq: 1 }))
    a.gossip.announce()
    a.gossip.announce({ withCard: true })
    await settled([a, b])
    expect(b.defects).toEqual([broken, broken])
    expect(b.gossip.peers).toEqual([a.id])
  })
})

const expectViolationsNone = (nodes: readonly TestNode[]): void => {
  for (const { violations } of nodes) expect(violations).toEqual([])
}
