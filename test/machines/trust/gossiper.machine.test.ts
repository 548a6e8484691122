import {
  createActor,
  fromCallback,
  fromPromise,
  matchesState,
  SimulatedClock,
  toPromise,
  waitFor,
} from 'xstate'
import { afterEach, describe, expect, it } from 'vitest'
import {
  defaultGossiperTimings,
  gossiperMachine,
  type GossiperEmitted,
  type GossiperFact,
  type GossiperInput,
  type GossiperOrder,
} from '../../../machines/trust/gossiper.machine.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import { type Alarms, noAlarms } from '../../../machines/trust/regime.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { type Resolvers, withResolvers } from '../../support/with-resolvers.ts'

type Where = { readonly open: 'listening' | 'settling' | 'gossiping' }

const never = new Promise<never>(() => {})

/** A world whose books open, are checked and close when the test says so. */
function createRig(input: GossiperInput = { timings: {} }) {
  const clock = new SimulatedClock()
  const books: Record<'open' | 'settle' | 'close', Promise<void>> = {
    open: Promise.resolve(),
    settle: Promise.resolve(),
    close: Promise.resolve(),
  }
  const calls: string[] = []
  const orders: GossiperOrder[] = []
  const emitted: GossiperEmitted[] = []
  let tell: (fact: GossiperFact) => void = () => {}
  const call = (name: keyof typeof books) =>
    fromPromise<void>(() => {
      calls.push(name)
      return books[name]
    })
  const machine = gossiperMachine.provide({
    actors: {
      open: call('open'),
      settle: call('settle'),
      close: call('close'),
      gossip: fromCallback<GossiperOrder>(({ sendBack, receive }) => {
        tell = sendBack
        receive((order) => orders.push(order))
        return () => calls.push('hush')
      }),
    },
  })
  const actor = createActor(machine, { clock, input })
  actor.on('*', (event) => emitted.push(event))
  const seconds = (count: number): void => {
    for (let tenth = 0; tenth < 10 * count; tenth++) clock.increment(100)
  }
  const until = (state: Where) => waitFor(actor, ({ value }) => matchesState(state, value))
  const count = (type: GossiperOrder['type']): number => orders.filter((order) => order.type === type).length
  const gossiping = async (): Promise<void> => {
    actor.start()
    await until({ open: 'listening' })
    tell({ type: 'gossip.told', peers: 3, holders: 0 })
    await until({ open: 'gossiping' })
    orders.length = 0
  }
  return {
    actor,
    books,
    calls,
    orders,
    emitted,
    seconds,
    until,
    count,
    gossiping,
    told: (peers: number, holders = 0) => tell({ type: 'gossip.told', peers, holders }),
    observed: (alarms: Alarms, storm = 0, total = 0) =>
      tell({ type: 'gossip.observed', alarms, storm, total }),
  }
}

