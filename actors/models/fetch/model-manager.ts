import { createActor, fromCallback, fromPromise } from 'xstate'
import { fetchMachine, type FetchOutput } from '../../../machines/models/fetch.machine.ts'
import { modelManagerMachine } from '../../../machines/models/model-manager.machine.ts'
import {
  type OfferFact,
  type SeederContext,
  seederMachine,
  type SeedPauseReason,
} from '../../../machines/models/seeder.machine.ts'
import { type ModelHash, QMeshError } from '../../../protocol/index.ts'
import { modelLimits, type ModelManifest } from '../../../protocol/models/index.ts'
import { treeOfLeaves } from '../seeding/build-tree.ts'
import type { CoreExchange, Given } from '../seeding/core-exchange.ts'
import { type CoreKey, toCoreKey } from '../seeding/static-core.ts'
import { RateLimit } from '../seeding/rate-limit.ts'
import { createSources, type SourceOptions } from '../sources/index.ts'
import type { ModelStore } from '../store/model-store.ts'
import type { StoredModel } from '../store/stored-model.ts'
import { PullJob, type PullProgress } from './pull-job.ts'

export interface ModelManagerOptions {
  readonly store: ModelStore
  /** Absent: nothing is fetched from peers, nor offered to them. */
  readonly exchange?: CoreExchange | undefined
  readonly sources?: Omit<SourceOptions, 'exchange' | 'folder'> | undefined
  /** For all sources together; the exchange has a cap of its own, which counts instead. 0 for none. */
  readonly downloadBytesPerSecond?: number | undefined
  readonly freeBytes?: ((folder: string) => Promise<number>) | undefined
  /** A model is offered no more, though nobody asked for that. */
  readonly onSeedEnded?: ((hash: ModelHash, reason: string) => void) | undefined
}

export interface PullOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
  /** Each source that could not give the file, as it happens. */
  readonly onSourceFailed?:
    ((failure: { readonly source: string; readonly message: string }) => void) | undefined
  /** Folder that relative paths of the manifest start from. */
  readonly folder?: string | undefined
  /** The manifest is a stranger's: it is not trusted with what came before, nor for long. */
  readonly isHearsay?: boolean | undefined
}

/** A model that this node offers. */
export interface SeedStatus extends Given {
  readonly hash: ModelHash
  readonly id: string
  /** Undefined while it is being prepared. */
  readonly core: CoreKey | undefined
  readonly state: 'preparing' | 'offering' | 'paused' | 'waiting'
  readonly pausedBy: readonly SeedPauseReason[]
}

interface Running {
  readonly job: PullJob
  readonly options: PullOptions
  readonly settle: (output: FetchOutput) => void
}

/** A model that is offered, as its actor has it. */
interface Seeding {
  readonly value: string
  readonly context: Omit<SeederContext, 'core'> & { readonly core?: CoreKey }
}

/** Pulls and offers models: the machines of `machines/models` with the disk and the network under them. */
export class ModelManager {
  readonly #options: ModelManagerOptions
  readonly #pulls = new Map<string, Running>()
  readonly #download: RateLimit
  /** Models that were offered and are not here for the moment, with the bytes that were left to give. */
  readonly #lapsed = new Map<ModelHash, number | undefined>()
  readonly #actor
  #count = 0
  #fetchedBytes = 0

  constructor(options: ModelManagerOptions) {
    this.#options = options
    this.#download = options.exchange?.download ?? new RateLimit(options.downloadBytesPerSecond)
    const running = (pullId: string): Running => {
      const pull = this.#pulls.get(pullId)
      if (!pull) throw new QMeshError('QM_INTERNAL', `there is no pull ${pullId}`)
      return pull
    }
    const fetch = fetchMachine.provide({
      actors: {
        resolve: fromPromise(({ input, signal }) => running(input.pullId).job.resolve(signal)),
        checkSpace: fromPromise(({ input }) => running(input.pullId).job.checkSpace(input)),
        fetchFrom: fromPromise(({ input, signal }) =>
          running(input.pullId).job.fetchFrom(input.source, signal),
        ),
        verify: fromPromise(({ input, signal }) => running(input.pullId).job.verify(signal)),
      },
    })
    const seeder = seederMachine.provide({
      actors: {
        prepare: fromPromise(({ input }) => this.#prepare(input.hash)),
        offer: fromCallback<OfferFact, { readonly hash: string; readonly core: string }>(
          ({ input, sendBack }) => this.#offer(input.hash, input.core, sendBack),
        ),
      },
    })
    this.#actor = createActor(modelManagerMachine.provide({ actors: { fetch, seeder } }))
    this.#actor.on('pull.ended', ({ pullId, output }) => this.#pulls.get(pullId)?.settle(output))
    this.#actor.on('pull.started', ({ pullId }) => this.#watch(pullId))
    this.#actor.on('pull.refused', ({ pullId, code }) =>
      this.#pulls
        .get(pullId)
        ?.settle({ kind: 'failed', code, message: 'too many models wait to be fetched', failures: [] }),
    )
    this.#actor.on('seed.ended', ({ hash, error }) => error && options.onSeedEnded?.(hash, error.message))
    this.#actor.start()
  }

