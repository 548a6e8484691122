import { EventEmitter } from 'node:events'
import type { NoiseStream } from 'hyperswarm'
import { CatalogSharing } from '../../actors/models/channel/catalog-sharing.ts'
import { modelsCapability } from '../../actors/models/channel/models-channel.ts'
import { ModelManager, type PullOptions } from '../../actors/models/fetch/model-manager.ts'
import { repairModel } from '../../actors/models/fetch/repair.ts'
import { CoreExchange, type JoinTopic } from '../../actors/models/seeding/core-exchange.ts'
import type { SourceOptions } from '../../actors/models/sources/index.ts'
import type { StoredModel } from '../../actors/models/store/stored-model.ts'
import { seedersMax } from '../../machines/models/model-manager.machine.ts'
import type { SeedPauseReason } from '../../machines/models/seeder.machine.ts'
import {
  type ErrorCode,
  type Hello,
  modelHashSchema,
  type ModelHash,
  type PeerId,
  QMeshError,
  toQMeshError,
} from '../../protocol/index.ts'
import type { ModelManifest } from '../../protocol/models/index.ts'
import type { TrustSigner } from '../../protocol/trust/index.ts'
import { FileWays } from './file-ways.ts'
import { ModelLookup } from './model-lookup.ts'
import type { ModelLibrary } from './model-library.ts'
import type { ServedModels } from './served-models.ts'
import type {
  ModelPullOptions,
  ModelRepairOptions,
  ModelsPort,
  Published,
  PublishChanges,
  PulledModel,
  PullProgress,
  Repaired,
  SeedStatus,
  SourceFailure,
  Unpublished,
} from './models.port.ts'

export interface ModelTransferOptions {
  readonly library: ModelLibrary
  /** Absent: this process has no network, and asks web servers only. */
  readonly joinTopic?: JoinTopic | undefined
  /** Where holders and seekers of models meet; absent: only peers that are there for other reasons are asked. */
  readonly meetingTopic?: Buffer | undefined
  /** Signs what is published; absent: nothing can be. */
  readonly signer?: TrustSigner | undefined
  /** Bytes a second, 0 for no cap. */
  readonly uploadBytesPerSecond?: number | undefined
  readonly downloadBytesPerSecond?: number | undefined
  /** Peers that models are given to at the same time; absent: any number. */
  readonly readersMax?: number | undefined
  /** Models are taken from these peers only; absent, from any: every block is proven. */
  readonly seeders?: ReadonlySet<PeerId> | undefined
  /** Whether models are offered as soon as they are here; default true with a network. */
  readonly seeds?: boolean | undefined
  readonly sources?: Pick<SourceOptions, 'hf' | 'ipfs' | 'stallMs'> | undefined
  /** See `ModelLookupOptions`. */
  readonly askMs?: number | undefined
  readonly onViolation?: ((peerId: PeerId, code: ErrorCode, detail: string) => void) | undefined
}

/** What a program that embeds a node can listen to. */
export interface ModelTransferEvents {
  progress: [progress: PullProgress]
  sourceFailed: [id: string, failure: SourceFailure]
  pulled: [model: PulledModel]
  /** A model is not offered any more, and why; not when that was asked for. */
  seedEnded: [hash: ModelHash, reason: string]
  /** Manifests or catalogs came from others. */
  catalog: []
  /** Something that the owner should know, and that no peer is to blame for. */
  warning: [message: string]
}

/** What the library says when other models are here than before, or they are in another state. */
const storeEvents = ['added', 'removed', 'verified', 'refreshed'] as const

