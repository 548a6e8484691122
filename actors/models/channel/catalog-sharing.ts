import type { NoiseStream } from 'hyperswarm'
import type { CatalogChange } from '../../../machines/models/catalog.ts'
import type { ErrorCode, PeerId } from '../../../protocol/index.ts'
import {
  type CatalogWant,
  type ManifestRef,
  modelsMessageLimits,
  type ModelsMessage,
} from '../../../protocol/messages/models.ts'
import {
  decodeManifest,
  encodeManifest,
  isLocalSource,
  isManifestSigned,
  type ModelManifest,
  toManifestHash,
} from '../../../protocol/models/index.ts'
import { ModelsChannel } from './models-channel.ts'

/** The catalog as others see it. */
export interface CatalogPort {
  /** Manifests that somebody signed and that this node believes. */
  held(): readonly ModelManifest[]
  /** Whatever is known under an id, and what is here under a SHA-256. */
  find(name: string): readonly ModelManifest[]
  /** Takes in what a stranger said, or refuses it. */
  offer(manifest: ModelManifest): Promise<CatalogChange>
}

export interface CatalogSharingOptions {
  readonly catalog: CatalogPort
  readonly onViolation?: (peerId: PeerId, code: ErrorCode, detail: string) => void
  /** The catalog has something new from others. */
  readonly onNews?: () => void
  readonly now?: () => number
  /** Milliseconds in which an answer of "nothing" does not end a search: others may be about to connect. */
  readonly settleMs?: number
}

interface Link {
  readonly peerId: PeerId
  readonly channel: ModelsChannel
}

interface Search {
  readonly name: string
  /** One of each peer: nobody makes a claim look common by repeating it. */
  readonly found: Map<Link, ModelManifest>
  /** Whether every answer is waited for, and not only the first. */
  readonly isThorough: boolean
  readonly asked: Set<Link>
  hasAsked: boolean
  /** Peers had the time to come that are on their way. */
  isSettled: boolean
  done: () => void
}

const defaultSettleMs = 8_000

const hashPattern = /^[0-9a-f]{64}$/
const keyOf = ({ publisher, id }: { publisher: string | null; id: string }): string => `${publisher}/${id}`

/**
 * Catalogs travel from node to node: everybody says which manifests they hold, asks for newer ones, and passes on what
 * was news to them. What is believed is for the catalog to say: signed by a publisher that this node trusts, and not
 * older than what it has.
 */
export class CatalogSharing {
  readonly #options: CatalogSharingOptions
  readonly #links = new Set<Link>()
  readonly #searches = new Set<Search>()
  readonly #now: () => number

