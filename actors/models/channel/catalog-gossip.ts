import type { HeldCatalog, PublishedChange } from '../../../machines/models/published-catalogs.ts'
import { limits, type PeerId, QMeshError } from '../../../protocol/index.ts'
import { type CatalogRef, modelsMessageLimits } from '../../../protocol/messages/models.ts'
import {
  type CatalogDocument,
  decodeCatalog,
  modelLimits,
  toCatalogHash,
} from '../../../protocol/models/index.ts'
import type { Link } from './link.ts'

/** The catalogs of publishers, as the gossip needs them. */
export interface PublishedPort {
  /** The newest of each publisher that this node trusts. */
  held(): readonly HeldCatalog[]
  isTrusted(publisher: PeerId): boolean
  /** In the encoding in which it is sent. */
  bytes(publisher: PeerId): Promise<Buffer | undefined>
  offer(document: CatalogDocument): Promise<PublishedChange>
}

export interface CatalogGossipOptions {
  readonly published: PublishedPort
  /** A catalog was taken in. */
  readonly onNews: () => void
  /** Something that no peer is to blame for. */
  readonly onWarning: (message: string) => void
  /** Default `modelLimits.catalogAnswerMs`. */
  readonly answerMs?: number | undefined
  /** Default `modelLimits.catalogRestMs`. */
  readonly restMs?: number | undefined
}

/** What is known of one peer. Each map has at most one entry for a publisher, and as many as one message may name. */
interface Peering {
  readonly theirs: Map<PeerId, CatalogRef>
  /** Hashes of what this node said it holds, and of what it gave. */
  readonly told: Map<PeerId, string>
  readonly given: Map<PeerId, string>
  /** Versions that the peer was asked for: none is asked for twice. */
  readonly tried: Map<PeerId, number>
  /** What it is to send now. One that is late is still taken, but others are asked for it, too. */
  asked:
    { readonly ref: CatalogRef; readonly timer: NodeJS.Timeout; state: 'due' | 'late' | 'here' } | undefined
}

/**
 * Passes the newest catalog of each trusted publisher from node to node: each says which it holds, on opening and when that
 * changes, and asks for what is newer. A catalog comes from one peer at a time, and from each peer one at a time.
 */
export class CatalogGossip {
  readonly #options: CatalogGossipOptions
  readonly #peerings = new Map<Link, Peering>()
  readonly #resting = new Map<PeerId, NodeJS.Timeout>()

  constructor(options: CatalogGossipOptions) {
    this.#options = options
  }

  opened(link: Link): void {
    const peering: Peering = {
      theirs: new Map(),
      told: new Map(),
      given: new Map(),
      tried: new Map(),
      asked: undefined,
    }
    this.#peerings.set(link, peering)
    this.#tell(link, peering)
  }

