import type { PullOptions } from '../../actors/models/fetch/model-manager.ts'
import type { ModelStore } from '../../actors/models/store/model-store.ts'
import type { StoredModel } from '../../actors/models/store/stored-model.ts'
import { type ErrorCode, type ModelHash, QMeshError, toQMeshError } from '../../protocol/index.ts'
import { modelLimits, type ModelManifest, toHearsayKey } from '../../protocol/models/index.ts'

/** What is to be fetched. */
export interface Wanted {
  /** All of one file, that of whoever counts most first. */
  readonly manifests: readonly [ModelManifest, ...(readonly ModelManifest[])]
  /** Where relative paths of the manifest start. */
  readonly folder?: string | undefined
  /** The owner, the package or a publisher who is trusted speaks first. */
  readonly isKnown?: boolean | undefined
  /** Peers told of it, and nobody who is trusted answers for it. */
  readonly isHearsay?: boolean | undefined
  /** The owner named the file itself, and not somebody's word for it. */
  readonly isChosen?: boolean | undefined
}

/** Failures that may be the fault of one manifest: of its sources, its key, or what it says of the file. */
const mayHelp: ReadonlySet<ErrorCode> = new Set(['QM_SOURCE_FAILED', 'QM_MODEL_INVALID'])

export interface FileWaysOptions {
  readonly store: ModelStore
  readonly pull: (manifest: ModelManifest, options: PullOptions) => Promise<StoredModel>
  /** All that peers say of a SHA-256. */
  readonly ask: (sha256: ModelHash, signal: AbortSignal | undefined) => Promise<readonly ModelManifest[]>
}

/** What one fetch has cost so far. */
interface Trial {
  readonly wanted: Wanted
  readonly options: Pick<PullOptions, 'signal' | 'onProgress' | 'onSourceFailed'>
  readonly tried: Set<string>
  /** What strangers' words may have left on the disk. */
  readonly begun: Set<string>
  /** Ways that brought bytes and not the file. One that brought nothing cost a moment only. */
  costly: number
  /** The first, which is that of whoever counts most. */
  failure: unknown
}

/**
 * The ways to one file. Several manifests may name the same SHA-256 with other sources, and some of them may be lies: each is
 * tried, those of strangers last, until one leads to the file. What came by one that is known here is kept for the next.
 */
export class FileWays {
  readonly #options: FileWaysOptions
  /** What strangers said that led to a wrong file. */
  readonly #lies = new Set<string>()

  constructor(options: FileWaysOptions) {
    this.#options = options
  }

  /** @throws QMeshError that of the first way, when none leads to the file */
  async fetch(wanted: Wanted, options: Trial['options']): Promise<StoredModel> {
    const { store, ask } = this.#options
    const { manifests, isHearsay = false } = wanted
    const { sha256 } = manifests[0].artifact
    const trial: Trial = {
      wanted,
      options,
      tried: new Set(),
      begun: new Set(),
      costly: 0,
      failure: undefined,
    }
    const stored =
      (await this.#any(trial, manifests, isHearsay)) ??
      (sha256 === null ? undefined : await this.#any(trial, await ask(sha256, options.signal), true))
    if (!stored) {
      const message = `all that peers say of ${sha256} proved wrong before`
      throw trial.failure ?? new QMeshError('QM_SOURCE_FAILED', message)
    }
    for (const key of trial.begun) await store.discardUnfinished(key).catch(() => undefined)
    return stored
  }

  async #any(
    trial: Trial,
    manifests: readonly ModelManifest[],
    isTold: boolean,
  ): Promise<StoredModel | undefined> {
    const { store } = this.#options
    const {
      isKnown = false,
      manifests: [named],
    } = trial.wanted
    for (const manifest of manifests) {
      const stored = await this.#try(trial, manifest, isTold)
      if (!stored) continue
      // The way was another's; what the model is called and who answers for it was known before.
      if (isKnown && manifest !== named) await store.describe(stored.hash, named)
      return store.get(stored.hash) ?? stored
    }
    return undefined
  }

  async #try(trial: Trial, manifest: ModelManifest, isTold: boolean): Promise<StoredModel | undefined> {
    const { wanted, options, tried, begun } = trial
    const way = JSON.stringify([manifest.artifact, manifest.sources])
    if (tried.has(way) || (isTold && this.#lies.has(way))) return undefined
    if (tried.size >= modelLimits.manifestsTriedMax || trial.costly >= modelLimits.manifestsCostlyMax)
      return undefined
    tried.add(way)
    if (isTold) begun.add(toHearsayKey(manifest.artifact))
    let hasBytes = false
    try {
      return await this.#options.pull(manifest, {
        signal: options.signal,
        folder: wanted.folder,
        isHearsay: isTold,
        onProgress: (progress) => {
          hasBytes ||= progress.doneBytes > 0
          options.onProgress?.(progress)
        },
        onSourceFailed: options.onSourceFailed,
      })
    } catch (error) {
      const { code } = toQMeshError(error)
      // A stranger may claim any size.
      const isLie = code === 'QM_DISK_FULL' && !wanted.isKnown
      if (wanted.manifests[0].artifact.sha256 === null || !(isLie || mayHelp.has(code))) throw error
      if (hasBytes || code === 'QM_MODEL_INVALID') trial.costly++
      if (isTold && code === 'QM_MODEL_INVALID') this.#noteLie(way)
      trial.failure ??= error
      return undefined
    }
  }

  /** It is not believed again, and others get their turn. */
  #noteLie(way: string): void {
    const [oldest] = this.#lies
    if (this.#lies.size >= modelLimits.liesMax && oldest !== undefined) this.#lies.delete(oldest)
    this.#lies.add(way)
  }
}