describe('score gossiper', () => {
  let stop = (): void => {}
  afterEach(() => stop())
  const start = (input?: GossiperInput) => {
    const rig = createRig(input)
    stop = () => rig.actor.stop()
    return rig
  }

  it('is ready once three peers said what they hold of its log, and then begins with a round', async () => {
    const { actor, told, until, emitted, calls, count } = start()
    actor.start()
    await until({ open: 'listening' })
    told(2)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    expect(calls).toEqual(['open'])
    told(3)
    await until({ open: 'gossiping' })
    expect(calls).toEqual(['open', 'settle'])
    expect(emitted).toEqual([{ type: 'gossiper.ready', told: 3 }])
    expect(count('gossip.round')).toBe(1)
  })

  it('with a log that has begun goes on early only by the word of those who hold some of it', async () => {
    const { actor, told, until } = start({ log: 'begun', timings: {} })
    actor.start()
    await until({ open: 'listening' })
    told(9, 2)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    told(9, 3)
    await until({ open: 'gossiping' })
  })

  it('with a log that is elsewhere waits without end until somebody holds some of it, and then for others', async () => {
    const { actor, told, until, seconds, emitted, count, calls } = start({ log: 'elsewhere', timings: {} })
    actor.start()
    await until({ open: 'listening' })
    told(9)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    seconds(15)
    expect(actor.getSnapshot().value).toEqual({ open: 'searching' })
    expect(emitted).toEqual([{ type: 'gossiper.searching', told: 9 }])
    seconds(600)
    expect(actor.getSnapshot().value).toEqual({ open: 'searching' })
    expect(emitted).toHaveLength(1)
    expect(count('gossip.round')).toBeGreaterThan(9)
    expect(calls).toEqual(['open'])
    told(2, 1)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    seconds(15)
    await until({ open: 'gossiping' })
    expect(calls).toEqual(['open', 'settle'])
    expect(emitted.at(-1)).toEqual({ type: 'gossiper.ready', told: 2 })
  })

  it('with a log that is elsewhere goes on early only when three hold some of it: one may know an old end', async () => {
    const { actor, told, until, emitted } = start({ log: 'elsewhere', timings: {} })
    actor.start()
    await until({ open: 'listening' })
    told(9, 2)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    told(9, 3)
    await until({ open: 'gossiping' })
    expect(emitted).toEqual([{ type: 'gossiper.ready', told: 9 }])
  })

  it('gives the others time after the first that was found, however many spoke before', async () => {
    const { actor, told, until, seconds } = start({ log: 'elsewhere', timings: {} })
    actor.start()
    await until({ open: 'listening' })
    told(9)
    seconds(20)
    expect(actor.getSnapshot().value).toEqual({ open: 'searching' })
    told(9, 1)
    seconds(14)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    seconds(1)
    await until({ open: 'gossiping' })
  })

  it('keeps what waits for a log that is elsewhere, as long as it is searched for', async () => {
    const { actor, told, until, seconds, count } = start({ log: 'elsewhere', timings: {} })
    actor.start()
    await until({ open: 'listening' })
    told(9)
    seconds(15 + 600)
    expect(count('gossip.sweep')).toBeGreaterThan(9)
  })

  it('with a log that has begun waits for the first peer without end, and then for others', async () => {
    const { actor, told, until, seconds, count, calls, emitted } = start({ log: 'begun', timings: {} })
    actor.start()
    await until({ open: 'listening' })
    seconds(600)
    expect(actor.getSnapshot().value).toEqual({ open: 'listening' })
    expect(count('gossip.sweep')).toBeGreaterThan(9)
    seconds(14)
    told(1)
    seconds(14)
    expect(calls).toEqual(['open'])
    seconds(1)
    await until({ open: 'gossiping' })
    expect(emitted).toEqual([{ type: 'gossiper.ready', told: 1 }])
  })

  it('changes its regime by what rounds say, and back, and tells gossip', async () => {
    const { actor, observed, gossiping, orders } = start()
    await gossiping()
    const rough = { ...noAlarms, proofs: ONE }
    for (let round = 0; round < 3; round++) observed(rough)
    expect(actor.getSnapshot().context.regime).toBe('preStorm')
    for (let round = 0; round < 3; round++) observed(rough)
    expect(actor.getSnapshot().context.regime).toBe('storm')
    for (let round = 0; round < 60; round++) observed(noAlarms)
    expect(actor.getSnapshot().context.regime).toBe('calm')
    const told = orders.flatMap((order) => (order.type === 'gossip.regime' ? [order.regime] : []))
    expect(told).toEqual(['preStorm', 'storm', 'calm'])
  })

  it('looks closer when a third of its witnesses reports a storm, and no closer by fewer', async () => {
    const { actor, observed, gossiping } = start()
    await gossiping()
    observed(noAlarms, 32, 99)
    expect(actor.getSnapshot().context.regime).toBe('calm')
    observed(noAlarms, 33, 99)
    expect(actor.getSnapshot().context.regime).toBe('preStorm')
  })

  it('goes on alone when nobody says anything', async () => {
    const { actor, seconds, until, emitted } = start()
    actor.start()
    await until({ open: 'listening' })
    seconds(defaultGossiperTimings.checkWaitMs / 1_000 - 1)
    expect(emitted).toEqual([])
    seconds(1)
    await until({ open: 'gossiping' })
    expect(emitted).toEqual([{ type: 'gossiper.ready', told: 0 }])
  })

  it('says nothing and lets the log wait while it is checked', async () => {
    const { actor, books, told, until, seconds, orders, emitted } = start()
    const check: Resolvers<void> = withResolvers()
    books.settle = check.promise
    actor.start()
    await until({ open: 'listening' })
    told(3)
    actor.send({ type: 'log.grew', length: 50 })
    seconds(30)
    expect(orders.filter(({ type }) => type !== 'gossip.regime')).toEqual([])
    expect(emitted).toEqual([])
    check.resolve()
    await until({ open: 'gossiping' })
    expect(orders).toContainEqual({ type: 'gossip.announce', withCard: false })
  })

  it('holds rounds as often as the regime wants, from the moment it changes', async () => {
    const { actor, seconds, gossiping, count, orders } = start()
    await gossiping()
    seconds(180)
    expect(count('gossip.round')).toBe(3)
    actor.send({ type: 'regime.changed', to: 'storm' })
    expect(orders).toContainEqual({ type: 'gossip.regime', regime: 'storm' })
    seconds(30)
    expect(count('gossip.round')).toBe(9)
    expect(count('gossip.sweep')).toBe(3)
  })

  it('announces a tenth more at once, and no oftener than once a second', async () => {
    const { actor, seconds, gossiping, count } = start()
    await gossiping()
    for (let length = 1; length <= 40; length++) {
      actor.send({ type: 'log.grew', length: 10 * length })
      seconds(0.1)
    }
    // At 0, 1, 2, 3 and 4 seconds.
    expect(count('gossip.announce')).toBe(5)
    seconds(2)
    expect(count('gossip.announce')).toBe(5)
  })

  it('announces little news when the interval is over, and none when there is none', async () => {
    const { actor, seconds, gossiping, count } = start()
    await gossiping()
    actor.send({ type: 'log.grew', length: 1_000 })
    seconds(2)
    actor.send({ type: 'log.grew', length: 1_010 })
    seconds(590)
    expect(count('gossip.announce')).toBe(1)
    seconds(20)
    expect(count('gossip.announce')).toBe(2)
    seconds(1_300)
    expect(count('gossip.announce')).toBe(2)
    // After a quiet interval the first news is told at once, however little it is.
    actor.send({ type: 'log.grew', length: 1_011 })
    expect(count('gossip.announce')).toBe(3)
  })

  it('announces a new card at once, with its head', async () => {
    const { actor, gossiping, orders, seconds } = start()
    await gossiping()
    actor.send({ type: 'card.changed' })
    expect(orders).toEqual([{ type: 'gossip.announce', withCard: true }])
    seconds(2)
    actor.send({ type: 'log.grew', length: 3 })
    expect(orders.at(-1)).toEqual({ type: 'gossip.announce', withCard: false })
  })

  const states = ['opening', 'listening', 'settling', 'gossiping'] as const
  it.each(states)('closes the books when it is stopped while %s', async (state) => {
    const { actor, books, told, until, emitted, calls } = start()
    if (state === 'opening') books.open = never
    if (state === 'settling') books.settle = never
    actor.start()
    if (state !== 'opening') {
      await until({ open: 'listening' })
      if (state !== 'listening') {
        told(3)
        await until({ open: state })
      }
    }
    actor.send({ type: 'score-gossiper.stop' })
    expect(await toPromise(actor)).toEqual({ error: undefined })
    expect(calls.at(-1)).toBe('close')
    expect(calls.includes('hush')).toBe(state !== 'opening')
    expect(emitted.filter(({ type }) => type === 'gossiper.failed')).toEqual([])
  })

  it.each(['open', 'settle', 'close'] as const)(
    'fails with the reason when the books do not %s',
    async (step) => {
      const { actor, books, told, until, emitted, calls } = start()
      const error = new QMeshError('QM_LOG_FORKED', 'the log goes on elsewhere')
      const failure = Promise.reject(error)
      failure.catch(() => {})
      books[step] = failure
      actor.start()
      if (step !== 'open') {
        await until({ open: 'listening' })
        told(3)
      }
      if (step === 'close') actor.send({ type: 'score-gossiper.stop' })
      expect(await toPromise(actor)).toEqual({ error })
      expect(calls.at(-1)).toBe('close')
      expect(emitted).toEqual(step === 'close' ? [] : [{ type: 'gossiper.failed', error }])
    },
  )

  it.each(['open', 'settle', 'close'] as const)(
    'does not wait for ever for the books to %s',
    async (step) => {
      const { actor, books, told, until, seconds } = start()
      books[step] = never
      actor.start()
      if (step !== 'open') {
        await until({ open: 'listening' })
        told(3)
      }
      if (step === 'settle') await until({ open: 'settling' })
      if (step === 'close') actor.send({ type: 'score-gossiper.stop' })
      seconds(60)
      expect(await toPromise(actor)).toMatchObject({ error: { code: 'QM_LOG_DAMAGED' } })
    },
  )
})
