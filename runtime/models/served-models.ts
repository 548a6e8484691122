import type { ModelSpec } from '../../actors/inference/engine.port.ts'
import type { StoredModel } from '../../actors/models/store/stored-model.ts'
import { limits, type ModelHash, type ModelId, QMeshError } from '../../protocol/index.ts'
import type { ModelStatus } from '../node-status.ts'
import type { ModelLibrary } from './model-library.ts'

/** The part of a node that answers, as far as models that come and go concern it. */
export interface ServingNode {
  models(): readonly ModelStatus[]
  /** To be loaded when a request waits for it. */
  addModel(spec: ModelSpec): Promise<void>
  /** What it runs ends first; then it is not among `models` any more. */
  removeModel(modelId: ModelId): void
  /** Some of `models` changed. @returns ends it */
  onModels(listener: () => void): () => void
  /** Resolves when nothing marks a file as loaded that is not. */
  settled(): Promise<void>
}

export interface ServedModelsOptions {
  readonly library: ModelLibrary
  readonly node: ServingNode
  /** Models that the configuration names. */
  readonly named: readonly ModelSpec[]
  /** Whether others are served, too. */
  readonly isAll: boolean
  /** What the configuration says of each model that it does not name. */
  readonly defaults: Pick<ModelSpec, 'contextTokens' | 'slots'>
}

/** Milliseconds that a model has to finish what it answers when it is to be removed. */
const releaseMs = 60_000
/** Milliseconds in which a new model is looked at. */
const surveyMs = 15_000

/**
 * Serves every sound model of this machine beside those that the configuration names: one that comes while the node runs is
 * offered at once, one that goes is not any more. Of several with one id it serves the one that is meant by it.
 */
export class ServedModels {
  readonly #options: ServedModelsOptions
  readonly #served = new Map<ModelId, ModelHash>()
  /** To be removed by somebody: not served again until the next look at the disk. */
  readonly #released = new Set<ModelHash>()
  readonly #ends: readonly (() => void)[]
  readonly #closing = new AbortController()
  #latest: Promise<void> = Promise.resolve()

  constructor(options: ServedModelsOptions) {
    this.#options = options
    const { library, node } = options
    const onChange = (): void => void this.update()
    const onRefreshed = (): void => {
      this.#released.clear()
      onChange()
    }
    for (const event of ['added', 'removed', 'verified'] as const) library.on(event, onChange)
    library.on('refreshed', onRefreshed)
    this.#ends = [
      () => {
        for (const event of ['added', 'removed', 'verified'] as const) library.off(event, onChange)
        library.off('refreshed', onRefreshed)
      },
      // Another version of a model takes the place of the one before as soon as that is gone.
      node.onModels(() => this.#isWaiting() && onChange()),
    ]
  }

  /** Resolves when the node serves, or refused, what is here now, or this is closed. Never rejects. */
  update(): Promise<void> {
    this.#latest = this.#latest.then(() => this.#update()).catch(() => undefined)
    return this.#latest
  }

  /** Whether the node answers with it under its id: because it is named, or because it is here. */
  serves(id: ModelId, hash: ModelHash): boolean {
    const model = this.#options.node.models().find((one) => one.id === id)
    return model !== undefined && model.state !== 'failed' && (model.hash ?? this.#served.get(id)) === hash
  }

  /**
   * Lets go of a model that is to be removed, if it is served only because it is here. Resolves when it is out of memory.
   *
   * @throws QMeshError `QM_MODEL_BUSY` when it still answers after a minute
   */
  async release(hash: ModelHash): Promise<void> {
    const [modelId] = [...this.#served].find(([, served]) => served === hash) ?? []
    this.#released.add(hash)
    await this.update()
    if (modelId === undefined || (await this.#until(releaseMs, () => !this.#isThere(modelId))))
      return this.#options.node.settled()
    throw new QMeshError('QM_MODEL_BUSY', `"${modelId}" still answers; try again later`)
  }

  close(): void {
    for (const end of this.#ends) end()
    this.#closing.abort()
  }

  async #update(): Promise<void> {
    const { node, defaults } = this.#options
    const wanted = this.#wanted()
    for (const [id, hash] of this.#served) {
      if (wanted.get(id)?.hash === hash) continue
      this.#served.delete(id)
      node.removeModel(id)
    }
    const added: ModelId[] = []
    for (const [id, { hash, path }] of wanted) {
      if (this.#closing.signal.aborted) return
      if (this.#served.has(id) || this.#isThere(id)) continue
      this.#served.set(id, hash)
      added.push(id)
      await node.addModel({ ...defaults, id, path, expectedHash: hash, load: 'demand' })
    }
    const isLooked = (): boolean =>
      node.models().every(({ id, state }) => !added.includes(id) || state !== 'loading')
    await this.#until(surveyMs, isLooked)
  }

  /** The latest used first, as many as one node may offer. */
  #wanted(): ReadonlyMap<ModelId, StoredModel> {
    const { library, named, isAll } = this.#options
    if (!isAll) return new Map()
    const paths = new Set(named.map(({ path }) => path))
    const ids = new Set(named.map(({ id }) => id))
    const wanted = new Map<ModelId, StoredModel>()
    for (const model of library.store.list().toSorted((a, b) => b.usedAtMs - a.usedAtMs)) {
      const { hash, path, manifest } = model
      if (wanted.size >= limits.modelsMax - named.length) break
      if (ids.has(manifest.id) || paths.has(path) || this.#released.has(hash)) continue
      if (library.find(manifest.id)?.hash === hash) wanted.set(manifest.id, model)
    }
    return wanted
  }

  #isThere(modelId: ModelId): boolean {
    return this.#options.node.models().some(({ id }) => id === modelId)
  }

  #isWaiting(): boolean {
    return [...this.#wanted().keys()].some((id) => !this.#served.has(id) && !this.#isThere(id))
  }

  /** @returns whether it became so in time */
  async #until(ms: number, isSo: () => boolean): Promise<boolean> {
    if (isSo()) return true
    const { signal } = this.#closing
    if (signal.aborted) return false
    let [end, giveUp] = [(): void => undefined, (): void => undefined]
    let timer: NodeJS.Timeout | undefined
    const became = await new Promise<boolean>((resolve) => {
      giveUp = () => resolve(false)
      end = this.#options.node.onModels(() => isSo() && resolve(true))
      timer = setTimeout(giveUp, ms)
      signal.addEventListener('abort', giveUp)
    })
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
    end()
    return became
  }
}
