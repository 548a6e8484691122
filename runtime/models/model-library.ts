import { EventEmitter } from 'node:events'
import { join, resolve } from 'node:path'
import { CatalogFiles } from '../../actors/models/catalog/catalog-files.ts'
import { checkGgufFile } from '../../actors/inference/gguf/header.ts'
import { toGgufKind } from '../../actors/inference/gguf/model-kind.ts'
import { FileTrial } from '../../actors/models/facts/file-trial.ts'
import { readMemoryNeeds } from '../../actors/models/facts/memory-needs.ts'
import { treeOfLeaves } from '../../actors/models/seeding/build-tree.ts'
import { SpeedFile } from '../../actors/models/facts/speed-file.ts'
import { toCoreKey } from '../../actors/models/seeding/static-core.ts'
import { availableMemoryBytes } from '../../actors/inference/memory.ts'
import type { HashCachePort } from '../../actors/inference/hash-cache.port.ts'
import { ModelStore } from '../../actors/models/store/model-store.ts'
import type {
  AdoptMode,
  BrokenModel,
  StoredModel,
  Verification,
  VerifyOptions,
} from '../../actors/models/store/stored-model.ts'
import { estimateNeeds, fitModel, type Fit } from '../../machines/models/fit.ts'
import { speedOf } from '../../machines/models/speed.ts'
import { searchModels } from '../../machines/models/search.ts'
import { builtInModelId, QMeshError, type ModelHash, type PeerId } from '../../protocol/index.ts'
import {
  type CatalogDocument,
  type ModelManifest,
  parseManifest,
  signManifest,
} from '../../protocol/models/index.ts'
import type { TrustSigner } from '../../protocol/trust/index.ts'
import { type AddedModel, toAddedManifest } from './added-manifest.ts'
import { ModelNames } from './model-names.ts'
import { findBuiltInModel } from '../built-in-model.ts'
import { packageFile } from '../package-file.ts'
import {
  type CatalogSource,
  catalogView,
  standingOf,
  storedView,
  type ModelInfo,
  type ModelStanding,
  type ModelView,
} from './model-views.ts'
import { Publishers } from './publishers.ts'

export interface ModelLibraryOptions {
  /** Folder of the store, the catalog and the list of trusted publishers. */
  readonly dir: string
  /** Bytes that the files of the store may take; absent: no limit. */
  readonly limitBytes?: number | undefined
  /** Of the configuration, the most trusted first; the list of `trust` comes behind it. */
  readonly publishers?: readonly PeerId[] | undefined
  /** The node's own key, which is always trusted. */
  readonly ownKey?: PeerId | undefined
  /** Learns the hash of each new file. */
  readonly hashCache?: HashCachePort | undefined
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined
}

export interface AddOptions extends AddedModel, VerifyOptions {
  /** Default `reference`: the file stays where it is. */
  readonly how?: AdoptMode | undefined
  readonly isPinned?: boolean | undefined
  /** Whether the engine loads it once in a process of its own; default true. */
  readonly isTried?: boolean | undefined
}

export interface CacheReport {
  readonly dir: string
  /** Bytes of the files in the store. */
  readonly bytes: number
  readonly limitBytes: number | null
  readonly models: number
  /** Files that lie elsewhere, and their bytes. */
  readonly references: { readonly count: number; readonly bytes: number }
  readonly unfinished: { readonly count: number; readonly bytes: number }
  readonly quarantined: { readonly count: number; readonly bytes: number }
}

export interface ModelLibraryEvents {
  added: [model: ModelView]
  removed: [model: ModelView]
  verified: [hash: ModelHash, result: Verification]
  /** Manifests came, or publishers were trusted or not any more. */
  catalog: []
  /** What this node can pass on of catalogs is other than before: it published, or trusts others. */
  published: []
  /** What other processes changed was read. */
  refreshed: []
}

