import { getShortestPaths } from 'xstate/graph'
import { createActor, fromCallback, fromPromise, SimulatedClock, waitFor } from 'xstate'
import { afterEach, describe, expect, it } from 'vitest'
import { fetchMachine } from '../../../machines/models/fetch.machine.ts'
import {
  fetchesAtOnce,
  modelManagerMachine,
  type ModelManagerEmitted,
  pullsWaitingMax,
} from '../../../machines/models/model-manager.machine.ts'
import {
  type OfferFact,
  seederFailuresMax,
  seederMachine,
  type SeederEmitted,
} from '../../../machines/models/seeder.machine.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { withResolvers, type Resolvers } from '../../support/with-resolvers.ts'

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

describe('model manager', () => {
  function createRig() {
    const fetches = new Map<string, Resolvers<void>>()
    const emitted: ModelManagerEmitted[] = []
    const offered = new Set<string>()
    const give = new Map<string, (bytes: number) => void>()
    const fetch = fetchMachine.provide({
      actors: {
        resolve: fromPromise(() => Promise.resolve({ bytes: 1, missingBytes: 1 })),
        checkSpace: fromPromise(() => Promise.resolve()),
        fetchFrom: fromPromise(({ input }) => {
          const gate = withResolvers<void>()
          fetches.set(input.pullId, gate)
          return gate.promise
        }),
        verify: fromPromise(({ input }) => Promise.resolve(`hash of ${input.pullId}`)),
      },
    })
    const seeder = seederMachine.provide({
      actors: {
        prepare: fromPromise(() => Promise.resolve('core')),
        offer: fromCallback<OfferFact, { readonly hash: string; readonly core: string }>(
          ({ input, sendBack }) => {
            offered.add(input.hash)
            give.set(input.hash, (bytes) => sendBack({ type: 'offer.gave', bytes }))
            return () => void offered.delete(input.hash)
          },
        ),
      },
    })
    const actor = createActor(modelManagerMachine.provide({ actors: { fetch, seeder } }))
    for (const type of ['pull.started', 'pull.ended', 'pull.refused', 'seed.ended'] as const) {
      actor.on(type, (event) => emitted.push(event))
    }
    actor.start()
    stops.push(() => actor.stop())
    const pull = (pullId: string): void => actor.send({ type: 'model.pull', pullId, sources: ['web'] })
    return { actor, fetches, emitted, offered, give, pull }
  }

  it('fetches two at a time and starts the next when one ends', async () => {
    const { actor, fetches, emitted, pull } = createRig()
    for (const id of ['a', 'b', 'c']) pull(id)
    await expect.poll(() => [...fetches.keys()]).toEqual(['a', 'b'])
    expect(actor.getSnapshot().context.waiting).toHaveLength(1)
    fetches.get('a')?.resolve()
    await expect.poll(() => [...fetches.keys()]).toEqual(['a', 'b', 'c'])
    expect(emitted).toContainEqual({
      type: 'pull.ended',
      pullId: 'a',
      output: { kind: 'ready', hash: 'hash of a', failures: [] },
    })
    // Children that ended are let go of.
    expect(Object.keys(actor.getSnapshot().children)).toHaveLength(fetchesAtOnce)
  })

  it('cancels what runs and what waits', async () => {
    const { actor, emitted, pull, fetches } = createRig()
    for (const id of ['a', 'b', 'c']) pull(id)
    await expect.poll(() => fetches.size).toBe(2)
    actor.send({ type: 'model.cancel', pullId: 'c' })
    actor.send({ type: 'model.cancel', pullId: 'a' })
    actor.send({ type: 'model.cancel', pullId: 'unknown' })
    await expect
      .poll(() => emitted.flatMap((event) => (event.type === 'pull.ended' ? [event.pullId] : [])))
      .toEqual(['c', 'a'])
  })

  it('refuses more than may wait', () => {
    const { emitted, pull } = createRig()
    for (let index = 0; index < fetchesAtOnce + pullsWaitingMax + 1; index++) pull(String(index))
    expect(emitted.at(-1)).toEqual({
      type: 'pull.refused',
      pullId: String(fetchesAtOnce + pullsWaitingMax),
      code: 'QM_TOO_MANY_REQUESTS',
    })
  })

  it('offers until it is told to stop, and pauses all for its owner', async () => {
    const { actor, offered, emitted } = createRig()
    actor.send({ type: 'model.seed', hash: 'x' })
    actor.send({ type: 'model.seed', hash: 'x' })
    await expect.poll(() => [...offered]).toEqual(['x'])
    actor.send({ type: 'models.pause', reason: 'owner' })
    expect([...offered]).toEqual([])
    actor.send({ type: 'model.seed', hash: 'y' })
    await expect.poll(() => actor.getSnapshot().children['seed.y']?.getSnapshot().value).toBe('paused')
    actor.send({ type: 'models.resume', reason: 'owner' })
    expect([...offered].toSorted()).toEqual(['x', 'y'])
    actor.send({ type: 'model.unseed', hash: 'x' })
    expect([...offered]).toEqual(['y'])
    expect(emitted).toContainEqual({ type: 'seed.ended', hash: 'x', error: undefined })
  })

  it('takes a new cap for what is offered already, and lifts one that was reached', async () => {
    const { actor, offered, give } = createRig()
    const state = () => actor.getSnapshot().children['seed.x']?.getSnapshot().value
    actor.send({ type: 'model.seed', hash: 'x' })
    await expect.poll(() => [...offered]).toEqual(['x'])
    give.get('x')?.(1_000)
    actor.send({ type: 'model.seed', hash: 'x', giveBytesMax: 100 })
    give.get('x')?.(60)
    expect(state()).toBe('offering')
    give.get('x')?.(60)
    expect(state()).toBe('paused')
    actor.send({ type: 'models.pause', reason: 'owner' })
    actor.send({ type: 'model.seed', hash: 'x' })
    expect(state()).toBe('paused')
    actor.send({ type: 'models.resume', reason: 'owner' })
    give.get('x')?.(10_000)
    expect(state()).toBe('offering')
  })

  it('stops in order: nothing is fetched or offered afterwards', async () => {
    const { actor, offered, pull, emitted } = createRig()
    for (const id of ['a', 'b', 'c']) pull(id)
    actor.send({ type: 'model.seed', hash: 'x' })
    await expect.poll(() => offered.size).toBe(1)
    actor.send({ type: 'models.stop' })
    await waitFor(actor, ({ status }) => status === 'done')
    expect(offered.size).toBe(0)
    expect(emitted.filter(({ type }) => type === 'pull.ended')).toHaveLength(3)
  })

  it('reaches every state', () => {
    const paths = getShortestPaths(modelManagerMachine, {
      events: [
        { type: 'models.stop' },
        { type: 'model.seed', hash: 'x' },
        { type: 'model.pull', pullId: 'a', sources: [] },
        { type: 'xstate.done.actor.seed.x', actorId: 'seed.x', output: {} },
        { type: 'xstate.done.actor.pull.a', actorId: 'pull.a', output: { kind: 'cancelled' } },
      ],
      serializeState: ({ value, context }) => JSON.stringify([value, context]),
      limit: 5_000,
    })
    expect(new Set(paths.map(({ state }) => state.value))).toEqual(
      new Set(['running', 'stopping', 'stopped']),
    )
  })
})

