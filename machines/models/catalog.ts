import type { ModelId, PeerId } from '../../protocol/index.ts'
import {
  isLocalSource,
  isManifestSigned,
  modelLimits,
  toManifestHash,
  type ModelManifest,
} from '../../protocol/models/index.ts'

/** Where a manifest came from: the package, the owner of the machine, or somebody else. */
export type ManifestOrigin = 'built-in' | 'own' | 'network'

/** What became of a manifest that was offered. */
export type CatalogChange =
  | { readonly kind: 'added' | 'replaced' | 'known' }
  | { readonly kind: 'refused'; readonly code: CatalogRefusal; readonly reason: string }
export type CatalogRefusal = 'QM_MANIFEST_INVALID' | 'QM_MODEL_UNTRUSTED'

export interface CatalogEntry {
  readonly manifest: ModelManifest
  readonly origin: ManifestOrigin
  /** A publisher that this node trusts has signed it. */
  readonly isTrusted: boolean
}

interface Known {
  readonly manifest: ModelManifest
  readonly hash: string
  readonly origin: ManifestOrigin
}

const refused = (code: CatalogRefusal, reason: string): CatalogChange => ({ kind: 'refused', code, reason })

/** Two manifests are versions of one only when the same publisher says so: nobody takes over another's name. */
const toKey = ({ id, publisher }: ModelManifest, origin: ManifestOrigin): string =>
  `${publisher ?? origin}/${id}`

const ranks: Readonly<Record<ManifestOrigin, number>> = { own: 0, 'built-in': 1, network: 2 }

/**
 * The manifests that a node knows. Of one publisher and id it holds the newest; whatever order manifests come in, the
 * same ones stay. It keeps no time and touches no disk.
 */
export class ModelCatalog {
  readonly #known = new Map<string, Known>()
  #publishers: readonly PeerId[]

  /** @param publishers trusted keys, the most trusted first */
  constructor(publishers: readonly PeerId[] = []) {
    this.#publishers = publishers
  }

  /** Trusts these and no others; what others published before is forgotten. */
  trust(publishers: readonly PeerId[]): void {
    this.#publishers = publishers
    for (const [key, { manifest, origin }] of this.#known)
      if (origin === 'network' && !this.isTrusted(manifest.publisher)) this.#known.delete(key)
  }

  isTrusted(publisher: PeerId | null): boolean {
    return publisher !== null && this.#publishers.includes(publisher)
  }

  /**
   * Takes in a manifest, unless it is forged, by somebody who is not trusted, or older than what is known. The owner's
   * own and those of the package need no signature, but one that is there must fit.
   */
  offer(manifest: ModelManifest, origin: ManifestOrigin): CatalogChange {
    const refusal = this.#refuse(manifest, origin)
    if (refusal) return refusal
    const key = toKey(manifest, origin)
    const known = this.#known.get(key)
    const offered: Known = { manifest, hash: toManifestHash(manifest), origin }
    if (!known) {
      if (this.#known.size >= modelLimits.knownModelsMax)
        return refused('QM_MANIFEST_INVALID', `${modelLimits.knownModelsMax} models are known already`)
      this.#known.set(key, offered)
      return { kind: 'added' }
    }
    // The owner may take back what they said.
    if (origin !== 'own' && manifest.version < known.manifest.version)
      return refused(
        'QM_MANIFEST_INVALID',
        `version ${manifest.version} of "${manifest.id}" is older than version ${known.manifest.version}, which is known`,
      )
    const isSame = offered.hash === known.hash
    const isNewer = manifest.version > known.manifest.version
    // A publisher that signs two things under one number: all nodes take the same one, whichever they hear of first.
    const isChosen = isNewer || (!isSame && (origin === 'own' || offered.hash < known.hash))
    if (isChosen) this.#known.set(key, offered)
    else if (isSame && ranks[origin] < ranks[known.origin]) this.#known.set(key, { ...known, origin })
    return { kind: isChosen ? 'replaced' : 'known' }
  }

  /** Forgets what the owner said of a model. */
  forget(id: ModelId): void {
    for (const [key, { manifest, origin }] of this.#known)
      if (origin === 'own' && manifest.id === id) this.#known.delete(key)
  }

  /** All of them, the ones to prefer first. */
  list(): readonly CatalogEntry[] {
    return [...this.#known.values()]
      .map(({ manifest, origin }) => ({ manifest, origin, isTrusted: this.isTrusted(manifest.publisher) }))
      .toSorted((a, b) => this.#order(a, b))
  }

  /** What an id means: the owner's own first, then what a publisher says in the order of trust, then the package's. */
  resolve(id: ModelId): CatalogEntry | undefined {
    return this.list().find(({ manifest }) => manifest.id === id)
  }

  #refuse(manifest: ModelManifest, origin: ManifestOrigin): CatalogChange | undefined {
    const { id, publisher, signature, sources } = manifest
    if (signature !== null && !isManifestSigned(manifest))
      return refused(
        'QM_MANIFEST_INVALID',
        `the signature of "${id}" does not fit: it was changed on its way`,
      )
    if (origin !== 'network') return undefined
    if (publisher === null)
      return refused(
        'QM_MODEL_UNTRUSTED',
        `nobody has signed "${id}"; only manifests of a trusted publisher count`,
      )
    if (!this.isTrusted(publisher))
      return refused(
        'QM_MODEL_UNTRUSTED',
        `"${id}" is published by ${publisher}, whom this node does not trust; ` +
          `"qmesh-node models trust ${publisher}" would change that`,
      )
    if (sources.some(isLocalSource))
      return refused(
        'QM_MANIFEST_INVALID',
        `"${id}" names a file or a server of this machine, which only its owner may`,
      )
    return undefined
  }

  /** By rank of whoever answers for it, then by id: the same on every node. */
  #order(a: CatalogEntry, b: CatalogEntry): number {
    return (
      this.#rank(a) - this.#rank(b) ||
      compare(a.manifest.id, b.manifest.id) ||
      compare(a.manifest.publisher ?? '', b.manifest.publisher ?? '')
    )
  }

  #rank({ manifest, origin }: CatalogEntry): number {
    if (origin === 'own') return -1
    const place = this.#publishers.indexOf(manifest.publisher ?? '')
    return place >= 0 ? place : this.#publishers.length + ranks[origin]
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