/** The models of this machine and those it knows of: what `qmesh-node models` does, as functions. */
export class ModelLibrary extends EventEmitter<ModelLibraryEvents> {
  readonly store: ModelStore
  readonly catalogFiles: CatalogFiles
  readonly trial: FileTrial
  /** How fast models answered here. */
  readonly speeds: SpeedFile
  readonly names: ModelNames
  readonly #publishers: Publishers
  readonly #configured: readonly PeerId[]

  private constructor(
    store: ModelStore,
    catalogFiles: CatalogFiles,
    trial: FileTrial,
    publishers: Publishers,
    configured: readonly PeerId[],
  ) {
    super()
    this.store = store
    this.catalogFiles = catalogFiles
    this.trial = trial
    this.speeds = new SpeedFile(join(store.dir, 'speeds.json'))
    this.names = new ModelNames(store, catalogFiles.catalog)
    this.#publishers = publishers
    this.#configured = configured
  }

  /** @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_CONFIG_INVALID` */
  static async open(options: ModelLibraryOptions): Promise<ModelLibrary> {
    const { dir, limitBytes, hashCache, log, ownKey, publishers = [] } = options
    const store = await ModelStore.open({ dir, limitBytes, hashCache, log })
    const added = new Publishers(dir)
    const configured = [...(ownKey === undefined ? [] : [ownKey]), ...publishers]
    const catalogFiles = await CatalogFiles.open({
      builtInDir: packageFile('models/catalog'),
      dir: join(dir, 'catalog'),
      publishers: [...new Set([...configured, ...(await added.list())])],
      log,
    })
    const trial = new FileTrial({ dir: join(dir, 'trials') })
    return new ModelLibrary(store, catalogFiles, trial, added, configured)
  }

