import { describe, expect, it } from 'vitest'
import { createActor, fromCallback, SimulatedClock, type AnyEventObject } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import {
  hostMachine,
  inferenceMachine,
  recoveryDefaults,
  splitThreads,
  type EngineHostCommand,
  type EngineHostEvent,
  type EngineHostInput,
  type InferenceEmitted,
  type LoadedModel,
} from '../../../machines/inference/index.ts'

const spec = { id: 'tiny', path: '/tiny.gguf' }
const options = { gpuLayers: 0, threads: 1, mlock: false }
const model: LoadedModel = {
  id: 'tiny',
  hash: 'a'.repeat(64),
  contextTokens: 512,
  slots: 2,
  backend: 'cpu',
  threads: 1,
  memoryMb: 1,
}
const crash: EngineHostEvent = { type: 'host.lost', code: 'QM_ENGINE_CRASHED', message: 'gone' }

/** The inference machine over engines that do what the test says. */
function createRig(ids: readonly string[] = ['tiny'], mathCores = 4, remoteIds: readonly string[] = []) {
  const clock = new SimulatedClock()
  const emitted: InferenceEmitted[] = []
  const engines = new Map<string, { tell: (event: EngineHostEvent) => void; input: EngineHostInput }>()
  const starts: string[] = []
  const engineHost = fromCallback<EngineHostCommand, EngineHostInput>(({ input, sendBack, receive }) => {
    starts.push(input.spec.id)
    engines.set(input.spec.id, { tell: sendBack, input })
    receive(({ type }) => {
      if (type === 'host.close') sendBack({ type: 'host.closed' })
    })
  })
  const actor = createActor(
    inferenceMachine.provide({ actors: { host: hostMachine.provide({ actors: { engineHost } }) } }),
    {
      clock,
      input: {
        models: ids.map((id) => ({ ...spec, id, ...(remoteIds.includes(id) && { remoteName: id }) })),
        mathCores,
        gpuLayers: 0,
        mlock: false,
      },
    },
  )
  for (const type of ['model.loading', 'model.ready', 'model.lost', 'model.failed'] as const) {
    actor.on(type, (event) => emitted.push(event))
  }
  for (const type of ['slot.freed', 'slot.refused'] as const) actor.on(type, (event) => emitted.push(event))
  actor.start()
  const ready = (id: string, slots = 2): void =>
    engines.get(id)?.tell({ type: 'host.loaded', model: { ...model, id, slots } })
  const tell = (id: string, event: EngineHostEvent): void => engines.get(id)?.tell(event)
  const types = (): string[] => emitted.map(({ type }) => type)
  return { actor, clock, emitted, engines, starts, ready, tell, types }
}

const silent = (): void => undefined
/** The graph has no parent to report to, and no slots. */
const unheard = hostMachine.provide({
  actions: {
    reportLoading: silent,
    reportLost: silent,
    reportRetrying: silent,
    reportFailed: silent,
    passOn: silent,
    fitSlots: silent,
  },
})

/** The count of cores is a promise, even where it is known. */
const counted = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a host', () => {
  it('reaches every state', () => {
    const events: AnyEventObject[] = [
      { type: 'host.loaded', model },
      { type: 'host.failed', code: 'QM_MODEL_TOO_LARGE', message: '' },
      crash,
      { type: 'host.close' },
      { type: 'host.closed' },
      { type: 'xstate.after.backOff.host.backingOff' },
    ]
    const paths = getShortestPaths(unheard, {
      events: events as never,
      input: { spec, options, recovery: { ...recoveryDefaults, restartsMax: 1 } },
      serializeState: ({ value, context }) => JSON.stringify([value, context.restarts]),
      limit: 1_000,
    })
    const reached = new Set(paths.map(({ state }) => JSON.stringify(state.value)))
    const expected = [
      'backingOff',
      'gaveUp',
      'closed',
      ...['loading', 'ready', 'closing'].map((open) => ({ open })),
    ]
    expect([...reached].toSorted()).toEqual(expected.map((value) => JSON.stringify(value)).toSorted())
  })
})

