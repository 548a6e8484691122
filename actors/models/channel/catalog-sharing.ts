import type { NoiseStream } from 'hyperswarm'
import type { CatalogChange } from '../../../machines/models/catalog.ts'
import { type ErrorCode, type PeerId, toQMeshError } from '../../../protocol/index.ts'
import { modelsMessageLimits, type ModelsMessage } from '../../../protocol/messages/models.ts'
import {
  decodeManifest,
  encodeManifest,
  isManifestSigned,
  type ModelManifest,
} from '../../../protocol/models/index.ts'
import { CatalogGossip, type PublishedPort } from './catalog-gossip.ts'
import type { Link } from './link.ts'
import { ManifestSearch } from './manifest-search.ts'
import { ModelsChannel } from './models-channel.ts'

/** The catalog as others see it. */
export interface CatalogPort {
  /** Whatever is known under an id, and what is here under a SHA-256. */
  find(name: string): readonly ModelManifest[]
  /** Takes in what a stranger said, or refuses it. */
  offer(manifest: ModelManifest): Promise<CatalogChange>
  /** Absent: catalogs are neither taken nor given. */
  readonly published?: PublishedPort | undefined
}

export interface CatalogSharingOptions {
  readonly catalog: CatalogPort
  readonly onViolation?: ((peerId: PeerId, code: ErrorCode, detail: string) => void) | undefined
  /** The catalog has something new from others. */
  readonly onNews?: () => void
  readonly onWarning?: (message: string) => void
  readonly now?: () => number
  /** Milliseconds in which an answer of "nothing" does not end a search. */
  readonly settleMs?: number
  /** See `CatalogGossipOptions`. */
  readonly answerMs?: number
  readonly restMs?: number
}

const defaultSettleMs = 8_000

const nobody: PublishedPort = {
  held: () => [],
  isTrusted: () => false,
  bytes: () => Promise.resolve(undefined),
  offer: () => Promise.resolve({ kind: 'known' }),
}

/**
 * What nodes tell each other of models: the catalogs of publishers, which go round by themselves, and single manifests,
 * which are asked for by name. What is believed is for the catalog to say.
 */
export class CatalogSharing {
  readonly #options: CatalogSharingOptions
  readonly #links = new Set<Link>()
  readonly #gossip: CatalogGossip
  readonly #search: ManifestSearch
  readonly #now: () => number

  constructor(options: CatalogSharingOptions) {
    const { catalog, answerMs, restMs, settleMs = defaultSettleMs } = options
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#search = new ManifestSearch({ isKnown: (name) => catalog.find(name).length > 0, settleMs })
    this.#gossip = new CatalogGossip({
      published: catalog.published ?? nobody,
      onNews: () => this.#news(),
      onWarning: (message) => options.onWarning?.(message),
      answerMs,
      restMs,
    })
  }

  /** To be called within the report of the greeting: then both sides are there when the channel opens. */
  connect(peerId: PeerId, stream: NoiseStream): () => void {
    const channel: ModelsChannel = new ModelsChannel(stream, this.#now, {
      received: (message) => this.#received(link, message),
      violated: (code, detail) => this.#options.onViolation?.(peerId, code, detail),
      closed: () => this.#closed(link),
    })
    const link: Link = { peerId, channel }
    if (!channel.isOpen) return () => undefined
    this.#links.add(link)
    this.#gossip.opened(link)
    this.#search.opened(link)
    return () => channel.close()
  }

  /** A catalog was published here, or other publishers are trusted. */
  changed(): void {
    this.#gossip.changed()
  }

  /**
   * What peers know under an id or a SHA-256. Those under an id are in the catalog afterwards, if it believes them; one
   * under a hash needs nobody's word, because the hash is what the caller named. Resolves when there is an answer, when all
   * who are there after a while have said what they know, or at the signal.
   *
   * @param isThorough waits for all answers: the first one under a hash may be a lie
   * @returns what most peers say first
   */
  find(name: string, signal: AbortSignal, isThorough = false): Promise<readonly ModelManifest[]> {
    return this.#search.find(name, signal, isThorough)
  }

  close(): void {
    for (const { channel } of this.#links) channel.close()
    this.#gossip.close()
    this.#search.close()
  }

  #received(link: Link, message: ModelsMessage): void {
    switch (message.type) {
      case 'catalog-have':
        return this.#gossip.have(link, message.catalogs)
      case 'catalog-want':
        return void this.#gossip.want(link, message.publisher)
      case 'catalog':
        return void this.#gossip.take(link, message.catalog)
      case 'manifest-want':
        return this.#give(link, message.names)
      case 'manifest':
        void this.#take(link, message.manifests, message.names)
    }
  }

  #give(link: Link, names: readonly string[]): void {
    const found = new Set(names.flatMap((name) => this.#options.catalog.find(name)))
    const manifests = [...found]
      .slice(0, modelsMessageLimits.manifestsMax)
      .map((manifest) => encodeManifest(manifest).toString('base64'))
    link.channel.send({ type: 'manifest', manifests, names: [...names] })
  }

  /** Never rejects. */
  async #take(link: Link, encoded: readonly string[], names: readonly string[]): Promise<void> {
    let hasNews = false
    for (const text of encoded) {
      try {
        const manifest = decodeManifest(Buffer.from(text, 'base64'))
        if (manifest.publisher !== null && !isManifestSigned(manifest)) {
          link.channel.violate('QM_MANIFEST_INVALID', `the signature of "${manifest.id}" does not fit`)
          continue
        }
        this.#search.heard(link, manifest)
        if (manifest.publisher === null) continue
        const { kind } = await this.#options.catalog.offer(manifest)
        hasNews ||= kind === 'added' || kind === 'replaced'
      } catch (error) {
        const { code, message } = toQMeshError(error)
        if (code === 'QM_MANIFEST_INVALID') link.channel.violate(code, message)
        // No room on the disk, say, which is no fault of the peer.
        else this.#options.onWarning?.(`a manifest cannot be kept: ${message}`)
      }
    }
    this.#search.answered(link, names)
    if (hasNews) this.#options.onNews?.()
  }

  #news(): void {
    this.#search.news()
    this.#options.onNews?.()
  }

  #closed(link: Link): void {
    this.#links.delete(link)
    this.#gossip.closed(link)
    this.#search.closed(link)
  }
}