  closed(link: Link): void {
    clearTimeout(this.#peerings.get(link)?.asked?.timer)
    this.#peerings.delete(link)
    this.#seek()
  }

  /** Something was published or heard of, or other publishers are trusted: tells everybody what is new to them. */
  changed(): void {
    for (const [link, peering] of this.#peerings) this.#tell(link, peering)
    this.#seek()
  }

  have(link: Link, refs: readonly CatalogRef[]): void {
    const peering = this.#peerings.get(link)
    if (!peering) return
    for (const ref of refs) {
      const { theirs } = peering
      if (theirs.has(ref.publisher) || theirs.size < modelsMessageLimits.refsMax)
        theirs.set(ref.publisher, ref)
    }
    this.#seek()
  }

  /** Never rejects. */
  async want(link: Link, publisher: PeerId): Promise<void> {
    const given = this.#peerings.get(link)?.given
    const hash = this.#held(publisher)?.hash
    if (!given || !hash) return
    if (given.get(publisher) === hash)
      return link.channel.violate('QM_MESSAGE_UNEXPECTED', 'it asked twice for the same catalog')
    given.set(publisher, hash)
    const found = await this.#read(publisher).catch(() => undefined)
    const isSent = found && link.channel.send({ type: 'catalog', catalog: found.bytes.toString('base64') })
    // A newer one may have been written meanwhile, by a command beside this node: that is what was given.
    if (isSent) given.set(publisher, found.hash)
    else given.delete(publisher)
  }

  /** @throws QMeshError `QM_MANIFEST_INVALID` for a file that is damaged, which is sent to nobody */
  async #read(publisher: PeerId): Promise<{ readonly bytes: Buffer; readonly hash: string } | undefined> {
    const bytes = await this.#options.published.bytes(publisher)
    return bytes && { bytes, hash: toCatalogHash(decodeCatalog(bytes)) }
  }

  /** Never rejects. */
  async take(link: Link, catalog: string): Promise<void> {
    const asked = this.#peerings.get(link)?.asked
    if (!asked || asked.state === 'here')
      return link.channel.violate('QM_MESSAGE_UNEXPECTED', 'it sent a catalog that nobody asked for')
    clearTimeout(asked.timer)
    asked.state = 'here'
    try {
      await this.#offer(decodeCatalog(Buffer.from(catalog, 'base64')), asked.ref)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (error instanceof QMeshError && error.code === 'QM_MANIFEST_INVALID')
        link.channel.violate(error.code, reason)
      else this.#options.onWarning(`a catalog cannot be kept: ${reason}`)
    } finally {
      const peering = this.#peerings.get(link)
      if (peering) peering.asked = undefined
      this.#seek()
    }
  }

  close(): void {
    for (const timer of this.#resting.values()) clearTimeout(timer)
    for (const { asked } of this.#peerings.values()) clearTimeout(asked?.timer)
    this.#peerings.clear()
  }

  /** @throws QMeshError `QM_MANIFEST_INVALID` for what the peer is to blame for */
  async #offer(document: CatalogDocument, ref: CatalogRef): Promise<void> {
    const { publisher, version } = document
    if (publisher !== ref.publisher || version < ref.version)
      throw new QMeshError('QM_MANIFEST_INVALID', 'it sent another catalog than it said')
    const change = await this.#options.published.offer(document)
    if (change.kind === 'refused' && change.why === 'forged') throw new QMeshError(change.code, change.reason)
    if (change.kind === 'refused' && change.why === 'twofold') this.#options.onWarning(change.reason)
    if (change.kind !== 'taken') return
    this.#rest(publisher)
    this.changed()
    this.#options.onNews()
  }

  #rest(publisher: PeerId): void {
    const timer = setTimeout(() => {
      this.#resting.delete(publisher)
      this.#seek()
    }, this.#options.restMs ?? modelLimits.catalogRestMs)
    timer.unref()
    clearTimeout(this.#resting.get(publisher))
    this.#resting.set(publisher, timer)
  }

  #held(publisher: PeerId): HeldCatalog | undefined {
    return this.#options.published.held().find((one) => one.publisher === publisher)
  }

  #tell(link: Link, { told, theirs }: Peering): void {
    const news = this.#options.published
      .held()
      .flatMap(({ publisher, version, hash }) =>
        hash === null || told.get(publisher) === hash || theirs.get(publisher)?.hash === hash
          ? []
          : [{ publisher, version, hash }],
      )
      .slice(0, modelsMessageLimits.refsMax)
    if (news.length === 0 || !link.channel.send({ type: 'catalog-have', catalogs: news })) return
    for (const { publisher, hash } of news) told.set(publisher, hash)
  }

  #seek(): void {
    const held = new Map(this.#options.published.held().map((one) => [one.publisher, one]))
    const isNews = ({ publisher, version, hash }: CatalogRef): boolean => {
      const ours = held.get(publisher)
      if (this.#resting.has(publisher) || !this.#options.published.isTrusted(publisher)) return false
      return !ours || version > ours.version || (version === ours.version && hash !== ours.hash)
    }
    const asked = new Set(
      [...this.#peerings.values()].flatMap((peering) =>
        peering.asked && peering.asked.state !== 'late' ? [peering.asked.ref.publisher] : [],
      ),
    )
    for (const [link, peering] of this.#peerings) {
      if (peering.asked) continue
      const ref = [...peering.theirs.values()].find(
        (one) =>
          !asked.has(one.publisher) && (peering.tried.get(one.publisher) ?? -1) < one.version && isNews(one),
      )
      if (ref && this.#ask(link, peering, ref)) asked.add(ref.publisher)
    }
  }

  #ask(link: Link, peering: Peering, ref: CatalogRef): boolean {
    if (!link.channel.send({ type: 'catalog-want', publisher: ref.publisher })) return false
    link.channel.expect(limits.frameBytesMax)
    peering.tried.set(ref.publisher, ref.version)
    const timer = setTimeout(() => {
      if (peering.asked) peering.asked.state = 'late'
      this.#seek()
    }, this.#options.answerMs ?? modelLimits.catalogAnswerMs)
    timer.unref()
    peering.asked = { ref, timer, state: 'due' }
    return true
  }
}