  /** Every model of this machine, those whose file is broken too, by id. */
  list(): readonly ModelView[] {
    const models: readonly (StoredModel | BrokenModel)[] = [...this.store.list(), ...this.store.broken()]
    return models.map((model) => this.#view(model)).toSorted(byId)
  }

  /** Models here and in the catalogs for some words; without words all of them, and near names where nothing fits. */
  search(query = ''): readonly ModelView[] {
    const here = this.list()
    const hashes = new Set(here.map(({ hash }) => hash))
    const ids = new Set(here.map(({ id }) => id))
    const isHere = (id: string, hash: string | null): boolean =>
      hash === null ? ids.has(id) : hashes.has(hash)
    const known = this.catalogFiles.catalog
      .list()
      .filter(({ manifest }) => !isHere(manifest.id, manifest.artifact.sha256))
      .map((entry) => ({
        manifest: entry.manifest,
        view: catalogView(entry, this.#catalogOf(entry.manifest)),
      }))
    const stored = [...this.store.list(), ...this.store.broken()].map((model) => ({
      manifest: model.manifest,
      view: this.#view(model),
    }))
    return searchModels([...stored, ...known], query).map(({ view }) => view)
  }

  /**
   * Reads what other processes changed: a command beside a running node adds models and trusts publishers, too.
   *
   * @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_CONFIG_INVALID`
   */
  async refresh(): Promise<void> {
    await this.store.refresh()
    await this.catalogFiles.refresh()
    const publishers = await this.publishers()
    if (!this.catalogFiles.catalog.trusts(publishers)) await this.#trustAll()
    else this.emit('published')
    this.emit('refreshed')
  }

  /** A sound model of this machine; see `ModelNames.find`. */
  find(name: string): StoredModel | undefined {
    return this.names.find(name)
  }

  /**
   * What a name means: a model that is here, or one to be fetched, because its publisher counts more than that of the
   * one that is here, or has a later version of it. Undefined when nobody here knows the name.
   */
  async resolve(
    name: string,
  ): Promise<{ readonly stored: StoredModel } | { readonly manifest: ModelManifest } | undefined> {
    const { catalog } = this.catalogFiles
    const stored = this.find(name)
    const entry = this.names.known(name)
    if (!entry) return stored && { stored }
    if (stored && !catalog.isAbove(entry, stored)) return { stored }
    const { manifest } = entry
    const same = manifest.artifact.sha256 === null ? undefined : this.store.get(manifest.artifact.sha256)
    if (!same) return { manifest }
    // The file is here under another name or an older version: what is said of it now counts.
    await this.store.describe(same.hash, manifest)
    return { stored: this.store.get(same.hash) ?? same }
  }

  /** The owner chose a file by where it is: from now on its id means this one, and it is what the file says. */
  async own(hash: ModelHash): Promise<void> {
    const stored = this.store.get(hash)
    if (!stored) return
    const manifest = { ...stored.manifest, kind: toGgufKind(checkGgufFile(stored.path)), facts: stored.facts }
    await this.catalogFiles.offer(await this.#pinHash({ ...stored, manifest }), 'own')
    this.emit('catalog')
  }

  /**
   * What is known of one model, and whether it fits this machine.
   *
   * @param name id, hash, or the first eight or more characters of a hash
   * @throws QMeshError `QM_MODEL_NOT_FOUND` with names that are near
   */
  async info(name: string): Promise<ModelInfo> {
    const info = await this.#info(name)
    return { ...info, speed: speedOf(info, await this.speeds.list()) }
  }

  async #info(name: string): Promise<Omit<ModelInfo, 'speed'>> {
    const stored = this.names.findAny(name)
    if (stored) {
      const view = this.#view(stored)
      const damaged = 'damaged' in stored ? stored.damaged : []
      const fit = view.state === 'sound' ? await measureFit(stored.path) : undefined
      return { ...view, manifest: stored.manifest, fit, damaged }
    }
    const entry = this.names.known(name)
    if (!entry && name === builtInModelId) return builtInInfo()
    if (!entry) throw this.names.unknown(name)
    const { facts, artifact } = entry.manifest
    const needs = estimateNeeds(facts, artifact.bytes)
    const fit = needs.length > 0 ? fitModel(needs, await availableMemoryBytes(), true) : undefined
    return {
      ...catalogView(entry, this.#catalogOf(entry.manifest)),
      manifest: entry.manifest,
      fit,
      damaged: [],
    }
  }

  /**
   * Makes a GGUF file of this machine one of its models.
   *
   * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_INVALID`,
   *   `QM_MANIFEST_INVALID`, `QM_MODEL_BUSY`, `QM_DISK_FULL`
   */
  async add(path: string, options: AddOptions = {}): Promise<ModelView> {
    const { how = 'reference', isTried = true, isPinned = false, signal } = options
    const file = resolve(path)
    const manifest = await toAddedManifest(file, options)
    const remember = isTried ? await this.trial.checkNew(file, signal) : undefined
    const stored = await this.store.adopt(file, manifest, how, options)
    await remember?.(stored.hash)
    await this.catalogFiles.offer(await this.#pinHash(stored), 'own')
    if (isPinned) await this.store.pin(stored.hash, true)
    await this.prune(undefined, new Set([stored.hash]))
    const view = this.#view(this.store.get(stored.hash) ?? stored)
    this.emit('added', view)
    this.emit('catalog')
    return view
  }

  /**
   * Reads a model from end to end.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND`
   */
  async verify(name: string, options: VerifyOptions = {}): Promise<Verification> {
    const { hash } = this.names.here(name)
    const result = await this.store.verify(hash, options)
    this.emit('verified', hash, result)
    return result
  }

  /**
   * Its name is free again, unless the owner's word says where it can be had.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND`; `QM_MODEL_BUSY` while a node has it loaded
   */
  async remove(name: string): Promise<ModelView> {
    const model = this.names.here(name)
    const view = this.#view(model)
    await this.store.remove(model.hash)
    const entry = this.names.known(model.manifest.id)
    if (entry?.origin === 'own' && isOnlyOf(entry.manifest, model.hash)) {
      await this.catalogFiles.forget(entry.manifest.id)
      this.emit('catalog')
    }
    this.emit('removed', view)
    return view
  }

  /** @throws QMeshError `QM_MODEL_NOT_FOUND` */
  async pin(name: string, isPinned: boolean): Promise<ModelView> {
    const { hash } = this.names.here(name)
    await this.store.pin(hash, isPinned)
    const model = this.names.here(hash)
    return this.#view(model)
  }

  /**
   * Signs the manifest of a model of this machine, with its size, its hash and the key of its blocks: what others need
   * to fetch it and to know whose word it is.
   *
   * @param changes what else the manifest shall say; its version is one higher than before unless it is given
   * @throws QMeshError `QM_MODEL_NOT_FOUND`, `QM_MODEL_DAMAGED`, `QM_MANIFEST_INVALID`
   */
  async sign(
    name: string,
    signer: TrustSigner,
    changes: Partial<Pick<ModelManifest, 'version' | 'name' | 'description' | 'licence' | 'sources'>> = {},
  ): Promise<ModelManifest> {
    const { hash, bytes, facts, manifest } = this.names.sound(name)
    const core = toCoreKey(treeOfLeaves(bytes, await this.store.blockHashes(hash))) ?? null
    const isOwn = manifest.publisher === signer.id
    const draft = {
      ...manifest,
      version: isOwn ? manifest.version + 1 : manifest.version,
      sources: manifest.sources.some(({ kind }) => kind === 'peers')
        ? manifest.sources
        : [{ kind: 'peers' }, ...manifest.sources.filter(({ kind }) => kind !== 'file')],
      ...changes,
      facts,
      artifact: { bytes, sha256: hash, core },
      publisher: null,
      signature: null,
    }
    const signed = signManifest(parseManifest(draft, `of "${manifest.id}"`), signer)
    await this.store.describe(hash, signed)
    await this.catalogFiles.offer(signed, 'own')
    // The list of a key that does not count here is no matter of this machine.
    if (this.catalogFiles.catalog.isTrusted(signer.id)) {
      await this.catalogFiles.publish(signer, (models) => [
        ...models.filter(({ id }) => id !== signed.id),
        signed,
      ])
      this.emit('published')
    }
    this.emit('catalog')
    return signed
  }

  /**
   * Takes a model out of the catalog of the signer: peers forget that it was published. Its file stays wherever it is.
   *
   * @returns the new catalog
   * @throws QMeshError `QM_MODEL_NOT_FOUND` for one that is not in it
   */
  async withdraw(name: string, signer: TrustSigner): Promise<CatalogDocument> {
    const wanted = this.names.findAny(name)?.manifest.id ?? name
    const catalog = await this.catalogFiles.publish(signer, (models) => {
      const others = models.filter(({ id }) => id !== wanted)
      if (others.length < models.length) return others
      throw new QMeshError('QM_MODEL_NOT_FOUND', `"${wanted}" is not in the catalog of ${signer.id}`)
    })
    this.emit('published')
    this.emit('catalog')
    return catalog
  }

  /** What the newest catalog of each trusted publisher that was heard of has: its version, and how many models. */
  catalogs(): readonly { readonly publisher: PeerId; readonly version: number; readonly models: number }[] {
    return this.catalogFiles.catalog.published
      .list()
      .map(({ publisher, version, manifests }) => ({ publisher, version, models: manifests.size }))
  }

  /** Keys that are trusted, the most trusted first. */
  async publishers(): Promise<readonly PeerId[]> {
    return [...new Set([...this.#configured, ...(await this.#publishers.list())])]
  }

  /** @throws QMeshError `QM_USAGE` for what is no key */
  async trust(key: PeerId): Promise<void> {
    await this.#publishers.add(key)
    await this.#trustAll()
  }

  /**
   * What that publisher said is forgotten; models stay.
   *
   * @throws QMeshError `QM_USAGE` for a key that was not added by `trust`
   */
  async distrust(key: PeerId): Promise<void> {
    if (!(await this.#publishers.remove(key))) {
      const isConfigured = this.#configured.includes(key)
      throw new QMeshError(
        'QM_USAGE',
        isConfigured
          ? `${key} is trusted by the configuration, or is this node's own key; take it out there`
          : `"${key.slice(0, 80)}" is not among the trusted publishers`,
      )
    }
    await this.#trustAll()
  }

  async cache(): Promise<CacheReport> {
    await this.store.refresh()
    const models = [...this.store.list(), ...this.store.broken()]
    const own = models.filter(({ isReference }) => !isReference)
    const references = models.filter(({ isReference }) => isReference)
    return {
      dir: this.store.dir,
      bytes: sum(own),
      limitBytes: this.store.limitBytes ?? null,
      models: own.length,
      references: toTotal(references),
      unfinished: toTotal(await this.store.unfinished()),
      quarantined: toTotal(await this.store.quarantine.list()),
    }
  }

  /**
   * Makes room: what was not used for longest goes, never what is pinned, loaded or lies elsewhere.
   *
   * @param limitBytes default: that of the configuration; without one nothing goes
   * @param keep what does not go either
   */
  async prune(limitBytes?: number, keep: ReadonlySet<ModelHash> = new Set()): Promise<readonly ModelView[]> {
    const pruned = await this.store.prune({ keep, limitBytes })
    const views = pruned.map((model) => this.#view(model))
    for (const view of views) this.emit('removed', view)
    return views
  }

  /** Removes what was begun and nobody works on, and what failed a check. */
  async clear(): Promise<void> {
    for (const { key } of await this.store.unfinished()) {
      await this.store.discardUnfinished(key).catch((error: unknown) => {
        if (!(error instanceof QMeshError && error.code === 'QM_MODEL_BUSY')) throw error
      })
    }
    await this.store.quarantine.clear()
  }

  async close(): Promise<void> {
    await this.speeds.save()
    await this.store.close()
    this.removeAllListeners()
  }

  /** What was not known of a file that nobody has signed is known now. */
  async #pinHash({ hash, bytes, manifest }: StoredModel): Promise<ModelManifest> {
    if (manifest.publisher !== null || manifest.artifact.sha256 !== null) return manifest
    const pinned = { ...manifest, artifact: { ...manifest.artifact, bytes, sha256: hash } }
    await this.store.describe(hash, pinned)
    return pinned
  }

  async #trustAll(): Promise<void> {
    await this.catalogFiles.trust(await this.publishers())
    this.emit('published')
    this.emit('catalog')
  }

  #view(model: StoredModel | BrokenModel): ModelView {
    return storedView(model, this.#standing(model.manifest), this.#catalogOf(model.manifest))
  }

  #catalogOf(manifest: ModelManifest): CatalogSource | null {
    const held = this.catalogFiles.catalog.catalogOf(manifest)
    return held ? { publisher: held.publisher, version: held.version } : null
  }

  #standing(manifest: ModelManifest): ModelStanding {
    const { catalog } = this.catalogFiles
    if (catalog.isTrusted(manifest.publisher)) return 'trusted'
    const entry = catalog.list().find((known) => known.manifest.id === manifest.id)
    if (entry && entry.manifest.publisher === manifest.publisher) return standingOf(entry)
    return manifest.publisher === null ? 'unsigned' : 'signed'
  }
}

/** Whether a manifest only says what a file is called that was added here, and not where another one could come from. */
const isOnlyOf = ({ artifact: { sha256, core }, sources }: ModelManifest, hash: ModelHash): boolean =>
  sha256 === hash && core === null && sources.every(({ kind }) => kind === 'peers')

/** It is served without being kept here: nobody added or fetched it, and nobody can remove it. */
async function builtInInfo(): Promise<Omit<ModelInfo, 'speed'>> {
  const model = await findBuiltInModel()
  const view = { ...storedView(model, 'built-in', null), usedAtMs: null }
  return { ...view, manifest: model.manifest, fit: await measureFit(model.path), damaged: [] }
}

async function measureFit(path: string): Promise<Fit> {
  return fitModel(await readMemoryNeeds(path), await availableMemoryBytes())
}

const sum = (items: readonly { readonly bytes: number }[]): number =>
  items.reduce((total, { bytes }) => total + bytes, 0)
const toTotal = (items: readonly { readonly bytes: number }[]) => ({ count: items.length, bytes: sum(items) })
const byId = (a: ModelView, b: ModelView): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