  /**
   * Fetches a model unless it is here.
   *
   * @throws QMeshError `QM_SOURCE_FAILED` naming what each source said, `QM_MODEL_INVALID`, `QM_DISK_FULL`,
   * `QM_MODEL_BUSY`, `QM_CANCELLED`, `QM_NODE_STOPPED`
   */
  async pull(manifest: ModelManifest, options: PullOptions = {}): Promise<StoredModel> {
    const { store, exchange, sources, freeBytes } = this.#options
    const { sha256 } = manifest.artifact
    await store.refresh()
    const here = sha256 === null ? undefined : store.get(sha256)
    if (here) return here
    if (options.signal?.aborted) throw new QMeshError('QM_CANCELLED')
    const pullId = String(++this.#count)
    const job = new PullJob({
      manifest,
      isHearsay: options.isHearsay,
      sources: createSources(manifest, { ...sources, exchange, folder: options.folder }),
      store,
      download: this.#download,
      freeBytes,
      onProgress: options.onProgress,
      onBytes: (bytes) => (this.#fetchedBytes += bytes),
    })
    const onAbort = (): void => this.#actor.send({ type: 'model.cancel', pullId })
    const ended = new Promise<FetchOutput>((settle) => {
      this.#pulls.set(pullId, { job, options, settle })
    })
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      if (this.#actor.getSnapshot().status !== 'active') throw new QMeshError('QM_NODE_STOPPED')
      this.#actor.send({
        type: 'model.pull',
        pullId,
        sources: job.sourceNames,
        ...(options.isHearsay && { wrongFilesMax: modelLimits.wrongFilesMax }),
      })
      const output = await ended
      if (output.kind === 'cancelled') throw new QMeshError('QM_CANCELLED')
      if (output.kind === 'failed') throw new QMeshError(output.code, output.message)
      const stored = store.get(output.hash)
      if (!stored) throw new QMeshError('QM_MODEL_DAMAGED', 'the model is not what it was a moment ago')
      return stored
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
      this.#pulls.delete(pullId)
      await job.close()
    }
  }

  /** What came of all models together, from whatever source. */
  get fetchedBytes(): number {
    return this.#fetchedBytes
  }