describe('inference', () => {
  it('loads every model and names its slots', async () => {
    const { ready, emitted, engines } = createRig(['a', 'b', 'a'], 3)
    await counted()
    expect([...engines.values()].map(({ input }) => input.options.threads)).toEqual([2, 1])
    ready('b')
    expect(emitted).toMatchObject([
      { type: 'model.loading', modelId: 'a' },
      { type: 'model.loading', modelId: 'b' },
      { type: 'model.ready', model: { id: 'b' }, slotIds: ['b/0', 'b/1'] },
    ])
  })

  it('reloads after a crash, waiting longer each time, and gives up loudly', async () => {
    const { clock, ready, tell, emitted, starts, types } = createRig()
    await counted()
    let waitedMs = 250
    for (let restart = 1; restart <= recoveryDefaults.restartsMax; restart++) {
      ready('tiny')
      tell('tiny', crash)
      clock.increment(waitedMs - 1)
      expect(starts).toHaveLength(restart)
      clock.increment(1)
      expect(starts).toHaveLength(restart + 1)
      waitedMs *= 2
    }
    ready('tiny')
    tell('tiny', crash)
    clock.increment(3_600_000)
    expect(starts).toHaveLength(recoveryDefaults.restartsMax + 1)
    expect(types().filter((type) => type === 'model.lost')).toHaveLength(recoveryDefaults.restartsMax + 1)
    expect(emitted.at(-1)).toMatchObject({ type: 'model.failed', code: 'QM_ENGINE_CRASHED', message: 'gone' })
  })

  it('takes no threads for what another program runs, and waits for that program for ever', async () => {
    const { actor, clock, tell, starts, engines, ready, types } = createRig(['far', 'a', 'b'], 3, ['far'])
    const retrying: unknown[] = []
    actor.on('model.retrying', (event) => retrying.push(event))
    await counted()
    expect([...engines.values()].map(({ input }) => input.options.threads)).toEqual([1, 2, 1])
    const tries = (): number => starts.filter((id) => id === 'far').length
    for (let round = 1; round <= 40; round++) {
      tell('far', { type: 'host.failed', code: 'QM_ENGINE_UNAVAILABLE', message: 'start it' })
      expect(retrying.at(-1)).toMatchObject({ modelId: 'far', message: 'start it' })
      expect(retrying).toHaveLength(round)
      clock.increment(30_000)
      expect(tries()).toBe(round + 1)
    }
    ready('far')
    expect(types().at(-1)).toBe('model.ready')
    expect(types()).not.toContain('model.failed')
  })

  it('forgets crashes that lie long back', async () => {
    const { clock, ready, tell, starts } = createRig()
    await counted()
    for (let crashes = 0; crashes < 20; crashes++) {
      ready('tiny')
      clock.increment(recoveryDefaults.forgiveMs)
      tell('tiny', crash)
      clock.increment(250)
    }
    expect(starts).toHaveLength(21)
  })

  it.each(['QM_MODEL_UNSUPPORTED', 'QM_MODEL_INVALID', 'QM_MODEL_HASH_MISMATCH'] as const)(
    'does not try again after %s, and the other model goes on',
    async (code) => {
      const { clock, ready, tell, emitted, starts } = createRig(['good', 'bad'])
      await counted()
      tell('bad', { type: 'host.failed', code, message: 'why' })
      clock.increment(3_600_000)
      expect(starts).toEqual(['good', 'bad'])
      ready('good')
      expect(emitted.slice(2)).toEqual([
        { type: 'model.failed', modelId: 'bad', code, message: 'why' },
        expect.objectContaining({ type: 'model.ready', model: expect.objectContaining({ id: 'good' }) }),
      ])
    },
  )

  it.each(['QM_MODEL_FILE_MISSING', 'QM_MODEL_FILE_INVALID', 'QM_MODEL_TOO_LARGE'] as const)(
    'looks again after %s, later each time, until its owner has put it right',
    async (code) => {
      const { clock, ready, tell, emitted, starts } = createRig(['good', 'bad'])
      await counted()
      ready('good')
      const { retryMs: first, retryMaxMs } = recoveryDefaults
      for (const retryMs of [first, 2 * first, 4 * first, 8 * first, retryMaxMs, retryMaxMs]) {
        const before = starts.length
        tell('bad', { type: 'host.failed', code, message: 'why' })
        expect(emitted.at(-1)).toEqual({
          type: 'model.failed',
          modelId: 'bad',
          code,
          message: 'why',
          retryMs,
        })
        clock.increment(retryMs - 1)
        expect(starts).toHaveLength(before)
        clock.increment(1)
        expect(starts.slice(before)).toEqual(['bad'])
      }
      ready('bad')
      expect(emitted.at(-1)).toMatchObject({ type: 'model.ready', model: { id: 'bad' } })
      clock.increment(3_600_000)
      expect(starts.filter((id) => id === 'good')).toHaveLength(1)
      // What was put right counts no more.
      tell('bad', { type: 'host.lost', code, message: 'again' })
      expect(emitted.at(-1)).toMatchObject({ type: 'model.failed', retryMs: first })
    },
  )

  it('says why it loads a model again, and when', async () => {
    const { actor, ready, tell } = createRig()
    const retrying: unknown[] = []
    actor.on('model.retrying', (event) => retrying.push(event))
    await counted()
    ready('tiny')
    tell('tiny', crash)
    expect(retrying).toEqual([
      { type: 'model.retrying', modelId: 'tiny', code: 'QM_ENGINE_CRASHED', message: 'gone', delayMs: 250 },
    ])
  })

  it('keeps the slots of a host that comes back, and fits them when their number changed', async () => {
    const { actor, clock, ready, tell, emitted } = createRig()
    await counted()
    ready('tiny', 3)
    tell('tiny', crash)
    clock.increment(250)
    ready('tiny', 1)
    expect(emitted.at(-1)).toMatchObject({ type: 'model.ready', slotIds: ['tiny/0'] })
    actor.send({ type: 'slot.run', slotId: 'tiny/2', jobId: 'x' })
    expect(emitted.at(-1)).toMatchObject({ type: 'slot.refused', jobId: 'x' })
  })

  it.each(['tiny/0', 'tiny/9', 'other/0', 'nonsense'])(
    'refuses a job for %s when it is not there',
    async (slotId) => {
      const { actor, emitted } = createRig()
      await counted()
      actor.send({ type: 'slot.run', slotId, jobId: 'x' })
      expect(emitted.at(-1)).toMatchObject({ type: 'slot.refused', slotId, jobId: 'x' })
    },
  )

  it('stops in order: every engine is closed, then it is done', async () => {
    const { actor, ready, emitted } = createRig(['a', 'b'])
    await counted()
    ready('a')
    actor.send({ type: 'inference.stop' })
    expect(actor.getSnapshot().status).toBe('done')
    expect(Object.keys(actor.getSnapshot().children)).toEqual([])
    expect(emitted.some(({ type }) => type === 'model.failed')).toBe(false)
  })
})

describe('the thread budget', () => {
  it.each([
    [4, 1, [4]],
    [4, 2, [2, 2]],
    [5, 2, [3, 2]],
    [2, 3, [1, 1, 1]],
    [0, 1, [1]],
    [8, 0, []],
  ])('of %i cores over %i hosts is %j', (cores, hosts, threads) => {
    expect(splitThreads(cores, hosts)).toEqual(threads)
  })
})
