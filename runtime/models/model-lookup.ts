import { dirname, resolve } from 'node:path'
import { readManifestFile } from '../../actors/models/catalog/manifest-file.ts'
import type { StoredModel } from '../../actors/models/store/stored-model.ts'
import { builtInModelId, modelHashSchema, modelIdSchema, QMeshError } from '../../protocol/index.ts'
import type { ModelManifest } from '../../protocol/models/index.ts'
import { toDirectSource, toUnverifiedManifest } from './direct-source.ts'
import type { Wanted } from './file-ways.ts'
import type { ModelLibrary } from './model-library.ts'

/** Milliseconds that peers have to say what they know of a model that nobody here knows. */
const askMsDefault = 20_000

export interface ModelLookupOptions {
  readonly library: ModelLibrary
  /** See `CatalogSharing.find`; absent: there are no peers to ask. */
  readonly find?:
    | ((name: string, signal: AbortSignal, isThorough: boolean) => Promise<readonly ModelManifest[]>)
    | undefined
  readonly askMs?: number | undefined
}

/** What somebody means who wants a model: a file that is here, or one to be fetched, known here or from peers. */
export class ModelLookup {
  readonly #options: ModelLookupOptions

  constructor(options: ModelLookupOptions) {
    this.#options = options
  }

  /**
   * @param name an id, a SHA-256, the path of a manifest, or an address
   * @throws QMeshError `QM_MODEL_NOT_FOUND` with near names, `QM_MANIFEST_INVALID`, `QM_USAGE`, `QM_CANCELLED`
   */
  async find(
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
    // What cannot be a model's name is a message out of bounds to peers, and the built-in model nobody has to fetch.
    if (!modelIdSchema.safeParse(name).success || name === builtInModelId) throw library.names.unknown(name)
    const found = await this.ask(name, signal)
    const isHash = modelHashSchema.safeParse(name).success
    const [first, ...others] = isHash ? found : []
    if (first) return { manifests: [first, ...others], isHearsay: true }
    const told = await this.#here(name)
    if (told) return told
    const broken = library.names.findAny(name)
    if (broken && 'reason' in broken)
      throw new QMeshError(
        'QM_MODEL_NOT_FOUND',
        `nobody who was asked knows a model "${name}"; its file that was here is ${broken.reason}`,
      )
    throw library.names.unknown(name)
  }

  /** What peers say of a name. @param isThorough all of them, and not only who answers first */
  async ask(
    name: string,
    signal: AbortSignal | undefined,
    isThorough = false,
  ): Promise<readonly ModelManifest[]> {
    const { find, askMs = askMsDefault } = this.#options
    if (!find) return []
    const patience = AbortSignal.timeout(askMs)
    const found = await find(name, signal ? AbortSignal.any([signal, patience]) : patience, isThorough)
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
    return found
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
}