  constructor(options: CatalogSharingOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
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
    this.#tell(link, this.#options.catalog.held())
    for (const search of this.#searches) this.#ask(link, search)
    return () => channel.close()
  }

  /** Tells everybody of manifests that are new here. */
  announce(manifests: readonly ModelManifest[], except?: Link): void {
    for (const link of this.#links) if (link !== except) this.#tell(link, manifests)
  }

  /**
   * What peers know under an id or a SHA-256. Those under an id are in the catalog afterwards, if it believes them; one
   * under a hash needs nobody's word, because the hash is what the caller named. Resolves when there is an answer, when all
   * who are there after a while have said what they know, or at the signal.
   *
   * @param isThorough waits for all answers: the first one under a hash may be a lie
   * @returns what most peers say first
   */
  async find(name: string, signal: AbortSignal, isThorough = false): Promise<readonly ModelManifest[]> {
    const search: Search = {
      name,
      found: new Map(),
      isThorough,
      asked: new Set(),
      hasAsked: false,
      isSettled: false,
      done: () => undefined,
    }
    const done = new Promise<void>((resolve) => (search.done = resolve))
    const onAbort = (): void => search.done()
    signal.addEventListener('abort', onAbort, { once: true })
    this.#searches.add(search)
    const settle = setTimeout(() => {
      search.isSettled = true
      if (search.asked.size === 0 && search.hasAsked) search.done()
    }, this.#options.settleMs ?? defaultSettleMs)
    try {
      for (const link of this.#links) this.#ask(link, search)
      if (!signal.aborted) await done
      return byVotes([...search.found.values()])
    } finally {
      clearTimeout(settle)
      this.#searches.delete(search)
      signal.removeEventListener('abort', onAbort)
    }
  }

  close(): void {
    for (const { channel } of this.#links) channel.close()
    for (const search of this.#searches) search.done()
  }

  #ask(link: Link, search: Search): void {
    search.hasAsked = true
    search.asked.add(link)
    link.channel.send({ type: 'catalog-want', manifests: [], names: [search.name] })
  }

  #tell(link: Link, manifests: readonly ModelManifest[]): void {
    const refs = manifests.flatMap(({ publisher, id, version }) =>
      publisher === null ? [] : [{ publisher, id, version }],
    )
    if (refs.length === 0) return
    link.channel.send({ type: 'catalog-have', manifests: refs.slice(0, modelsMessageLimits.refsMax) })
  }

  #received(link: Link, message: ModelsMessage): void {
    if (message.type === 'catalog-have') this.#compare(link, message.manifests)
    else if (message.type === 'catalog-want') this.#give(link, message)
    else void this.#take(link, message.manifests, message.names)
  }

  #compare(link: Link, theirs: readonly ManifestRef[]): void {
    const ours = new Map(this.#options.catalog.held().map((manifest) => [keyOf(manifest), manifest.version]))
    const wanted = theirs.filter((ref) => ref.version > (ours.get(keyOf(ref)) ?? -1))
    for (let at = 0; at < wanted.length; at += modelsMessageLimits.manifestsMax) {
      const manifests = wanted.slice(at, at + modelsMessageLimits.manifestsMax)
      link.channel.send({ type: 'catalog-want', manifests, names: [] })
    }
  }

  #give(link: Link, { manifests, names }: CatalogWant): void {
    const { catalog } = this.#options
    const wanted = new Set(manifests.map(keyOf))
    const given = wanted.size > 0 ? catalog.held().filter((manifest) => wanted.has(keyOf(manifest))) : []
    const found = names.flatMap((name) => catalog.find(name))
    const all = [...new Set([...given, ...found])].slice(0, modelsMessageLimits.manifestsMax)
    if (all.length === 0 && names.length === 0) return
    const encoded = all.map((manifest) => encodeManifest(manifest).toString('base64'))
    link.channel.send({ type: 'manifest', manifests: encoded, names })
  }

  /** Never rejects. */
  async #take(link: Link, encoded: readonly string[], names: readonly string[]): Promise<void> {
    const news: ModelManifest[] = []
    for (const text of encoded) {
      try {
        const manifest = decodeManifest(Buffer.from(text, 'base64'))
        if (manifest.publisher !== null && !isManifestSigned(manifest)) {
          link.channel.violate('QM_MANIFEST_INVALID', `the signature of "${manifest.id}" does not fit`)
          continue
        }
        for (const search of this.#searches) {
          if (isMatch(manifest, search.name) && !search.found.has(link)) search.found.set(link, manifest)
        }
        if (manifest.publisher === null) continue
        const change = await this.#options.catalog.offer(manifest)
        if (change.kind === 'added' || change.kind === 'replaced') news.push(manifest)
      } catch (error) {
        link.channel.violate('QM_MANIFEST_INVALID', error instanceof Error ? error.message : 'not a manifest')
      }
    }
    for (const search of this.#searches) if (names.includes(search.name)) this.#answered(link, search)
    if (news.length === 0) return
    this.announce(news, link)
    this.#options.onNews?.()
  }

  #answered(link: Link, search: Search): void {
    search.asked.delete(link)
    const isFound = search.found.size > 0 || this.#options.catalog.find(search.name).length > 0
    if (
      (isFound && (!search.isThorough || search.asked.size === 0)) ||
      (search.isSettled && search.asked.size === 0)
    )
      search.done()
  }

  #closed(link: Link): void {
    this.#links.delete(link)
    for (const search of this.#searches) this.#answered(link, search)
  }
}

function byVotes(manifests: readonly ModelManifest[]): readonly ModelManifest[] {
  const votes = new Map<string, { readonly manifest: ModelManifest; count: number }>()
  for (const manifest of manifests) {
    const hash = toManifestHash(manifest)
    const vote = votes.get(hash) ?? { manifest, count: 0 }
    vote.count++
    votes.set(hash, vote)
  }
  return [...votes.values()].toSorted((a, b) => b.count - a.count).map(({ manifest }) => manifest)
}

/**
 * Under a hash nobody's word is needed, unless it would have us read files or ask servers of this machine; under an id
 * only what the catalog believes counts, and is looked up there.
 */
const isMatch = ({ artifact, sources }: ModelManifest, name: string): boolean =>
  hashPattern.test(name) && artifact.sha256 === name && !sources.some(isLocalSource)
