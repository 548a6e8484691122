import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { type CatalogChange, type ManifestOrigin, ModelCatalog } from '../../../machines/models/catalog.ts'
import { peerIdSchema, QMeshError, type ModelId, type PeerId } from '../../../protocol/index.ts'
import {
  type CatalogDocument,
  isCatalogSigned,
  modelLimits,
  type ModelManifest,
} from '../../../protocol/models/index.ts'
import { briefly } from '../store/model-lock.ts'
import { readSmall } from '../store/store-files.ts'
import { readManifestFile } from './manifest-file.ts'

export interface CatalogFilesOptions {
  /** Folder of the manifests that come with the package. */
  readonly builtInDir: string | undefined
  /** Folder of everything else; created when missing. */
  readonly dir: string
  /** The most trusted first. */
  readonly publishers: readonly PeerId[]
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined
}

const versionsSchema = z.record(peerIdSchema, z.number().int().min(0).max(0xffff_ffff))
const versionsBytesMax = 64 * 1024

/**
 * The catalog of this machine with its files: `own/<id>.json`, `network/<publisher>-<id>.json`, and
 * `versions.json`, the newest catalog of each publisher that was seen, below which none is taken again.
 */
export class CatalogFiles {
  readonly catalog: ModelCatalog
  readonly #dir: string

  private constructor(dir: string, catalog: ModelCatalog) {
    this.#dir = dir
    this.catalog = catalog
  }

  /** A file that is damaged, forged or of nobody who is trusted is left out with a line in the log. */
  static async open(options: CatalogFilesOptions): Promise<CatalogFiles> {
    const { builtInDir, dir, publishers, log = () => undefined } = options
    const files = new CatalogFiles(dir, new ModelCatalog(publishers))
    for (const folder of ['own', 'network']) await mkdir(join(dir, folder), { recursive: true, mode: 0o700 })
    const folders: readonly (readonly [string | undefined, ManifestOrigin])[] = [
      [builtInDir, 'built-in'],
      [join(dir, 'own'), 'own'],
      [join(dir, 'network'), 'network'],
    ]
    for (const [folder, origin] of folders) if (folder !== undefined) await files.#load(folder, origin, log)
    return files
  }

  /**
   * Takes in a manifest and keeps it. The owner's own replace what they had before, whatever its version.
   *
   * @returns what became of it; never throws for a manifest that is refused
   */
  async offer(manifest: ModelManifest, origin: Exclude<ManifestOrigin, 'built-in'>): Promise<CatalogChange> {
    const change = this.catalog.offer(manifest, origin)
    if (change.kind === 'added' || change.kind === 'replaced')
      await writeFileAtomically(this.#path(manifest, origin), `${JSON.stringify(manifest, null, 2)}\n`)
    return change
  }

  /** Reads what the owner said meanwhile, by a command beside a running node. */
  async refresh(): Promise<void> {
    await this.#load(join(this.#dir, 'own'), 'own', () => undefined)
  }

  /** Forgets what the owner said of a model. */
  async forget(id: ModelId): Promise<void> {
    await rm(join(this.#dir, 'own', `${id}.json`), { force: true })
    this.catalog.forget(id)
  }

  /**
   * Takes in all that a publisher recommends.
   *
   * @returns what became of each manifest, in order
   * @throws QMeshError `QM_MANIFEST_INVALID` for a forged catalog, or one older than was seen before;
   *   `QM_MODEL_UNTRUSTED` for one of a publisher who is not trusted
   */
  async offerCatalog(document: CatalogDocument): Promise<readonly CatalogChange[]> {
    const { publisher, version } = document
    if (!isCatalogSigned(document))
      throw new QMeshError('QM_MANIFEST_INVALID', `the signature of the catalog of ${publisher} does not fit`)
    if (!this.catalog.isTrusted(publisher))
      throw new QMeshError(
        'QM_MODEL_UNTRUSTED',
        `this node does not trust ${publisher}, who signed the catalog`,
      )
    const path = join(this.#dir, 'versions.json')
    const leave = await briefly(`${path}.lock`)
    try {
      const versions = await readVersions(path)
      const seen = versions[publisher] ?? -1
      if (version < seen)
        throw new QMeshError(
          'QM_MANIFEST_INVALID',
          `the catalog of ${publisher} is version ${version}, and version ${seen} was seen before`,
        )
      if (version > seen)
        await writeFileAtomically(path, JSON.stringify({ ...versions, [publisher]: version }))
    } finally {
      await leave()
    }
    const changes: CatalogChange[] = []
    for (const manifest of document.models) changes.push(await this.offer(manifest, 'network'))
    return changes
  }

  #path({ id, publisher }: ModelManifest, origin: ManifestOrigin): string {
    const name = origin === 'own' ? id : `${publisher?.slice(0, 32) ?? 'nobody'}-${id}`
    return join(this.#dir, origin, `${name}.json`)
  }

  async #load(
    folder: string,
    origin: ManifestOrigin,
    log: (level: 'info' | 'warn', message: string) => void,
  ): Promise<void> {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).toSorted()
    for (const name of names.slice(0, modelLimits.knownModelsMax)) {
      const path = join(folder, name)
      try {
        const change = this.catalog.offer(await readManifestFile(path), origin)
        if (change.kind === 'refused') log('warn', `${path} is left out: ${change.reason}`)
      } catch (error) {
        log('warn', `${path} is left out: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
}

/** A damaged file must not bring old catalogs back, so it is an error. */
async function readVersions(path: string): Promise<Record<PeerId, number>> {
  const text = await readSmall(path, versionsBytesMax)
  if (text === undefined) return {}
  try {
    return versionsSchema.parse(JSON.parse(text))
  } catch (error) {
    throw new QMeshError('QM_DATA_DIR_UNUSABLE', `${path} is damaged; remove it`, { cause: error })
  }
}
