import type { PeerId } from '../../protocol/index.ts'
import {
  type CatalogDocument,
  isCatalogSigned,
  isLocalSource,
  isManifestSigned,
  toCatalogHash,
  toManifestHash,
  type ModelManifest,
} from '../../protocol/models/index.ts'

/** The newest catalog of a publisher that a node holds. */
export interface HeldCatalog {
  readonly publisher: PeerId
  readonly version: number
  /** Null where the file is damaged: of it only the version is known, below which nothing is taken. */
  readonly hash: string | null
  /** Hashes of the manifests in it. */
  readonly manifests: ReadonlySet<string>
}

/** What became of a catalog that was offered. */
export type PublishedChange =
  | { readonly kind: 'taken' | 'known' }
  | {
      readonly kind: 'refused'
      /**
       * `forged`: whoever sent it should have seen that it is no sound catalog. `older`: a newer one is held, as anybody
       * may not know. `twofold`: its publisher signed two under one number, and the first one stays.
       */
      readonly why: 'forged' | 'untrusted' | 'older' | 'twofold'
      readonly code: 'QM_MANIFEST_INVALID' | 'QM_MODEL_UNTRUSTED'
      readonly reason: string
    }

const refused = (
  why: Extract<PublishedChange, { kind: 'refused' }>['why'],
  reason: string,
): PublishedChange => ({
  kind: 'refused',
  why,
  code: why === 'untrusted' ? 'QM_MODEL_UNTRUSTED' : 'QM_MANIFEST_INVALID',
  reason,
})

/** What a manifest in a catalog must be; the reason, where it is not. */
function unfit(manifest: ModelManifest, publisher: PeerId): string | undefined {
  if (manifest.publisher !== publisher) return 'is of another publisher'
  if (!isManifestSigned(manifest)) return 'has a signature that does not fit'
  return manifest.sources.some(isLocalSource) ? 'names a file or a server of this machine' : undefined
}

/** The newest catalog of each publisher: which is taken, and which is refused. No I/O, no time. */
export class PublishedCatalogs {
  readonly #held = new Map<PeerId, HeldCatalog>()

  of(publisher: PeerId | null): HeldCatalog | undefined {
    return publisher === null ? undefined : this.#held.get(publisher)
  }

  list(): readonly HeldCatalog[] {
    return [...this.#held.values()]
  }

  /** Whether a catalog is sound and newer than what is held: what `offer` would say. Changes nothing. */
  judge(document: CatalogDocument, isTrusted: boolean): PublishedChange {
    const { publisher, version, models } = document
    if (!isCatalogSigned(document))
      return refused('forged', `the signature of the catalog of ${publisher} does not fit`)
    if (!isTrusted)
      return refused('untrusted', `this node does not trust ${publisher}, who signed the catalog`)
    const held = this.#held.get(publisher)
    if (held && version < held.version)
      return refused(
        'older',
        `the catalog of ${publisher} is version ${version}, and version ${held.version} was seen before`,
      )
    const hash = toCatalogHash(document)
    if (held?.hash === hash) return { kind: 'known' }
    if (held && held.hash !== null && version === held.version)
      return refused('twofold', `${publisher} signed two catalogs as version ${version}; the first one stays`)
    const ids = new Set(models.map(({ id }) => id))
    if (ids.size < models.length)
      return refused('forged', `the catalog of ${publisher} names one model twice`)
    for (const manifest of models) {
      const reason = unfit(manifest, publisher)
      if (reason !== undefined)
        return refused('forged', `"${manifest.id}" in the catalog of ${publisher} ${reason}`)
    }
    return { kind: 'taken' }
  }

  /** Takes a catalog if it is sound and newer than what is held. */
  offer(document: CatalogDocument, isTrusted: boolean): PublishedChange {
    const change = this.judge(document, isTrusted)
    const { publisher, version, models } = document
    if (change.kind === 'taken')
      this.#held.set(publisher, {
        publisher,
        version,
        hash: toCatalogHash(document),
        manifests: new Set(models.map(toManifestHash)),
      })
    return change
  }

  /** The content was lost; what is older than it stays refused. */
  lost(publisher: PeerId, version: number): void {
    if ((this.#held.get(publisher)?.version ?? -1) < version)
      this.#held.set(publisher, { publisher, version, hash: null, manifests: new Set() })
  }

  /** Its publisher is not trusted any more. */
  forget(publisher: PeerId): void {
    this.#held.delete(publisher)
  }
}
