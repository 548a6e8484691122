import type { EngineHost, LoadedModel, ModelSurvey } from '../actors/inference/engine.port.ts'
import { type LoadableModel, toAd, toSurvey } from '../machines/inference/index.ts'
import { type ErrorCode, limits, type ModelAd, type ModelId } from '../protocol/index.ts'
import type { ModelStatus } from './node-status.ts'

/** Why a model is not there. */
interface Trouble {
  readonly code: ErrorCode
  readonly message: string
}

/** What each model of a worker is doing, as its owner sees it and as others are told. */
export class WorkerModels {
  readonly #hosts: ReadonlyMap<ModelId, EngineHost>
  readonly #models = new Map<ModelId, ModelStatus>()
  /** Models that come and go, and what they are while they are not loaded. */
  readonly #visitors = new Map<ModelId, LoadableModel>()

  /** @param hosts of those that are loaded */
  constructor(hosts: ReadonlyMap<ModelId, EngineHost>) {
    this.#hosts = hosts
  }

  get list(): readonly ModelStatus[] {
    return [...this.#models.values()]
  }

  /** Those that are not in memory and that requests may wait for. */
  get allLoadable(): readonly LoadableModel[] {
    return [...this.#visitors.keys()].flatMap((modelId) => this.loadable(modelId) ?? [])
  }

  /** What a model is that is not in memory and that requests may wait for. */
  loadable(modelId: ModelId): LoadableModel | undefined {
    const { state } = this.#known(modelId)
    const isAway = state === 'loadable' || state === 'unloading' || state === 'loading'
    const model = this.#visitors.get(modelId)
    // One that has not been loadable yet is on its way because it belongs to the start.
    return isAway && model && model.loadMs > 0 ? model : undefined
  }

  /** What others are told. */
  ads(): ModelAd[] {
    const loaded = [...this.#hosts.values()].map(({ model }) => toAd(model))
    const loadable = this.allLoadable
      .filter(({ id }) => !this.#hosts.has(id))
      .map((model): ModelAd => ({
        ...toAd(model),
        state: 'loadable',
        loadMs: Math.min(model.loadMs, limits.durationMsMax),
      }))
    return [...loaded, ...loadable]
  }

  /** It is to be loaded, and shown from the start. */
  expect(modelId: ModelId, path: string): void {
    this.#models.set(modelId, { id: modelId, state: 'loading', path })
  }

  loading(modelId: ModelId): void {
    this.#models.set(modelId, { ...this.#known(modelId), state: 'loading' })
  }

  surveyed(survey: ModelSurvey): void {
    this.#visitors.set(survey.id, { ...survey, loadMs: 0 })
  }

  ready(model: LoadedModel): void {
    const { id, backend, threads, memoryMb } = model
    this.#models.set(id, { ...this.#at(id, 'ready'), ...toAd(model), backend, threads, memoryMb })
    // One that was loaded without a look at its file before may have to make room, too.
    if (!this.#visitors.has(id)) this.surveyed(toSurvey(model))
  }

  /** It has to make room for another, and comes back in so long. */
  held(modelId: ModelId, loadMs: number): void {
    const visitor = this.#visitors.get(modelId)
    if (visitor) this.#visitors.set(modelId, { ...visitor, loadMs })
  }

  /** It is being taken out of memory. @returns what it is then, where requests may wait for it */
  unloading(modelId: ModelId): LoadableModel | undefined {
    const visitor = this.#visitors.get(modelId)
    if (visitor) this.#goes(visitor, 'unloading')
    return visitor
  }

  /** It is not in memory any more, or not yet. */
  unloaded(model: LoadableModel): void {
    this.#goes(model, 'loadable')
  }

  /** Its thread is gone, and it is loaded again. */
  lost(modelId: ModelId, error?: Trouble): void {
    this.#models.set(modelId, { ...this.#known(modelId), state: 'recovering', ...(error && { error }) })
  }

  failed(modelId: ModelId, error: Trouble): void {
    this.#models.set(modelId, { ...this.#known(modelId), state: 'failed', error })
    this.#visitors.delete(modelId)
  }

  removed(modelId: ModelId): void {
    this.#models.delete(modelId)
    this.#visitors.delete(modelId)
  }

  /** Those that have not failed for good. */
  alive(): readonly ModelId[] {
    return this.list.filter(({ state }) => state !== 'failed').map(({ id }) => id)
  }

  #goes(model: LoadableModel, state: 'loadable' | 'unloading'): void {
    const { id, loadMs } = model
    this.#visitors.set(id, model)
    this.#models.set(id, { ...this.#at(id, state), ...toAd(model), loadMs })
  }

  /** Nothing but where its file is stays true of a model in another state. */
  #at(id: ModelId, state: ModelStatus['state']): ModelStatus {
    const { path } = this.#known(id)
    return { id, state, ...(path !== undefined && { path }) }
  }

  #known(modelId: ModelId): ModelStatus {
    return this.#models.get(modelId) ?? { id: modelId, state: 'loading' }
  }
}