describe('seeder', () => {
  function createRig(options: { giveBytesMax?: number; prepare?: () => Promise<string> } = {}) {
    const clock = new SimulatedClock()
    const emitted: SeederEmitted[] = []
    const rig = { tell: (_: OfferFact): void => undefined, isOffered: false }
    const actor = createActor(
      seederMachine.provide({
        actors: {
          prepare: fromPromise(options.prepare ?? (() => Promise.resolve('core'))),
          offer: fromCallback<OfferFact, { readonly hash: string; readonly core: string }>(({ sendBack }) => {
            rig.tell = sendBack
            rig.isOffered = true
            return () => (rig.isOffered = false)
          }),
        },
      }),
      { clock, input: { hash: 'x', giveBytesMax: options.giveBytesMax } },
    )
    for (const type of ['seeder.offered', 'seeder.paused', 'seeder.failed'] as const) {
      actor.on(type, (event) => emitted.push(event))
    }
    actor.start()
    stops.push(() => actor.stop())
    return { actor, clock, rig, emitted }
  }

  it('counts what it gave and stops at its cap until somebody lifts it', async () => {
    const { actor, rig } = createRig({ giveBytesMax: 100 })
    await waitFor(actor, ({ value }) => value === 'offering')
    rig.tell({ type: 'offer.gave', bytes: 60 })
    expect(rig.isOffered).toBe(true)
    rig.tell({ type: 'offer.gave', bytes: 60 })
    expect(actor.getSnapshot()).toMatchObject({
      value: 'paused',
      context: { pausedBy: ['cap'], givenBytes: 120 },
    })
    expect(rig.isOffered).toBe(false)
    actor.send({ type: 'seeder.resume', reason: 'cap' })
    expect(rig.isOffered).toBe(true)
  })

  it('goes on only when every reason to pause is gone', async () => {
    const { actor } = createRig()
    actor.send({ type: 'seeder.pause', reason: 'owner' })
    actor.send({ type: 'seeder.pause', reason: 'space' })
    await waitFor(actor, ({ value }) => value === 'paused')
    actor.send({ type: 'seeder.resume', reason: 'owner' })
    expect(actor.getSnapshot().value).toBe('paused')
    actor.send({ type: 'seeder.resume', reason: 'space' })
    expect(actor.getSnapshot().value).toBe('offering')
  })

  it('gives up a file that cannot be read, after several tries', async () => {
    let tries = 0
    const { actor, clock, emitted } = createRig({
      prepare: () => {
        tries++
        return Promise.reject(new QMeshError('QM_MODEL_FILE_MISSING'))
      },
    })
    for (;;) {
      const { status } = await waitFor(
        actor,
        (state) => state.status !== 'active' || state.value === 'backingOff',
      )
      if (status !== 'active') break
      clock.increment(60_000)
    }
    expect(tries).toBe(seederFailuresMax)
    expect(emitted.at(-1)).toMatchObject({ type: 'seeder.failed', code: 'QM_MODEL_FILE_MISSING' })
  })

  it('reaches every state by its own events', () => {
    const paths = getShortestPaths(seederMachine, {
      input: { hash: 'x' },
      events: [
        { type: 'xstate.done.actor.0.seeder.preparing', output: 'core' },
        { type: 'xstate.error.actor.0.seeder.preparing', error: new Error('no') },
        { type: 'xstate.after.backOff.seeder.backingOff' },
        { type: 'seeder.pause', reason: 'owner' },
        { type: 'seeder.resume', reason: 'owner' },
        { type: 'seeder.limit', giveBytesMax: 1 },
        { type: 'offer.failed', error: new Error('gone') },
        { type: 'seeder.stop' },
      ] as never[],
      serializeState: ({ value, context }) =>
        JSON.stringify([value, context.pausedBy, Math.min(context.failures, seederFailuresMax)]),
      limit: 5_000,
    })
    expect([...new Set(paths.map(({ state }) => state.value))].toSorted()).toEqual([
      'backingOff',
      'failed',
      'offering',
      'paused',
      'preparing',
      'stopped',
    ])
  })
})
