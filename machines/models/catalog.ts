import type { ModelHash, ModelId, PeerId } from '../../protocol/index.ts'
import {
  type CatalogDocument,
  isLocalSource,
  isManifestSigned,
  modelLimits,
  toManifestHash,
  type ModelManifest,
} from '../../protocol/models/index.ts'
import { type HeldCatalog, PublishedCatalogs, type PublishedChange } from './published-catalogs.ts'

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

/** A file of this machine with the name that its manifest gives it. */
export interface NamedFile {
  readonly manifest: ModelManifest
  readonly hash: ModelHash
  /** Milliseconds since 1970. */
  readonly usedAtMs: number
}

/** Before every publisher. */
const ownRank = -1
/** Behind everybody who is known. */
const strangerRank = 3
const ranks: Readonly<Record<ManifestOrigin, number>> = { own: 0, 'built-in': 1, network: 2 }

/**
 * The manifests that a node knows. Of one publisher and id it holds the newest; whatever order manifests come in, the
 * same ones stay. Where the catalog of a publisher is held, that says what is theirs, and no manifest beside it counts.
 * It keeps no time and touches no disk.
 */
export class ModelCatalog {
  readonly published = new PublishedCatalogs()
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
    for (const { publisher } of this.published.list())
      if (!this.isTrusted(publisher)) this.published.forget(publisher)
  }

  /** Keys that are trusted, the most trusted first. */
  get publishers(): readonly PeerId[] {
    return this.#publishers
  }

  /** Whether these, in this order, are those that are trusted. */
  trusts(publishers: readonly PeerId[]): boolean {
    return (
      publishers.length === this.#publishers.length &&
      publishers.every((publisher, place) => publisher === this.#publishers[place])
    )
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

  /** What `offerCatalog` would make of a catalog. Changes nothing. */
  judgeCatalog(document: CatalogDocument): PublishedChange {
    return this.published.judge(document, this.isTrusted(document.publisher))
  }

  /**
   * Takes in all that a publisher publishes; what is not in it any more is forgotten.
   *
   * @returns what became of it, and how many of its models are left out for want of room
   */
  offerCatalog(document: CatalogDocument): PublishedChange & { readonly leftOut?: number } {
    const { publisher, models } = document
    const change = this.published.offer(document, this.isTrusted(publisher))
    if (change.kind !== 'taken') return change
    for (const [key, { manifest, origin }] of this.#known)
      if (origin === 'network' && manifest.publisher === publisher) this.#known.delete(key)
    const leftOut = models.filter((manifest) => this.offer(manifest, 'network').kind === 'refused').length
    return { ...change, leftOut }
  }

  /** The catalog of its publisher that a manifest is in. */
  catalogOf(manifest: ModelManifest): HeldCatalog | undefined {
    const held = this.published.of(manifest.publisher)
    return held?.manifests.has(toManifestHash(manifest)) ? held : undefined
  }

  /** Forgets what the owner said of a model. */
  forget(id: ModelId): void {
    for (const [key, { manifest, origin }] of this.#known)
      if (origin === 'own' && manifest.id === id) this.#known.delete(key)
  }

  /** All of them, the ones to prefer first. */
  list(): readonly CatalogEntry[] {
    return this.#entries([...this.#known.values()])
  }

  /** Those of one id or of one SHA-256, the ones to prefer first. */
  about(name: string): readonly CatalogEntry[] {
    return this.#entries(
      [...this.#known.values()].filter(
        ({ manifest: { id, artifact } }) => id === name || artifact.sha256 === name,
      ),
    )
  }

  /** What an id means: the owner's own first, then what a publisher says in the order of trust, then the package's. */
  resolve(id: ModelId): CatalogEntry | undefined {
    const [best] = this.#entries([...this.#known.values()].filter(({ manifest }) => manifest.id === id))
    return best
  }

  /**
   * How much the word counts by which a file of this machine has its name; the lowest counts most. Like the order of
   * `list`, and behind it whatever a stranger said: a file that was fetched by its hash brings its name along.
   *
   * @param hash SHA-256 of the file
   */
  rankOf(manifest: ModelManifest, hash: ModelHash): number {
    const { id, publisher } = manifest
    const isOwn = [...this.#known.values()].some(
      (known) =>
        known.origin === 'own' && known.manifest.id === id && known.manifest.artifact.sha256 === hash,
    )
    if (isOwn) return ownRank
    const place = this.#publishers.indexOf(publisher ?? '')
    if (place >= 0) return place
    const known = this.#known.get(toKey(manifest, 'built-in'))
    const isOfPackage = known?.origin === 'built-in' && known.hash === toManifestHash(manifest)
    return this.#publishers.length + (isOfPackage ? ranks['built-in'] : strangerRank)
  }

  /**
   * Of files with one name the one that is meant by it. Version numbers are compared only where one publisher gave
   * both: anybody can write a higher one. Of the owner's own it is the one used last.
   */
  prefer<Model extends NamedFile>(models: readonly Model[]): Model | undefined {
    const ranked = models.map((model) => ({ model, rank: this.rankOf(model.manifest, model.hash) }))
    const isVersioned = (rank: number): boolean => rank >= 0 && rank < this.#publishers.length + strangerRank
    const [best] = ranked.toSorted(
      (a, b) =>
        a.rank - b.rank ||
        (isVersioned(a.rank) ? b.model.manifest.version - a.model.manifest.version : 0) ||
        b.model.usedAtMs - a.model.usedAtMs ||
        compare(a.model.hash, b.model.hash),
    )
    return best?.model
  }

  /** Whether a file has its name by the word of nobody who is known: a stranger may have called it whatever they liked. */
  isStranger({ manifest, hash }: Pick<NamedFile, 'manifest' | 'hash'>): boolean {
    return this.rankOf(manifest, hash) >= this.#publishers.length + strangerRank
  }

  /** Whether an entry means more than a file that is here under the same id: whose word it is, then its version. */
  isAbove(entry: CatalogEntry, { manifest, hash }: Pick<NamedFile, 'manifest' | 'hash'>): boolean {
    const [theirs, ours] = [this.#rank(entry), this.rankOf(manifest, hash)]
    return theirs < ours || (theirs === ours && theirs >= 0 && entry.manifest.version > manifest.version)
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
    if (this.published.of(publisher) && !this.catalogOf(manifest))
      return refused(
        'QM_MANIFEST_INVALID',
        `version ${manifest.version} of "${id}" is not in the newest catalog of ${publisher}`,
      )
    return undefined
  }

  #entries(known: readonly Known[]): readonly CatalogEntry[] {
    return known
      .map(({ manifest, origin }) => ({ manifest, origin, isTrusted: this.isTrusted(manifest.publisher) }))
      .toSorted((a, b) => this.#order(a, b))
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
    if (origin === 'own') return ownRank
    const place = this.#publishers.indexOf(manifest.publisher ?? '')
    return place >= 0 ? place : this.#publishers.length + ranks[origin]
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
