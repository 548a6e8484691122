import { notSound } from '../../actors/models/store/soundness.ts'
import type { ModelStore } from '../../actors/models/store/model-store.ts'
import type { BrokenModel, StoredModel } from '../../actors/models/store/stored-model.ts'
import type { CatalogEntry, ModelCatalog } from '../../machines/models/catalog.ts'
import { nearNames } from '../../machines/models/search.ts'
import { builtInModelId, modelHashSchema, QMeshError } from '../../protocol/index.ts'

/** What people call models: an id, a SHA-256, or the first eight characters of one or more. */
export class ModelNames {
  readonly #store: ModelStore
  readonly #catalog: ModelCatalog

  constructor(store: ModelStore, catalog: ModelCatalog) {
    this.#store = store
    this.#catalog = catalog
  }

  /**
   * A sound model of this machine by its hash, its id, or as much of its hash as no other has. Of several with one id,
   * that of whoever's word counts most. A whole hash is never an id, and the beginning of one is before an id that a
   * stranger gave: they can name another file by it.
   */
  find(name: string): StoredModel | undefined {
    if (isHash(name)) return this.#store.get(name)
    const named = this.#catalog.prefer(this.#store.named(name))
    if (!hashStart.test(name) || (named && !this.#catalog.isStranger(named))) return named
    const [only, ...others] = this.#store.list().filter(({ hash }) => hash.startsWith(name))
    if (only === undefined) return named
    return others.length === 0 ? only : undefined
  }

  /**
   * The same, and one whose file is not what it was if there is no sound one.
   *
   * @throws QMeshError `QM_USAGE` for the beginning of several hashes
   */
  findAny(name: string): StoredModel | BrokenModel | undefined {
    const sound = this.find(name)
    if (sound) return sound
    const models = [...this.#store.list(), ...this.#store.broken()]
    const isPrefix = hashStart.test(name)
    const found = models.filter(
      ({ hash, manifest }) => (manifest.id === name && !isHash(name)) || (isPrefix && hash.startsWith(name)),
    )
    if (found.length > 1 && isPrefix)
      throw new QMeshError('QM_USAGE', `${found.length} models begin with "${name}"; give more of the hash`)
    return found[0]
  }

  /** What the catalog says of an id. */
  known(name: string): CatalogEntry | undefined {
    return isHash(name) ? undefined : this.#catalog.resolve(name)
  }

  /**
   * A model of this machine, in whatever state.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND` with names that are near; `QM_USAGE` for the beginning of several hashes
   */
  here(name: string): StoredModel | BrokenModel {
    const model = this.findAny(name)
    if (model) return model
    if (this.known(name))
      throw new QMeshError(
        'QM_MODEL_NOT_FOUND',
        `"${name}" is in a catalog, but not on this machine; fetch it with "qmesh-node models pull ${name}"`,
      )
    throw this.unknown(name)
  }

  /** @throws QMeshError `QM_MODEL_DAMAGED` for one whose file is not what it was, and as `here` */
  sound(name: string): StoredModel {
    const model = this.here(name)
    if ('reason' in model) throw notSound(model)
    return model
  }

  /** For a name that means nothing here. */
  unknown(name: string): QMeshError {
    if (name === builtInModelId)
      return new QMeshError(
        'QM_MODEL_NOT_FOUND',
        `"${name}" is the built-in model: it comes with QMesh and is always here, beside the models that are kept in this store`,
      )
    const models = [...this.#store.list(), ...this.#store.broken(), ...this.#catalog.list()]
    const near = nearNames(
      name,
      models.map(({ manifest }) => manifest.id),
      3,
    )
    const hint = near.length > 0 ? `; did you mean ${near.map((id) => `"${id}"`).join(' or ')}?` : ''
    return new QMeshError('QM_MODEL_NOT_FOUND', `no model is called "${name.slice(0, 128)}"${hint}`)
  }
}

const isHash = (name: string): boolean => modelHashSchema.safeParse(name).success

/** Enough of a hash to name a model by. */
const hashStart = /^[0-9a-f]{8,64}$/
