import { EventEmitter } from 'node:events'
import { dirname, resolve } from 'node:path'
import type { NoiseStream } from 'hyperswarm'
import { readManifestFile } from '../../actors/models/catalog/catalog-files.ts'
import { CatalogSharing } from '../../actors/models/channel/catalog-sharing.ts'
import { modelsCapability } from '../../actors/models/channel/models-channel.ts'
import { ModelManager } from '../../actors/models/fetch/model-manager.ts'
import { repairModel } from '../../actors/models/fetch/repair.ts'
import { CoreExchange, type JoinTopic } from '../../actors/models/seeding/core-exchange.ts'
import type { SourceOptions } from '../../actors/models/sources/index.ts'
import type { StoredModel } from '../../actors/models/store/stored-model.ts'
import type { SeedPauseReason } from '../../machines/models/seeder.machine.ts'
import {
  type ErrorCode,
  type Hello,
  modelHashSchema,
  type ModelHash,
  type PeerId,
  QMeshError,
  toQMeshError,
  toModelId,
} from '../../protocol/index.ts'
import { type ModelManifest, type ModelSource, parseManifest } from '../../protocol/models/index.ts'
import type { TrustSigner } from '../../protocol/trust/index.ts'
import type { ModelLibrary } from './model-library.ts'
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
  /** Models are taken from these peers only; absent, from any: every block is proven. */
  readonly seeders?: ReadonlySet<PeerId> | undefined
  /** Whether models are offered as soon as they are here; default true with a network. */
  readonly seeds?: boolean | undefined
  readonly sources?: Pick<SourceOptions, 'hf' | 'ipfs' | 'stallMs'> | undefined
  /** Milliseconds that peers have to say what they know of a model that nobody here knows. */
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
  /** Manifests came from others. */
  catalog: []
}

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
  #leaveMeeting: (() => void) | undefined

  constructor(options: ModelTransferOptions) {
    super()
    const { library, joinTopic, onViolation } = options
    this.library = library
    this.#options = options
    const { catalog } = library.catalogFiles
    this.#exchange =
      joinTopic &&
      new CoreExchange({
        joinTopic,
        uploadBytesPerSecond: options.uploadBytesPerSecond,
        downloadBytesPerSecond: options.downloadBytesPerSecond,
        seeders: options.seeders,
        onLie: (peerId) =>
          onViolation?.(peerId, 'QM_EVIDENCE_INVALID', 'it sent bytes that are not in the model'),
      })
    this.#sharing = new CatalogSharing({
      catalog: {
        held: () => catalog.list().flatMap(({ manifest, isTrusted }) => (isTrusted ? [manifest] : [])),
        find: (name) => this.#known(name),
        offer: (manifest) => library.catalogFiles.offer(manifest, 'network'),
      },
      ...(onViolation && { onViolation }),
      onNews: () => {
        library.emit('catalog')
        this.emit('catalog')
      },
    })
    this.#manager = new ModelManager({
      store: library.store,
      exchange: this.#exchange,
      sources: options.sources,
      downloadBytesPerSecond: options.downloadBytesPerSecond,
      onSeedEnded: (hash, reason) => this.emit('seedEnded', hash, reason),
    })
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
    if (this.#options.seeds === false || !this.#exchange) return
    const models = this.library.store.list()
    if (models.length > 0) this.#meet()
    for (const { hash } of models) this.#manager.seed(hash)
  }

  /** Who neither has nor wants a model need not be found for its sake. */
  #meet(): void {
    const { joinTopic, meetingTopic } = this.#options
    this.#leaveMeeting ??= meetingTopic && joinTopic?.(meetingTopic)
  }

  async pull(name: string, options: ModelPullOptions = {}): Promise<PulledModel> {
    const { library, seeds = true } = this.#options
    this.#meet()
    const found = await this.#resolve(name, options.signal)
    if ('stored' in found) {
      await this.#welcome(found.stored, options.signal)
      return toPulled(found.stored, true)
    }
    const { manifest, folder } = found
    const { sha256 } = manifest.artifact
    const before = sha256 === null ? undefined : library.store.get(sha256)
    const stored = await this.#manager.pull(manifest, {
      signal: options.signal,
      folder,
      onProgress: (progress) => {
        options.onProgress?.(progress)
        this.emit('progress', progress)
      },
      onSourceFailed: (failure) => {
        options.onSourceFailed?.(failure)
        this.emit('sourceFailed', manifest.id, failure)
      },
    })
    // One that is here, too: whoever fetched it may have been killed before it was tried.
    await this.#welcome(stored, options.signal)
    if (seeds) this.#manager.seed(stored.hash)
    const pulled = toPulled(stored, before !== undefined)
    this.emit('pulled', pulled)
    return pulled
  }

  async seed(names: readonly string[], giveBytesMax?: number): Promise<readonly SeedStatus[]> {
    const { store } = this.#options.library
    await store.refresh()
    if (!this.#exchange) {
      throw new QMeshError('QM_NODE_NOT_RUNNING', 'models are offered by a running node; start one with "up"')
    }
    this.#meet()
    const models =
      names.length === 0 ? store.list() : await Promise.all(names.map((name) => this.#find(name)))
    for (const { hash } of models) this.#manager.seed(hash, { giveBytesMax })
    return this.seeds()
  }

  async unseed(names: readonly string[]): Promise<readonly SeedStatus[]> {
    const seeds = await this.seeds()
    for (const name of names) {
      const seed = seeds.find(({ id, hash }) => id === name || hash.startsWith(name))
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

  async repair(name: string, options: ModelRepairOptions = {}): Promise<Repaired> {
    const { library, sources } = this.#options
    await library.store.refresh()
    const { hash } = await library.info(name)
    if (hash === null) throw new QMeshError('QM_MODEL_NOT_FOUND', `"${name}" is not on this machine`)
    return repairModel(hash, { store: library.store, exchange: this.#exchange, sources, ...options })
  }

  async publish(name: string, changes: PublishChanges = {}): Promise<Published> {
    const { library, signer } = this.#options
    if (!signer) throw new QMeshError('QM_KEYS_INVALID', 'there are no keys here to sign with')
    await library.store.refresh()
    const manifest = await library.sign(name, signer, changes)
    const { sha256, core } = manifest.artifact
    if (sha256 === null || core === null) throw new QMeshError('QM_INTERNAL')
    this.#meet()
    if (this.#exchange) this.#manager.seed(sha256)
    this.#sharing.announce([manifest])
    return {
      id: manifest.id,
      version: manifest.version,
      publisher: signer.id,
      hash: sha256,
      core,
      isOffered: this.#exchange !== undefined,
    }
  }

  /** Ends what is on its way, keeping what came, and offers nothing any more. */
  async close(): Promise<void> {
    this.#leaveMeeting?.()
    this.#sharing.close()
    await this.#manager.close()
    await this.#exchange?.close()
    for (const end of this.#connections) end()
    this.removeAllListeners()
  }

  /** What peers are told under a name: ids of what somebody answers for, and any file that is here by its hash. */
  #known(name: string): readonly ModelManifest[] {
    const { store, catalogFiles } = this.#options.library
    if (modelHashSchema.safeParse(name).success) {
      const stored = store.get(name)
      return stored ? this.#asFound(stored) : []
    }
    return catalogFiles.catalog
      .list()
      .flatMap(({ manifest }) => (manifest.id === name && manifest.publisher !== null ? [manifest] : []))
  }

  /** What is known for sure of a file that is here; nothing before it is offered, for nobody could fetch it. */
  #asFound({ hash, bytes, manifest }: StoredModel): readonly ModelManifest[] {
    if (manifest.publisher !== null) return [manifest]
    const core = this.#manager.seeds().find((seed) => seed.hash === hash)?.core
    if (core === undefined) return []
    return [{ ...manifest, artifact: { bytes, sha256: hash, core }, sources: [{ kind: 'peers' }] }]
  }

  async #find(name: string): Promise<StoredModel> {
    const { library } = this.#options
    const { hash } = await library.info(name)
    const stored = hash === null ? undefined : library.store.get(hash)
    if (stored) return stored
    throw new QMeshError('QM_MODEL_NOT_FOUND', `"${name}" is not on this machine, or its file is damaged`)
  }

  async #resolve(
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<{ stored: StoredModel } | { manifest: ModelManifest; folder?: string }> {
    const { library } = this.#options
    if (/\.json$/i.test(name)) {
      return { manifest: await readManifestFile(name), folder: dirname(resolve(name)) }
    }
    const direct = toDirectSource(name)
    if (direct) return { manifest: toUnverifiedManifest(name, direct) }
    await library.store.refresh()
    const stored = library.store.find(name)
    if (stored) return { stored }
    const known = this.#fromCatalog(name)
    if (known) return { manifest: known }
    const isHash = modelHashSchema.safeParse(name).success
    const ask = AbortSignal.timeout(this.#options.askMs ?? 20_000)
    const found = this.#exchange ? await this.#sharing.find(name, ask) : []
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
    const [manifest = this.#fromCatalog(name)] = isHash ? found : []
    if (manifest) return { manifest }
    // Says which names are near.
    await library.info(name)
    throw new QMeshError('QM_MODEL_NOT_FOUND', `nobody who was asked knows a model "${name}"`)
  }

  #fromCatalog(name: string): ModelManifest | undefined {
    const { catalog } = this.#options.library.catalogFiles
    const entry =
      catalog.resolve(name) ?? catalog.list().find(({ manifest }) => manifest.artifact.sha256 === name)
    return entry?.manifest
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
    await library.store.prune({ keep: new Set([hash]) })
  }
}

const toPulled = ({ hash, bytes, path, manifest }: StoredModel, wasHere: boolean): PulledModel => ({
  id: manifest.id,
  hash,
  bytes,
  path,
  wasHere,
})

/** `hf:owner/repo/file[@revision]`, or an address. */
function toDirectSource(name: string): ModelSource | undefined {
  const hf = /^hf:([^/]+\/[^/]+)\/([^@]+)(?:@(.+))?$/.exec(name)
  if (hf) return { kind: 'hf', repo: hf[1] ?? '', file: hf[2] ?? '', revision: hf[3] ?? 'main' }
  return /^https?:\/\//.test(name) ? { kind: 'https', url: name } : undefined
}

/** A manifest for a file of which nothing is known but where it is. @throws QMeshError `QM_MANIFEST_INVALID` */
function toUnverifiedManifest(name: string, source: ModelSource): ModelManifest {
  const file = decodeURIComponent(
    name
      .replace(/[?#@].*$/, '')
      .split('/')
      .at(-1) ?? '',
  )
  const unknown = { parameters: null, contextTokens: null, embeddingLength: null, hasChatTemplate: null }
  return parseManifest(
    {
      format: 1,
      id: toModelId(file || 'model.gguf'),
      version: 0,
      name: file.replace(/\.gguf$/i, '').slice(0, 100) || 'model',
      description: '',
      kind: 'chat',
      licence: 'other',
      tags: [],
      facts: { architecture: 'unknown', quantization: 'unknown', ...unknown },
      artifact: { bytes: null, sha256: null, core: null },
      sources: [source],
      publisher: null,
      signature: null,
    },
    name,
  )
}