/** Models on their way: to this machine, and from it to others. The library has those that are here. */
export class ModelTransfer extends EventEmitter<ModelTransferEvents> implements ModelsPort {
  /** For `hello`: peers that say it have a channel for models. */
  readonly capability = modelsCapability
  /** The models that are here, and what is known of others. */
  readonly library: ModelLibrary
  readonly #options: ModelTransferOptions
  readonly #exchange: CoreExchange | undefined
  readonly #sharing: CatalogSharing
  readonly #manager: ModelManager
  readonly #connections = new Set<() => void>()
  readonly #lookup: ModelLookup
  readonly #ways: FileWays
  /** Given by a node that serves what is here. */
  serving: ServedModels | undefined
  #leaveMeeting: (() => void) | undefined
  #repairedBytes = 0
  #isStarted = false
  /** Aborted at the end: what a caller gave no signal for ends, too. */
  readonly #closing = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #onPublished = (): void => {
    this.#meetForCatalogs()
    this.#sharing.changed()
  }
  readonly #onStored = (): void => this.#manager.review()

  constructor(options: ModelTransferOptions) {
    super()
    const { library, joinTopic, onViolation } = options
    this.library = library
    this.#options = options
    const { catalogFiles } = library
    const { catalog } = catalogFiles
    this.#exchange =
      joinTopic &&
      new CoreExchange({
        joinTopic,
        uploadBytesPerSecond: options.uploadBytesPerSecond,
        downloadBytesPerSecond: options.downloadBytesPerSecond,
        readersMax: options.readersMax,
        seeders: options.seeders,
        onLie: (peerId) =>
          onViolation?.(peerId, 'QM_EVIDENCE_INVALID', 'it sent bytes that are not in the model'),
      })
    this.#sharing = new CatalogSharing({
      catalog: {
        find: (name) => this.#known(name),
        offer: (manifest) => catalogFiles.offer(manifest, 'network'),
        published: {
          held: () => catalog.published.list(),
          isTrusted: (publisher) => catalog.isTrusted(publisher),
          bytes: (publisher) => catalogFiles.published.bytes(publisher),
          offer: (document) => catalogFiles.offerCatalog(document),
        },
      },
      onViolation,
      onWarning: (message) => this.emit('warning', message),
      onNews: () => {
        library.emit('catalog')
        this.emit('catalog')
      },
    })
    library.on('published', this.#onPublished)
    for (const event of storeEvents) library.on(event, this.#onStored)
    this.#manager = new ModelManager({
      store: library.store,
      exchange: this.#exchange,
      sources: options.sources,
      downloadBytesPerSecond: options.downloadBytesPerSecond,
      onSeedEnded: (hash, reason) => this.emit('seedEnded', hash, reason),
    })
    this.#lookup = new ModelLookup({
      library,
      find: joinTopic && ((name, signal, isThorough) => this.#sharing.find(name, signal, isThorough)),
      askMs: options.askMs,
    })
    this.#ways = new FileWays({
      store: library.store,
      pull: (manifest, how) => this.#pullBy(manifest, how),
      ask: (sha256, signal) => this.#lookup.ask(sha256, signal, true),
    })
  }

  /** Bytes of models that were given to peers and that were fetched, since the start. */
  get traffic(): { readonly givenBytes: number; readonly fetchedBytes: number } {
    return {
      givenBytes: this.#exchange?.givenBytes ?? 0,
      fetchedBytes: this.#manager.fetchedBytes + this.#repairedBytes,
    }
  }

  /** To be called for every peer as it greets; does nothing for one that knows nothing of models. */
  connect(peerId: PeerId, stream: NoiseStream, { capabilities }: Pick<Hello, 'capabilities'>): void {
    if (!this.#exchange || !capabilities.includes(modelsCapability)) return
    const ends = [this.#sharing.connect(peerId, stream), this.#exchange.connect(peerId, stream)]
    const end = (): void => {
      this.#connections.delete(end)
      for (const close of ends) close()
    }
    this.#connections.add(end)
    stream.once('close', end)
  }

  /** Offers what is here, if this node offers anything: once, when it starts. */
  start(): void {
    this.#isStarted = true
    this.#meetForCatalogs()
    if (this.#options.seeds === false || !this.#exchange) return
    const models = this.library.store.list()
    if (models.length > 0) this.#meet()
    const left = models.filter(({ hash }) => !this.#manager.keepSeeding(hash))
    if (left.length > 0)
      this.emit('warning', `${left.length} models are not offered: no more than ${seedersMax} are at once`)
  }

  /** Who trusts publishers wants to hear of them, and who holds catalogs can tell of them. */
  #meetForCatalogs(): void {
    const { published, publishers } = this.library.catalogFiles.catalog
    const trustsOthers = publishers.some((publisher) => publisher !== this.#options.signer?.id)
    if (this.#isStarted && (trustsOthers || published.list().length > 0)) this.#meet()
  }

  /** Who neither has nor wants a model need not be found for its sake. */
  #meet(): void {
    const { joinTopic, meetingTopic } = this.#options
    this.#leaveMeeting ??= meetingTopic && joinTopic?.(meetingTopic)
  }

  pull(name: string, options: ModelPullOptions = {}): Promise<PulledModel> {
    return this.#untilClosed(options.signal, (signal) => this.#pull(name, { ...options, signal }))
  }

  async #pull(name: string, options: ModelPullOptions): Promise<PulledModel> {
    const { library, seeds = true } = this.#options
    this.#meet()
    const found = await this.#lookup.find(name, options.signal)
    if ('stored' in found) {
      await this.#welcome(found.stored, options.signal)
      return this.#toPulled(found.stored, true)
    }
    const [{ artifact }] = found.manifests
    const before = artifact.sha256 === null ? undefined : library.store.get(artifact.sha256)
    const stored = await this.#ways.fetch(found, options)
    // One that is here, too: whoever fetched it may have been killed before it was tried.
    await this.#welcome(stored, options.signal)
    if (found.isChosen) await library.own(stored.hash)
    if (seeds) this.#manager.keepSeeding(stored.hash)
    const pulled = await this.#toPulled(stored, before !== undefined)
    this.emit('pulled', pulled)
    return pulled
  }

  async seed(names: readonly string[], giveBytesMax?: number): Promise<readonly SeedStatus[]> {
    const { library } = this
    const { store } = library
    await library.refresh()
    if (!this.#exchange) {
      throw new QMeshError('QM_NODE_NOT_RUNNING', 'models are offered by a running node; start one with "up"')
    }
    this.#meet()
    const models = names.length === 0 ? store.list() : names.map((name) => library.names.sound(name))
    const left = models.filter(({ hash }) => !this.#manager.seed(hash, { giveBytesMax }))
    if (left.length > 0)
      throw new QMeshError(
        'QM_TOO_MANY_REQUESTS',
        `no more than ${seedersMax} models are offered at once, so ${left.length} are not; "models seed <model> --stop" makes room`,
      )
    return this.seeds()
  }

  async unseed(names: readonly string[]): Promise<readonly SeedStatus[]> {
    const seeds = await this.seeds()
    if (names.length === 0) this.#manager.unseedAll()
    for (const name of names) {
      const wanted = this.library.find(name)?.hash
      const seed = seeds.find(({ id, hash }) => (wanted === undefined ? id === name : hash === wanted))
      if (!seed) throw new QMeshError('QM_MODEL_NOT_FOUND', `"${name}" is not offered by this node`)
      this.#manager.unseed(seed.hash)
    }
    return this.seeds()
  }

  seeds(): Promise<readonly SeedStatus[]> {
    return Promise.resolve(this.#manager.seeds())
  }

  /** Offers nothing until `resume` with the same reason. */
  pause(reason: SeedPauseReason): void {
    this.#manager.pause(reason)
  }

  resume(reason: SeedPauseReason): void {
    this.#manager.resume(reason)
  }

  repair(name: string, options: ModelRepairOptions = {}): Promise<Repaired> {
    return this.#untilClosed(options.signal, (signal) => this.#repair(name, { ...options, signal }))
  }

  async #repair(name: string, options: ModelRepairOptions): Promise<Repaired> {
    const { library, sources } = this.#options
    await library.refresh()
    const { hash } = library.names.here(name)
    const { store } = library
    try {
      const repaired = await repairModel(hash, { store, exchange: this.#exchange, sources, ...options })
      this.#repairedBytes += repaired.fetchedBytes
      return repaired
    } finally {
      // Also where it failed: it has found what is wrong, and may have put some of it right.
      const damaged = store.broken().find((model) => model.hash === hash)?.damaged ?? []
      library.emit('verified', hash, { isSound: store.get(hash) !== undefined, damaged })
    }
  }

  async publish(name: string, changes: PublishChanges = {}): Promise<Published> {
    const { library, signer } = this.#options
    if (!signer) throw new QMeshError('QM_KEYS_INVALID', 'there are no keys here to sign with')
    await library.refresh()
    const manifest = await library.sign(name, signer, changes)
    const { sha256, core } = manifest.artifact
    if (sha256 === null || core === null) throw new QMeshError('QM_INTERNAL')
    this.#meet()
    if (this.#exchange) this.#manager.keepSeeding(sha256)
    return {
      id: manifest.id,
      version: manifest.version,
      publisher: signer.id,
      hash: sha256,
      core,
      isOffered: this.#exchange !== undefined,
    }
  }

  async unpublish(name: string): Promise<Unpublished> {
    const { library, signer } = this.#options
    if (!signer) throw new QMeshError('QM_KEYS_INVALID', 'there are no keys here to sign with')
    await library.refresh()
    const { publisher, version, models } = await library.withdraw(name, signer)
    return { publisher, catalogVersion: version, models: models.map(({ id }) => id) }
  }

  async release(name: string): Promise<void> {
    const stored = this.library.find(name)
    if (stored) await this.serving?.release(stored.hash)
  }

  refresh(): Promise<void> {
    return this.library.refresh()
  }

  /** Ends what is on its way, keeping what came, and offers nothing any more. */
  async close(): Promise<void> {
    this.library.off('published', this.#onPublished)
    for (const event of storeEvents) this.library.off(event, this.#onStored)
    this.#leaveMeeting?.()
    this.#closing.abort(new QMeshError('QM_NODE_STOPPED'))
    this.#sharing.close()
    await this.#manager.close()
    await Promise.allSettled(this.#underWay)
    await this.#exchange?.close()
    for (const end of this.#connections) end()
    this.removeAllListeners()
  }

  async #untilClosed<Value>(
    signal: AbortSignal | undefined,
    step: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    const closing = this.#closing.signal
    if (closing.aborted) throw new QMeshError('QM_NODE_STOPPED')
    const done = step(AbortSignal.any(signal ? [signal, closing] : [closing]))
    this.#underWay.add(done)
    try {
      return await done
    } catch (error) {
      throw closing.aborted && signal?.aborted !== true ? toQMeshError(closing.reason) : error
    } finally {
      this.#underWay.delete(done)
    }
  }

  async #toPulled({ hash, bytes, path, manifest }: StoredModel, wasHere: boolean): Promise<PulledModel> {
    await this.serving?.update()
    const isServed = this.serving?.serves(manifest.id, hash) ?? false
    return { id: manifest.id, hash, bytes, path, wasHere, isServed }
  }

  /** What peers are told under a name: of what somebody answers for, and of any file that is here by its hash. */
  #known(name: string): readonly ModelManifest[] {
    const { store, catalogFiles } = this.#options.library
    const stored = modelHashSchema.safeParse(name).success ? store.get(name) : undefined
    if (stored) return this.#asFound(stored)
    return catalogFiles.catalog
      .about(name)
      .flatMap(({ manifest }) => (manifest.publisher === null ? [] : [manifest]))
  }

  /** What is known for sure of a file that is here; nothing before it is offered, for nobody could fetch it. */
  #asFound({ hash, bytes, manifest }: StoredModel): readonly ModelManifest[] {
    if (manifest.publisher !== null) return [manifest]
    const core = this.#manager.seeds().find((seed) => seed.hash === hash)?.core
    if (core === undefined) return []
    return [{ ...manifest, artifact: { bytes, sha256: hash, core }, sources: [{ kind: 'peers' }] }]
  }

  #pullBy(manifest: ModelManifest, options: PullOptions): Promise<StoredModel> {
    return this.#manager.pull(manifest, {
      ...options,
      onProgress: (progress) => {
        options.onProgress?.(progress)
        this.emit('progress', progress)
      },
      onSourceFailed: (failed) => {
        options.onSourceFailed?.(failed)
        this.emit('sourceFailed', manifest.id, failed)
      },
    })
  }

  /** A file that nobody answers for is loaded once where it can do no harm, before anybody else loads it. */
  async #welcome({ hash, path, manifest }: StoredModel, signal: AbortSignal | undefined): Promise<void> {
    const { library } = this.#options
    const isTrusted = library.catalogFiles.catalog.isTrusted(manifest.publisher)
    if (!isTrusted) {
      try {
        await library.trial.check(path, hash, signal)
      } catch (error) {
        // A machine without room for a trial says nothing against what was fetched.
        if (toQMeshError(error).code === 'QM_MODEL_INVALID') await library.store.remove(hash)
        throw error
      }
    }
    await library.prune(undefined, new Set([hash]))
  }
}
