import { describe, expect, it } from 'vitest'
import { createActor, fromCallback, fromPromise, SimulatedClock, waitFor } from 'xstate'
import {
  hostMachine,
  inferenceMachine,
  nextThreads,
  recoveryDefaults,
  slotMachine,
  togetherMax,
  type EngineHostCommand,
  type EngineHostEvent,
  type EngineHostInput,
  type InferenceEmitted,
  type JobCommand,
  type LoadedModel,
  type ModelSpec,
  type ModelSurvey,
  type RunJobInput,
} from '../../../machines/inference/index.ts'
import { QMeshError } from '../../../protocol/index.ts'

const hash = 'a'.repeat(64)
const toModel = (id: string): LoadedModel => ({
  id,
  hash,
  contextTokens: 512,
  slots: 1,
  backend: 'cpu',
  threads: 1,
  memoryMb: 0,
})

/** The inference machine with a budget of 100 over engines that do what the test says. Each model takes 60. */
async function createRig(
  specs: readonly { -readonly [Key in keyof ModelSpec]?: ModelSpec[Key] }[],
  bytes: Readonly<Record<string, number>> = {},
  memoryBytesMax: number | undefined = 100,
) {
  const clock = new SimulatedClock()
  const emitted: InferenceEmitted[] = []
  const engines = new Map<string, { tell: (event: EngineHostEvent) => void; input: EngineHostInput }>()
  let alive = 0
  const jobs = new Map<string, () => void>()
  const engineHost = fromCallback<EngineHostCommand, EngineHostInput>(({ input, sendBack, receive }) => {
    alive++
    engines.set(input.spec.id, { tell: sendBack, input })
    receive(() => sendBack({ type: 'host.closed' }))
    return () => {
      alive--
    }
  })
  const survey = fromPromise<ModelSurvey, EngineHostInput>(({ input: { spec } }) =>
    spec.path === '/missing'
      ? Promise.reject(new QMeshError('QM_MODEL_FILE_MISSING'))
      : Promise.resolve({ id: spec.id, hash, contextTokens: 512, slots: 1, bytes: bytes[spec.id] ?? 60 }),
  )
  const runJob = fromCallback<JobCommand, RunJobInput>(({ input, sendBack }) => {
    jobs.set(input.jobId, () => sendBack({ type: 'job.failed', code: 'QM_CANCELLED' }))
  })
  const slot = slotMachine.provide({ actors: { runJob } })
  const actor = createActor(
    inferenceMachine.provide({
      actors: { host: hostMachine.provide({ actors: { engineHost, survey, slot } }) },
    }),
    {
      clock,
      input: {
        models: specs.map((spec, index) =>
          Object.assign(spec, { id: 'abc'[index] ?? '', path: spec.path ?? '/x.gguf' }),
        ),
        mathCores: 4,
        gpuLayers: 0,
        mlock: false,
        memoryBytesMax: memoryBytesMax === Infinity ? undefined : memoryBytesMax,
        nowMs: () => clock.now(),
      },
    },
  )
  actor.on('*', (event) => emitted.push(event))
  actor.start()
  const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
  const settle = async (): Promise<void> => {
    await settled()
    await settled()
  }
  await settle()
  const ready = (id: string): void => engines.get(id)?.tell({ type: 'host.loaded', model: toModel(id) })
  const take = (): string[] => emitted.splice(0).map((event) => `${event.type} ${nameOf(event)}`)
  return { actor, clock, engines, jobs, ready, take, emitted, settle, isAlive: () => alive }
}

const nameOf = (event: InferenceEmitted): string => {
  if ('modelId' in event) return event.modelId
  if ('model' in event) return event.model.id
  return 'survey' in event ? event.survey.id : event.slotId
}

