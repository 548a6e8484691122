import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { type CatalogChange, type ManifestOrigin, ModelCatalog } from '../../../machines/models/catalog.ts'
import type { PublishedChange } from '../../../machines/models/published-catalogs.ts'
import { QMeshError, type ModelId, type PeerId } from '../../../protocol/index.ts'
import {
  type CatalogDocument,
  encodeCatalog,
  isLocalSource,
  modelLimits,
  signCatalog,
  type ModelManifest,
} from '../../../protocol/models/index.ts'
import type { TrustSigner } from '../../../protocol/trust/index.ts'
import { readManifestFile } from './manifest-file.ts'
import { PublishedFiles } from './published-files.ts'

export interface CatalogFilesOptions {
  /** Folder of the manifests that come with the package. */
  readonly builtInDir: string | undefined
  /** Folder of everything else; created when missing. */
  readonly dir: string
  /** The most trusted first. */
  readonly publishers: readonly PeerId[]
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined
}

type Log = NonNullable<CatalogFilesOptions['log']>

/**
 * The catalog of this machine with its files: `own/<id>.json`, `network/<publisher>-<id>.json` for single manifests of
 * others, and `published/` with the newest catalog of each publisher.
 */
export class CatalogFiles {
  readonly catalog: ModelCatalog
  readonly published: PublishedFiles
  readonly #dir: string
  readonly #log: Log
  #latest: Promise<unknown> = Promise.resolve()

  private constructor(dir: string, catalog: ModelCatalog, published: PublishedFiles, log: Log) {
    this.#dir = dir
    this.catalog = catalog
    this.published = published
    this.#log = log
  }

  /** A file that is damaged or forged is left out with a line in the log, one of nobody who is trusted without. */
  static async open(options: CatalogFilesOptions): Promise<CatalogFiles> {
    const { builtInDir, dir, publishers, log = () => undefined } = options
    const published = await PublishedFiles.open(join(dir, 'published'))
    const files = new CatalogFiles(dir, new ModelCatalog(publishers), published, log)
    for (const folder of ['own', 'network']) await mkdir(join(dir, folder), { recursive: true, mode: 0o700 })
    const folders: readonly (readonly [string | undefined, ManifestOrigin])[] = [
      [builtInDir, 'built-in'],
      [join(dir, 'own'), 'own'],
      [join(dir, 'network'), 'network'],
    ]
    for (const [folder, origin] of folders) if (folder !== undefined) await files.#load(folder, origin, log)
    await files.#loadPublished()
    return files
  }

