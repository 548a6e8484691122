import { createActor, toPromise, waitFor } from 'xstate'
import { afterEach, describe, expect, it } from 'vitest'
import { createGossiperActors } from '../../../../actors/trust/gossip/gossiper.adapter.ts'
import { gossiperMachine } from '../../../../machines/trust/gossiper.machine.ts'
import { withResolvers } from '../../../support/with-resolvers.ts'
import { connect, createClock, createNode, settled, type TestNode } from './gossip-rig.ts'

const clock = createClock()
let end = (): void => {}
afterEach(() => end())

function createGossiper(node: TestNode) {
  const books: string[] = []
  const closed = withResolvers<void>()
  const machine = gossiperMachine.provide({
    actors: createGossiperActors({
      gossip: node.gossip,
      open: () => {
        books.push('open')
        return Promise.resolve({
          ledger: node.ledger,
          close: async () => {
            await Promise.resolve()
            books.push('closed')
            closed.resolve()
          },
        })
      },
      settle: () => {
        books.push('settled')
        return Promise.resolve()
      },
      onDefect: (error) => {
        throw error
      },
    }),
  })
  const create = () => createActor(machine, { input: { timings: { peersToHear: 1 } } })
  return { books, closed: closed.promise, create }
}

/** By its value: the types of `matches` are more than the compiler can always follow. */
const isGossiping = ({ value }: { readonly value: unknown }): boolean =>
  JSON.stringify(value).startsWith('{"open":{"gossiping":')

describe('the adapter of the score gossiper', () => {
  it('takes part in the scores network from the opening of the books to their closing, and again', async () => {
    const [a, b] = [createNode(1, clock, { isStarted: false }), createNode(2, clock)]
    const link = await connect(a, b, clock)
    end = () => link.destroy()
    await settled([a, b])
    const { books, create } = createGossiper(a)
    for (const length of [20, 60]) {
      const actor = create().start()
      await waitFor(actor, isGossiping)
      a.ledger.grow(length)
      actor.send({ type: 'log.grew', length })
      await settled([a, b])
      expect(b.ledger.heads.get(a.id)?.length).toBe(length)
      actor.send({ type: 'score-gossiper.stop' })
      expect(await toPromise(actor)).toEqual({ error: undefined })
      expect(a.ledger.replicating).toBe(0)
    }
    expect(books).toEqual(['open', 'settled', 'closed', 'open', 'settled', 'closed'])
    expect([a.violations, b.violations, a.defects]).toEqual([[], [], []])
  })

  it('closes the books also when it is stopped without a word', async () => {
    const [a, b] = [createNode(1, clock, { isStarted: false }), createNode(2, clock)]
    const link = await connect(a, b, clock)
    end = () => link.destroy()
    const { books, closed, create } = createGossiper(a)
    const actor = create().start()
    await waitFor(actor, isGossiping)
    actor.stop()
    await closed
    expect(books).toEqual(['open', 'settled', 'closed'])
    expect(a.gossip.round()).toBeUndefined()
  })

  it('closes books that open after it was stopped', async () => {
    const a = createNode(1, clock, { isStarted: false })
    end = () => {}
    const { books, closed, create } = createGossiper(a)
    const actor = create().start()
    actor.stop()
    await closed
    expect(books).toEqual(['open', 'closed'])
  })
})
