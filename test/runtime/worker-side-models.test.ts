import { describe, expect, it } from 'vitest'
import type { EngineHost } from '../../actors/inference/engine.port.ts'
import type { InferenceCommand, LoadedModel } from '../../machines/inference/index.ts'
import { newcomersOnly, type SchedulerCommand } from '../../machines/scheduling/index.ts'
import { WorkerSide } from '../../runtime/worker-side.ts'

const hash = 'c'.repeat(64)
const facts = { hash, contextTokens: 512, slots: 1 }
const loaded: LoadedModel = { id: 'a', ...facts, backend: 'cpu', threads: 1, memoryMb: 1 }
const loadable = { id: 'b', ...facts, bytes: 60, loadMs: 4_000 }

/** A worker with one model in memory and one that is not. */
function createRig() {
  const toScheduler: SchedulerCommand[] = []
  const toInference: InferenceCommand[] = []
  const worker = new WorkerSide({
    selfId: 'a'.repeat(64),
    now: () => 0,
    queueCapacity: 10,
    pauseWhenBusy: true,
    precedence: newcomersOnly,
    scheduler: () => ({ send: (command) => toScheduler.push(command) }),
    inference: () => ({ send: (command) => toInference.push(command) }),
    onChanged: () => {},
    onUrgent: () => {},
  })
  worker.hosts.set('a', { model: loaded } as EngineHost)
  for (const { loadMs: _, ...survey } of [{ ...loadable, id: 'a' }, loadable])
    worker.inferred({ type: 'model.surveyed', survey })
  worker.inferred({ type: 'model.ready', model: loaded, slotIds: ['a/0'] })
  worker.inferred({ type: 'model.loadable', model: loadable })
  return { worker, toScheduler, toInference }
}

const hold = { type: 'model.hold', modelId: 'a', turn: 1, wantedBy: 'b', loadMs: 2_000 } as const

describe('a worker with more models than memory', () => {
  it('advertises loaded and loadable ones apart, and shows both', () => {
    const { worker } = createRig()
    expect(worker.status().models).toEqual([
      { id: 'a', ...facts },
      { id: 'b', ...facts, state: 'loadable', loadMs: 4_000 },
    ])
    expect(worker.models).toMatchObject([
      { id: 'a', state: 'ready' },
      { id: 'b', state: 'loadable', loadMs: 4_000 },
    ])
  })

  it('says why a model is not there, and when it is looked at again', () => {
    const { worker } = createRig()
    const why = { modelId: 'a', message: 'why' } as const
    worker.inferred({ type: 'model.retrying', ...why, code: 'QM_ENGINE_CRASHED', delayMs: 250 })
    expect(worker.models[0]).toMatchObject({
      state: 'recovering',
      error: { code: 'QM_ENGINE_CRASHED', message: 'why; it is tried again in 1 s' },
    })
    worker.inferred({ type: 'model.failed', ...why, code: 'QM_MODEL_TOO_LARGE', retryMs: 240_000 })
    expect(worker.models[0]).toMatchObject({
      state: 'failed',
      error: { code: 'QM_MODEL_TOO_LARGE', message: 'why; it is tried again in 4 min' },
    })
    worker.inferred({ type: 'model.loading', modelId: 'a' })
    expect(worker.models[0]).toMatchObject({ state: 'loading', error: { code: 'QM_MODEL_TOO_LARGE' } })
    worker.inferred({ type: 'model.ready', model: loaded, slotIds: ['a/0'] })
    expect(worker.models[0]?.error).toBeUndefined()
    worker.inferred({ type: 'model.failed', ...why, code: 'QM_MODEL_UNSUPPORTED' })
    expect(worker.models[0]?.error).toEqual({ code: 'QM_MODEL_UNSUPPORTED', message: 'why' })
  })

  it('offers one that was loaded without a look at its file, too, when it makes room: with all that is known', () => {
    const { worker } = createRig()
    const model = { ...loaded, id: 'plain', embeddingSize: 384 }
    worker.hosts.set('plain', { model } as EngineHost)
    worker.inferred({ type: 'model.ready', model, slotIds: ['plain/0'] })
    worker.inferred({ ...hold, modelId: 'plain' })
    worker.inferred({ type: 'model.unloading', modelId: 'plain' })
    worker.hosts.delete('plain')
    const offered = { id: 'plain', ...facts, embeddingSize: 384, state: 'loadable', loadMs: 2_000 }
    expect(worker.status().models).toContainEqual(offered)
  })

  it('forgets a model that is served no more, and who waits for it is told', () => {
    const { worker, toScheduler } = createRig()
    worker.inferred({ type: 'model.removed', modelId: 'b' })
    expect(worker.models.map(({ id }) => id)).toEqual(['a'])
    expect(worker.status().models.map(({ id }) => id)).toEqual(['a'])
    expect(toScheduler.at(-1)).toEqual({ type: 'model.gone', modelId: 'b', code: 'QM_MODEL_UNKNOWN' })
  })

  it('carries the wish for a model to inference, and what makes room to the scheduler', () => {
    const { worker, toScheduler, toInference } = createRig()
    worker.scheduled({ type: 'model.wanted', modelId: 'b' })
    expect(toInference).toEqual([{ type: 'model.want', modelId: 'b' }])
    worker.inferred(hold)
    expect(toScheduler.at(-1)).toEqual(hold)
    worker.scheduled({ type: 'model.yielded', modelId: 'a', turn: 1 })
    expect(toInference.at(-1)).toEqual({ type: 'model.yielded', modelId: 'a', turn: 1 })
    worker.inferred({ type: 'model.unloading', modelId: 'a' })
    worker.hosts.delete('a')
    expect(toScheduler.slice(-2)).toEqual([
      { type: 'slot.removed', slotId: 'a/0' },
      { type: 'model.loadable', modelId: 'a', slots: 1, loadMs: 2_000 },
    ])
    expect(worker.status().models.map(({ id, state }) => [id, state])).toEqual([
      ['a', 'loadable'],
      ['b', 'loadable'],
    ])
  })

  it('tells a scheduler that was started again what it has to know', () => {
    const { worker, toScheduler } = createRig()
    worker.inferred(hold)
    toScheduler.length = 0
    worker.schedulerStarted()
    expect(toScheduler).toMatchObject([
      { type: 'slot.added', slotId: 'a/0' },
      { type: 'model.loadable', modelId: 'b' },
      hold,
      { type: 'capacity.changed' },
    ])
  })

  it('wants a model again from inference that was started again, and holds nothing back any more', () => {
    const { worker, toScheduler, toInference } = createRig()
    worker.scheduled({ type: 'model.wanted', modelId: 'b' })
    worker.inferred(hold)
    worker.inferenceLost()
    expect(toScheduler.at(-1)).toEqual({ type: 'model.release', modelId: 'a' })
    toInference.length = 0
    worker.inferred({ type: 'model.loadable', model: loadable })
    expect(toInference).toEqual([{ type: 'model.want', modelId: 'b' }])
  })
})