describe('inference with a memory budget', () => {
  it('loads at the start what fits, offers the rest, and loads it in place of the idle one', async () => {
    const { actor, ready, take, engines, isAlive } = await createRig([{}, {}])
    expect(take()).toEqual([
      'model.surveyed a',
      'model.surveyed b',
      'model.expected a',
      'model.loadable b',
      'model.loading a',
    ])
    // Never two at once, so each may have all cores.
    expect(engines.get('a')?.input.options).toMatchObject({ threads: 4, memoryBytesMax: 60 })
    ready('a')
    take()
    actor.send({ type: 'model.want', modelId: 'b' })
    expect(take()).toEqual(['model.hold a'])
    expect(isAlive()).toBe(1)
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(take()).toEqual([
      'model.unloading a',
      'model.unloaded a',
      'model.loadable a',
      'model.expected b',
      'model.loading b',
    ])
    ready('b')
    expect(take()).toEqual(['model.ready b'])
    expect(isAlive()).toBe(1)
    actor.send({ type: 'inference.stop' })
    expect(isAlive()).toBe(0)
    expect(actor.getSnapshot().status).toBe('done')
  })

  it('offers a model whose file was missing as soon as it is there', async () => {
    const found = { path: '/missing' }
    const { actor, clock, take, ready, settle } = await createRig([{}, found])
    ready('a')
    expect(take()).toContain('model.failed b')
    clock.increment(recoveryDefaults.retryMs)
    await settle()
    expect(take()).toEqual(['model.failed b'])
    found.path = '/x.gguf'
    clock.increment(2 * recoveryDefaults.retryMs)
    await settle()
    expect(take()).toEqual(['model.surveyed b', 'model.loadable b'])
    actor.send({ type: 'model.want', modelId: 'b' })
    expect(take()).toEqual(['model.hold a'])
  })

  it('unloads nothing that works, whatever it is told', async () => {
    const { actor, clock, ready, take, jobs } = await createRig([{}, { load: 'demand' }])
    ready('a')
    actor.send({ type: 'slot.run', slotId: 'a/0', jobId: 'job' })
    clock.increment(5_000)
    actor.send({ type: 'model.want', modelId: 'b' })
    expect(take()).toContain('model.hold a')
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(take()).toEqual([])
    jobs.get('job')?.()
    expect(take()).toEqual([
      'slot.freed a/0',
      'model.unloading a',
      'model.unloaded a',
      'model.loadable a',
      'model.expected b',
      'model.loading b',
    ])
  })

  it('ignores the answer to a hold that was taken back', async () => {
    const { actor, ready, take } = await createRig([{}, { load: 'demand' }])
    ready('a')
    take()
    actor.send({ type: 'model.want', modelId: 'b' })
    actor.send({ type: 'model.unwant', modelId: 'b' })
    actor.send({ type: 'model.want', modelId: 'b' })
    expect(take()).toEqual(['model.hold a', 'model.release a', 'model.hold a'])
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(take()).toEqual([])
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 2 })
    expect(take()[0]).toBe('model.unloading a')
  })

  it('keeps what is pinned, and says at once what never fits beside it', async () => {
    const { actor, ready, emitted, take } = await createRig([{ isPinned: true }, { load: 'demand' }])
    expect(emitted).toContainEqual(
      expect.objectContaining({ type: 'model.failed', modelId: 'b', code: 'QM_MODEL_TOO_LARGE' }),
    )
    ready('a')
    take()
    actor.send({ type: 'model.want', modelId: 'b' })
    expect(take()).toEqual([])
  })

  it('lets a model stay for the time that it was promised', async () => {
    const { actor, clock, ready, take } = await createRig([{ keepLoadedMs: 2_000 }, { load: 'demand' }])
    ready('a')
    take()
    actor.send({ type: 'model.want', modelId: 'b' })
    clock.increment(1_000)
    expect(take()).toEqual([])
    for (let passed = 0; passed < 1_300; passed += 50) clock.increment(50)
    expect(take()).toEqual(['model.hold a'])
  })

  it('goes on without a model whose file is missing', async () => {
    const { ready, take } = await createRig([{ path: '/missing' }, {}])
    expect(take()).toContain('model.failed a')
    ready('b')
    expect(take()).toEqual(['model.ready b'])
  })

  it('takes a model out when its owner says so', async () => {
    const { actor, ready, take } = await createRig([{}])
    ready('a')
    take()
    actor.send({ type: 'model.evict', modelId: 'a' })
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(take()).toEqual(['model.hold a', 'model.unloading a', 'model.unloaded a', 'model.loadable a'])
  })
})

