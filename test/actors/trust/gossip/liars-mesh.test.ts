import { afterEach, describe, expect, it } from 'vitest'
import { scoresLimits } from '../../../../protocol/messages/scores.ts'
import {
  connect,
  createClock,
  createNode,
  makeKeys,
  randomEdges,
  settled,
  type TestNode,
} from './gossip-rig.ts'
import { connectLiar, type Liar } from './liar.ts'
import { makeCard, makeFork, makeHead } from './test-ledger.ts'

const clock = createClock()
const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

const times = (count: number, act: (index: number) => void): void => {
  for (let index = 0; index < count; index++) act(index)
}
const stranger = (index: number) => makeKeys(20_000 + index).signer

/** Each of them lies to one node of the mesh, as fast as it can. */
const lies: Readonly<Record<string, (liar: Liar) => void>> = {
  garbage: ({ write }) => times(30, () => write(Buffer.from('not a frame'))),
  'too long': ({ write }) => times(12, () => write(Buffer.alloc(scoresLimits.frameBytesMax + 9))),
  forgeries: ({ say }) =>
    times(12, (index) => {
      const head = makeHead(stranger(index), 3)
      say({
        type: 'score-update',
        heads: [{ ...head, length: 4 }],
        cards: [makeCard(stranger(index), { seq: 1 })],
      })
    }),
  strangers: ({ say }) =>
    times(8, (frame) => {
      const heads = Array.from({ length: 200 }, (_, index) => makeHead(stranger(200 * frame + index), 3))
      say({ type: 'score-update', heads })
    }),
  questions: ({ say }) =>
    times(300, (index) => say({ type: 'score-request', accountId: stranger(1).id, epoch: index })),
  poems: ({ object }) => times(300, () => object({ type: 'score-poem' })),
  'unasked answers': ({ say }) => times(12, () => say({ type: 'score-heads', ranges: [3], held: [] })),
  'wrong proofs': ({ say }) =>
    times(12, (index) => {
      const [a, b] = [makeHead(stranger(index), 3), makeHead(stranger(index), 3)]
      say({ type: 'fraud', proofs: [{ kind: 'fork', a, b }] })
    }),
}

describe('a mesh of ten with a liar of every kind', () => {
  it('holds the same at the end, knows who lied, and keeps bounded books', async () => {
    const nodes: TestNode[] = Array.from({ length: 10 }, (_, index) => createNode(index + 1, clock))
    for (const [a, b] of randomEdges(10, 6, 17)) {
      const [one, other] = [nodes[a], nodes[b]]
      if (!one || !other) throw new RangeError('no such node')
      const link = await connect(one, other, clock)
      ends.push(() => link.destroy())
    }
    await settled(nodes)
    const kinds = Object.entries(lies)
    const liars = await Promise.all(
      kinds.map(async ([kind, lie], index) => {
        const victim = nodes[index]
        if (!victim) throw new RangeError('no such node')
        const liar = await connectLiar(victim, 900 + index, clock)
        ends.push(() => liar.pair.destroy())
        return { kind, lie, liar, victim }
      }),
    )
    for (const { lie, liar } of liars) lie(liar)
    const thief = makeKeys(31).signer
    nodes[9]?.ledger.cards.set(thief.id, makeCard(thief))
    nodes[9]?.ledger.learnProof(makeFork(thief, 3))
    for (const { ledger } of nodes) ledger.grow(70)
    for (let round = 0; round < 8; round++) {
      clock.nowMs += 60_000
      for (const { gossip } of nodes) gossip.round()
      await settled(nodes)
    }
    const [first, ...others] = nodes.map(({ ledger }) => ledger.view())
    for (const other of others) expect(other).toEqual(first)
    for (const { ledger, defects } of nodes) {
      expect(defects).toEqual([])
      expect(ledger.bans.has(thief.id)).toBe(true)
      for (const { id } of nodes) expect(ledger.heads.get(id)?.length).toBe(70)
      // Ten nodes, and the dozen accounts that really introduced themselves.
      expect(ledger.cards.size).toBeLessThanOrEqual(10 + 13)
    }
    for (const { kind, liar, victim } of liars) {
      expect([kind, victim.violations.length > 0]).toEqual([kind, true])
      for (const { by } of victim.violations) expect(by).toBe(liar.id)
    }
    for (const { violations } of nodes.slice(kinds.length)) expect(violations).toEqual([])
  })
})