  /**
   * Takes in a manifest and keeps it. The owner's own replace what they had before, whatever its version.
   *
   * @returns what became of it; never throws for a manifest that is refused
   */
  offer(manifest: ModelManifest, origin: Exclude<ManifestOrigin, 'built-in'>): Promise<CatalogChange> {
    return this.#inTurn(async () => {
      const change = this.catalog.offer(manifest, origin)
      // What a publisher says as well is the owner's word from now on, too: without a file it would count as taken back.
      if (change.kind !== 'refused' && (change.kind !== 'known' || origin === 'own'))
        await writeFileAtomically(this.#path(manifest, origin), `${JSON.stringify(manifest, null, 2)}\n`)
      return change
    })
  }

  /** Reads what was said and taken back meanwhile, by a command beside a running node or by another node. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      const folder = join(this.#dir, 'own')
      const names = new Set(await readdir(folder))
      for (const { manifest, origin } of this.catalog.list())
        if (origin === 'own' && !names.has(`${manifest.id}.json`)) this.catalog.forget(manifest.id)
      await this.#load(folder, 'own')
      await this.#loadPublished()
    })
  }

  /** Forgets what the owner said of a model. */
  forget(id: ModelId): Promise<void> {
    return this.#inTurn(async () => {
      await rm(join(this.#dir, 'own', `${id}.json`), { force: true })
      this.catalog.forget(id)
    })
  }

  /**
   * Takes in all that a publisher publishes, and keeps it.
   *
   * @returns what became of it; never throws for a catalog that is refused
   */
  async offerCatalog(document: CatalogDocument): Promise<PublishedChange> {
    let change: PublishedChange = { kind: 'known' }
    await this.published.change(async () => {
      await this.#loadPublished()
      change = this.catalog.judgeCatalog(document)
      return change.kind === 'taken' ? document : undefined
    })
    // Only now: what is told to peers must be what they are given, and that is read from the disk.
    if (change.kind === 'taken') this.#take(document)
    return change
  }

  /**
   * Signs a new version of the signer's own catalog. A manifest that names a server of this machine has no place in it.
   *
   * @param next what is in it, from what was
   * @throws QMeshError `QM_MANIFEST_INVALID` for one out of bounds
   */
  async publish(
    signer: TrustSigner,
    next: (models: readonly ModelManifest[]) => readonly ModelManifest[],
  ): Promise<CatalogDocument> {
    let signed: CatalogDocument | undefined
    await this.published.change(async () => {
      await this.#loadPublished()
      const held = this.catalog.published.of(signer.id)
      const before = held?.hash ? await this.published.read(signer.id) : undefined
      const models = next(before?.models ?? this.#signedBy(signer.id))
      const fit = models.filter(({ sources }) => !sources.some(isLocalSource))
      signed = signCatalog({ version: (held?.version ?? 0) + 1, models: fit }, signer)
      encodeCatalog(signed)
      const change = this.catalog.judgeCatalog(signed)
      if (change.kind === 'refused') throw new QMeshError(change.code, change.reason)
      return signed
    })
    if (!signed) throw new QMeshError('QM_INTERNAL', 'a catalog was signed and is not there')
    this.#take(signed)
    return signed
  }

  /** Trusts these and no others, the most trusted first. */
  async trust(publishers: readonly PeerId[]): Promise<void> {
    this.catalog.trust(publishers)
    await this.#loadPublished()
  }

  /** One after the other: what is in memory and not yet on the disk must not count as taken back. */
  #inTurn<Value>(step: () => Promise<Value>): Promise<Value> {
    const done = this.#latest.then(step)
    this.#latest = done.catch(() => undefined)
    return done
  }

  #take(document: CatalogDocument): PublishedChange {
    const { leftOut = 0, ...change } = this.catalog.offerCatalog(document)
    const { length } = document.models
    if (leftOut > 0)
      this.#log(
        'warn',
        `${leftOut} of ${length} models in the catalog of ${document.publisher} are left out: ` +
          `no more than ${modelLimits.knownModelsMax} are kept`,
      )
    return change
  }

  #path({ id, publisher }: ModelManifest, origin: ManifestOrigin): string {
    const name = origin === 'own' ? id : `${publisher?.slice(0, 32) ?? 'nobody'}-${id}`
    return join(this.#dir, origin, `${name}.json`)
  }

  #signedBy(publisher: PeerId): readonly ModelManifest[] {
    return this.catalog.list().flatMap(({ manifest }) => (manifest.publisher === publisher ? [manifest] : []))
  }

  /** Reads the catalogs of trusted publishers that are newer than those held. One that is damaged still has a version. */
  async #loadPublished(): Promise<void> {
    const { published } = this.catalog
    for (const { publisher, version, path } of await this.published.list()) {
      if (!this.catalog.isTrusted(publisher) || version <= (published.of(publisher)?.version ?? -1)) continue
      try {
        const document = await this.published.read(publisher)
        const change = document && this.#take(document)
        if (change?.kind === 'refused') throw new Error(change.reason)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.#log('warn', `${path} is left out, until a peer brings it again: ${reason}`)
        published.lost(publisher, version)
      }
    }
  }

  async #load(folder: string, origin: ManifestOrigin, log: Log = () => undefined): Promise<void> {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).toSorted()
    for (const name of names.slice(0, modelLimits.knownModelsMax)) {
      const path = join(folder, name)
      try {
        const change = this.catalog.offer(await readManifestFile(path), origin)
        // Whom its owner trusts no more is not worth a line at every start.
        if (change.kind === 'refused' && change.code !== 'QM_MODEL_UNTRUSTED')
          log('warn', `${path} is left out: ${change.reason}`)
      } catch (error) {
        log('warn', `${path} is left out: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
}