  /**
   * Offers a model of the store until `unseed`. One that is offered already goes on, as this says from now on.
   *
   * @returns false where there is no network, or `seedersMax` are offered already
   */
  seed(hash: ModelHash, options: { readonly giveBytesMax?: number | undefined } = {}): boolean {
    if (!this.#options.exchange) return false
    this.#lapsed.delete(hash)
    this.#actor.send({ type: 'model.seed', hash, ...options })
    return this.#isSeeding(hash)
  }

  /** The same, but of one that is offered already what was said before stays, a cap as well. */
  keepSeeding(hash: ModelHash): boolean {
    return this.#isSeeding(hash) || this.seed(hash)
  }

  unseed(hash: ModelHash): void {
    this.#lapsed.delete(hash)
    this.#actor.send({ type: 'model.unseed', hash })
  }

  /** Offers nothing any more, nor what is not here for the moment when it is here again. */
  unseedAll(): void {
    this.#lapsed.clear()
    for (const hash of this.#actor.getSnapshot().context.seeding)
      this.#actor.send({ type: 'model.unseed', hash })
  }

  /** Offers no more what is not here any more, or is damaged, until it is here again. To be called when the store changed. */
  review(): void {
    const { store } = this.#options
    for (const [hash, giveBytesMax] of this.#lapsed) if (store.get(hash)) this.seed(hash, { giveBytesMax })
    for (const hash of this.#actor.getSnapshot().context.seeding) {
      if (store.get(hash)) continue
      this.#lapsed.set(hash, this.#bytesLeft(hash))
      this.#actor.send({ type: 'model.unseed', hash })
    }
  }

  /** The owner wants the line or the machine: nothing is offered until `resume` with the same reason. */
  pause(reason: SeedPauseReason): void {
    this.#actor.send({ type: 'models.pause', reason })
  }

  resume(reason: SeedPauseReason): void {
    this.#actor.send({ type: 'models.resume', reason })
  }

  seeds(): readonly SeedStatus[] {
    const { children, context } = this.#actor.getSnapshot()
    return context.seeding.flatMap((hash) => {
      const seeder = children[`seed.${hash}`]?.getSnapshot() as Seeding | undefined
      const stored = this.#options.store.get(hash)
      if (!seeder || !stored) return []
      const { core, pausedBy } = seeder.context
      const given = core === undefined ? undefined : this.#options.exchange?.given(core)
      const states: Record<string, SeedStatus['state']> = {
        preparing: 'preparing',
        offering: 'offering',
        paused: 'paused',
      }
      return [
        {
          hash,
          id: stored.manifest.id,
          core,
          state: states[seeder.value] ?? 'waiting',
          pausedBy,
          bytes: given?.bytes ?? 0,
          peers: given?.peers ?? 0,
        },
      ]
    })
  }

  /** Cancels what is on its way, keeping what came, and offers nothing any more. */
  async close(): Promise<void> {
    if (this.#actor.getSnapshot().status !== 'active') return
    const jobs = [...this.#pulls.values()].map(({ job }) => job)
    this.#actor.send({ type: 'models.stop' })
    await Promise.all(jobs.map((job) => job.close()))
    this.#actor.stop()
    for (const { settle } of this.#pulls.values()) settle({ kind: 'cancelled' })
  }

  #isSeeding(hash: ModelHash): boolean {
    return this.#actor.getSnapshot().context.seeding.includes(hash)
  }

  /** Bytes that the owner still lets a model give; undefined for no end. */
  #bytesLeft(hash: ModelHash): number | undefined {
    const seeder = this.#actor.getSnapshot().children[`seed.${hash}`]?.getSnapshot() as Seeding | undefined
    if (!seeder) return undefined
    const { giveBytesMax, givenBytes, pausedBy } = seeder.context
    if (pausedBy.includes('cap')) return 0
    return giveBytesMax === undefined ? undefined : Math.max(0, giveBytesMax - givenBytes)
  }

  #watch(pullId: string): void {
    const child = this.#actor.getSnapshot().children[`pull.${pullId}`]
    const pull = this.#pulls.get(pullId)
    if (!child || !pull) return
    const actor = child as unknown as {
      on(type: string, listener: (event: { source?: string; message: string }) => void): unknown
    }
    const { onSourceFailed } = pull.options
    actor.on('fetch.sourceFailed', ({ source = '', message }) => onSourceFailed?.({ source, message }))
    actor.on('fetch.quarantined', ({ message }) => onSourceFailed?.({ source: 'the whole file', message }))
  }

  async #prepare(hash: ModelHash): Promise<CoreKey> {
    const stored = this.#options.store.get(hash)
    if (!stored)
      throw new QMeshError('QM_MODEL_NOT_FOUND', `no sound model ${hash.slice(0, 12)} is in the store`)
    const key = toCoreKey(treeOfLeaves(stored.bytes, await this.#options.store.blockHashes(hash)))
    if (key === undefined) throw new QMeshError('QM_INTERNAL', 'a whole tree has roots')
    return key
  }

  #offer(hash: ModelHash, key: CoreKey, sendBack: (fact: OfferFact) => void): () => void {
    const { exchange, store } = this.#options
    const stored = store.get(hash)
    if (!exchange || !stored) {
      sendBack({ type: 'offer.failed', error: new QMeshError('QM_MODEL_NOT_FOUND') })
      return () => undefined
    }
    try {
      exchange.offer({
        key,
        path: stored.path,
        tree: async () => treeOfLeaves(stored.bytes, await store.blockHashes(hash)),
        // The store looks at the size and the times of the file.
        isUnchanged: () => Promise.resolve(store.get(hash) !== undefined),
        onGave: (bytes) => sendBack({ type: 'offer.gave', bytes }),
        onFailed: (error) => sendBack({ type: 'offer.failed', error }),
      })
    } catch (error) {
      sendBack({ type: 'offer.failed', error })
    }
    return () => void exchange.withdraw(key)
  }
}