describe('a model that comes after the start', () => {
  const add = (id: string, path = '/late.gguf') =>
    ({ type: 'model.add', spec: { id, path }, memoryBytesMax: 100 }) as const

  it('is loaded when it is wanted, beside one that stays, once that gave up its surplus of cores', async () => {
    const { actor, engines, ready, take, settle } = await createRig([{}], { late: 60 }, Infinity)
    expect(engines.get('a')?.input.options.threads).toBe(4)
    ready('a')
    take()
    actor.send(add('late'))
    actor.send(add('late'))
    await settle()
    expect(take()).toEqual(['model.surveyed late', 'model.loadable late'])
    actor.send({ type: 'model.want', modelId: 'late' })
    expect(take()).toEqual(['model.hold a'])
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(take()).toEqual([
      'model.unloading a',
      'model.unloaded a',
      'model.loadable a',
      'model.expected late',
      'model.expected a',
      'model.loading late',
      'model.loading a',
    ])
    expect([...engines.values()].map(({ input }) => input.options.threads)).toEqual([2, 2])
    ready('a')
    ready('late')
    // It stays, whoever else is wanted.
    actor.send(add('more'))
    await settle()
    take()
    actor.send({ type: 'model.want', modelId: 'more' })
    expect(take()).toEqual(['model.hold late'])
  })

  it('is refused when it has no room, or no file, and leaves the others alone', async () => {
    const { actor, ready, take, settle } = await createRig([{}], { large: 101 }, Infinity)
    ready('a')
    take()
    actor.send(add('large'))
    actor.send(add('missing', '/missing'))
    await settle()
    expect(take().toSorted()).toEqual(['model.failed large', 'model.failed missing', 'model.surveyed large'])
  })

  it('that comes while the cores are counted is not forgotten', async () => {
    const late = createActor(inferenceMachine, {
      input: { models: [], mathCores: 1, gpuLayers: 0, mlock: false, late: [add('early')] },
    })
    late.start()
    late.send(add('later'))
    await waitFor(late, (snapshot) => snapshot.matches('serving'))
    expect(late.getSnapshot().context.hostIds).toEqual(['host:early', 'host:later'])
    late.stop()
  })

  it('is gone at once when it is removed and not loaded, and otherwise when its work is done', async () => {
    const { actor, ready, take, settle, isAlive, jobs } = await createRig([{}], { b: 20, c: 20 }, Infinity)
    ready('a')
    for (const id of ['b', 'c']) actor.send(add(id))
    await settle()
    take()
    actor.send({ type: 'model.remove', modelId: 'c' })
    expect(take()).toEqual(['model.removed c'])
    actor.send({ type: 'model.want', modelId: 'b' })
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    ready('a')
    ready('b')
    actor.send({ type: 'slot.run', slotId: 'b/0', jobId: 'job' })
    take()
    actor.send({ type: 'model.remove', modelId: 'b' })
    actor.send({ type: 'model.yielded', modelId: 'b', turn: 1 })
    expect(take()).toEqual(['model.hold b'])
    jobs.get('job')?.()
    expect(take()).toEqual(['slot.freed b/0', 'model.unloading b', 'model.unloaded b', 'model.removed b'])
    expect(isAlive()).toBe(1)
    // The same id may come again.
    actor.send(add('b'))
    await settle()
    expect(take()).toEqual(['model.surveyed b', 'model.loadable b'])
  })
})

describe('the cores', () => {
  it('are shared among those that can be loaded together', async () => {
    const { engines, ready, actor } = await createRig([{}, {}, { load: 'demand' }], { a: 40, b: 40, c: 40 })
    expect([...engines.values()].map(({ input }) => input.options.threads)).toEqual([2, 2])
    ready('a')
    ready('b')
    actor.send({ type: 'model.want', modelId: 'c' })
    actor.send({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(engines.get('c')?.input.options.threads).toBe(2)
  })

  it('go to whoever comes first where they do not divide, and never below one', () => {
    expect(nextThreads(3, 2, [])).toBe(2)
    expect(nextThreads(3, 2, [2])).toBe(1)
    expect(nextThreads(4, 2, [1])).toBe(3)
    expect(nextThreads(2, 3, [1, 1])).toBe(1)
    expect(togetherMax(100, [])).toBe(1)
  })
})
