import { EventEmitter } from 'node:events'
import { dirname, resolve } from 'node:path'
import type { NoiseStream } from 'hyperswarm'
import { readManifestFile } from '../../actors/models/catalog/manifest-file.ts'
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
import {
  modelLimits,
  type ModelManifest,
  type ModelSource,
  parseManifest,
  toHearsayKey,
} from '../../protocol/models/index.ts'
import type { TrustSigner } from '../../protocol/trust/index.ts'
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
  /** Manifests or catalogs came from others. */
  catalog: []
  /** Something that the owner should know, and that no peer is to blame for. */
  warning: [message: string]
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
  /** What strangers said that led to a wrong file. */
  readonly #lies = new Set<string>()
  /** Given by a node that serves what is here. */
  serving: ServedModels | undefined
  #leaveMeeting: (() => void) | undefined
  #repairedBytes = 0
  #isStarted = false
  readonly #onPublished = (): void => {
    this.#meetForCatalogs()
    this.#sharing.changed()
  }

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
    this.#manager = new ModelManager({
      store: library.store,
      exchange: this.#exchange,
      sources: options.sources,
      downloadBytesPerSecond: options.downloadBytesPerSecond,
      onSeedEnded: (hash, reason) => this.emit('seedEnded', hash, reason),
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
    for (const { hash } of models) this.#manager.seed(hash)
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

  async pull(name: string, options: ModelPullOptions = {}): Promise<PulledModel> {
    const { library, seeds = true } = this.#options
    this.#meet()
    const found = await this.#resolve(name, options.signal)
    if ('stored' in found) {
      await this.#welcome(found.stored, options.signal)
      return this.#toPulled(found.stored, true)
    }
    const [{ artifact }] = found.manifests
    const before = artifact.sha256 === null ? undefined : library.store.get(artifact.sha256)
    const stored = await this.#fetch(found, options)
    // One that is here, too: whoever fetched it may have been killed before it was tried.
    await this.#welcome(stored, options.signal)
    if (found.isChosen) await library.own(stored.hash)
    if (seeds) this.#manager.seed(stored.hash)
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
    const models =
      names.length === 0 ? store.list() : await Promise.all(names.map((name) => this.#find(name)))
    for (const { hash } of models) this.#manager.seed(hash, { giveBytesMax })
    return this.seeds()
  }

  async unseed(names: readonly string[]): Promise<readonly SeedStatus[]> {
    const seeds = await this.seeds()
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

  async repair(name: string, options: ModelRepairOptions = {}): Promise<Repaired> {
    const { library, sources } = this.#options
    await library.refresh()
    const { hash } = await library.info(name)
    if (hash === null) throw new QMeshError('QM_MODEL_NOT_FOUND', `"${name}" is not on this machine`)
    const { store } = library
    const repaired = await repairModel(hash, { store, exchange: this.#exchange, sources, ...options })
    this.#repairedBytes += repaired.fetchedBytes
    return repaired
  }

  async publish(name: string, changes: PublishChanges = {}): Promise<Published> {
    const { library, signer } = this.#options
    if (!signer) throw new QMeshError('QM_KEYS_INVALID', 'there are no keys here to sign with')
    await library.refresh()
    const manifest = await library.sign(name, signer, changes)
    const { sha256, core } = manifest.artifact
    if (sha256 === null || core === null) throw new QMeshError('QM_INTERNAL')
    this.#meet()
    if (this.#exchange) this.#manager.seed(sha256)
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
    this.#leaveMeeting?.()
    this.#sharing.close()
    await this.#manager.close()
    await this.#exchange?.close()
    for (const end of this.#connections) end()
    this.removeAllListeners()
  }

  async #toPulled({ hash, bytes, path, manifest }: StoredModel, wasHere: boolean): Promise<PulledModel> {
    await this.serving?.update()
    const isServed = this.serving?.serves(hash) ?? false
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
  ): Promise<{ readonly stored: StoredModel } | Wanted> {
    const { library } = this.#options
    if (/\.json$/i.test(name)) {
      return { manifests: [await readManifestFile(name)], folder: dirname(resolve(name)) }
    }
    const direct = toDirectSource(name)
    if (direct) return { manifests: [toUnverifiedManifest(name, direct)], isChosen: true }
    await library.refresh()
    const known = await this.#here(name)
    if (known) return known
    const found = await this.#ask(name, signal)
    const isHash = modelHashSchema.safeParse(name).success
    const [first, ...others] = isHash ? found : []
    if (first) return { manifests: [first, ...others], isHearsay: true }
    const told = await this.#here(name)
    if (told) return told
    // Says which names are near.
    await library.info(name)
    throw new QMeshError('QM_MODEL_NOT_FOUND', `nobody who was asked knows a model "${name}"`)
  }

  /** What this machine knows under a name. */
  async #here(name: string): Promise<{ readonly stored: StoredModel } | Wanted | undefined> {
    const { library } = this.#options
    const found = await library.resolve(name)
    if (found && 'stored' in found) return found
    const hash = found ? found.manifest.artifact.sha256 : name
    const same = hash === null ? [] : library.catalogFiles.catalog.about(hash)
    const [first, ...others] = [
      ...(found ? [found.manifest] : []),
      ...same.flatMap(({ manifest }) =>
        manifest.artifact.sha256 === hash && manifest !== found?.manifest ? [manifest] : [],
      ),
    ]
    return first && { manifests: [first, ...others], isKnown: true }
  }

  /** What peers say of a name. @param isThorough all of them, and not only who answers first */
  async #ask(
    name: string,
    signal: AbortSignal | undefined,
    isThorough = false,
  ): Promise<readonly ModelManifest[]> {
    if (!this.#exchange) return []
    const patience = AbortSignal.timeout(this.#options.askMs ?? 20_000)
    const ends = signal ? AbortSignal.any([signal, patience]) : patience
    const found = await this.#sharing.find(name, ends, isThorough)
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
    return found
  }

  /**
   * Fetches a file by the first manifest that leads to it. Several may name the same SHA-256 with other sources, and
   * one of them may be a lie; what came by one that is known here is kept for the next of these.
   */
  async #fetch(
    { manifests, folder, isKnown = false, isHearsay = false }: Wanted,
    options: ModelPullOptions,
  ): Promise<StoredModel> {
    const { store } = this.library
    const [named] = manifests
    const { sha256 } = named.artifact
    const tried = new Set<string>()
    /** What strangers' words may have left on the disk. */
    const begun = new Set<string>()
    let failure: unknown
    /** Ways that brought bytes and not the file. One that brought nothing cost a moment only. */
    let costly = 0
    const attempt = async (manifest: ModelManifest, isTold: boolean): Promise<StoredModel | undefined> => {
      const way = JSON.stringify([manifest.artifact, manifest.sources])
      if (tried.has(way) || this.#lies.has(way)) return undefined
      if (tried.size >= modelLimits.manifestsTriedMax || costly >= modelLimits.manifestsCostlyMax)
        return undefined
      tried.add(way)
      if (isTold) begun.add(toHearsayKey(manifest.artifact))
      let hasBytes = false
      try {
        return await this.#manager.pull(manifest, {
          signal: options.signal,
          folder,
          isHearsay: isTold,
          onProgress: (progress) => {
            hasBytes ||= progress.doneBytes > 0
            options.onProgress?.(progress)
            this.emit('progress', progress)
          },
          onSourceFailed: (failed) => {
            options.onSourceFailed?.(failed)
            this.emit('sourceFailed', manifest.id, failed)
          },
        })
      } catch (error) {
        const { code } = toQMeshError(error)
        // A stranger may claim any size.
        const isLie = code === 'QM_DISK_FULL' && !isKnown
        if (sha256 === null || !(isLie || mayHelp.has(code))) throw error
        if (hasBytes || code === 'QM_MODEL_INVALID') costly++
        if (isTold && code === 'QM_MODEL_INVALID') this.#noteLie(way)
        // The first is that of whoever counts most.
        failure ??= error
        return undefined
      }
    }
    const ways = async (all: readonly ModelManifest[], isTold: boolean): Promise<StoredModel | undefined> => {
      for (const manifest of all) {
        const stored = await attempt(manifest, isTold)
        if (!stored) continue
        // The way was another's; what the model is called and who answers for it was known before.
        if (isKnown && manifest !== named) await store.describe(stored.hash, named)
        return store.get(stored.hash) ?? stored
      }
      return undefined
    }
    const stored =
      (await ways(manifests, isHearsay)) ??
      (sha256 === null ? undefined : await ways(await this.#ask(sha256, options.signal, true), true))
    if (!stored)
      throw (
        failure ?? new QMeshError('QM_SOURCE_FAILED', `all that peers say of ${sha256} proved wrong before`)
      )
    for (const key of begun) await store.discardUnfinished(key).catch(() => undefined)
    return stored
  }

  /** What a stranger said led to a wrong file: it is not believed again, and others get their turn. */
  #noteLie(way: string): void {
    const [oldest] = this.#lies
    if (this.#lies.size >= modelLimits.liesMax && oldest !== undefined) this.#lies.delete(oldest)
    this.#lies.add(way)
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

/** What is to be fetched. */
interface Wanted {
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

/** `hf:owner/repo/file[@revision]`, or an address. */
function toDirectSource(name: string): ModelSource | undefined {
  const hf = /^hf:([^/]+\/[^/]+)\/([^@]+)(?:@(.+))?$/.exec(name)
  if (hf) return { kind: 'hf', repo: hf[1] ?? '', file: hf[2] ?? '', revision: hf[3] ?? 'main' }
  return /^https?:\/\//.test(name) ? { kind: 'https', url: name } : undefined
}

/** @throws QMeshError `QM_USAGE` for an address whose escapes stand for nothing */
function toFileName(address: string): string {
  const last = address
    .replace(/[?#@].*$/, '')
    .split('/')
    .at(-1)
  try {
    return decodeURIComponent(last ?? '')
  } catch (error) {
    throw new QMeshError(
      'QM_USAGE',
      `"${address.slice(0, 200)}" is no address: a "%" must be followed by two hex digits of UTF-8, and stands for itself as "%25"`,
      { cause: error },
    )
  }
}

/** A manifest for a file of which nothing is known but where it is. @throws QMeshError `QM_MANIFEST_INVALID` */
function toUnverifiedManifest(name: string, source: ModelSource): ModelManifest {
  const file = toFileName(name)
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
