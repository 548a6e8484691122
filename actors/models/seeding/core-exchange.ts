import type { NoiseStream } from 'hyperswarm'
import { type PeerId, QMeshError } from '../../../protocol/index.ts'
import type { BlockTree } from './block-tree.ts'
import { CoreFetch, fetchPatience, type FetchPatience, type FetchTarget } from './core-fetch.ts'
import { type CoreLink, toCoreLink } from './core-link.ts'
import { RateLimit } from './rate-limit.ts'
import { Seed } from './seed.ts'
import { type CoreKey, toCoreTopic } from './static-core.ts'

/** Models that are offered at the same time. Each is a topic that the node announces. */
export const seedsMax = 100

/** Milliseconds that a reader's channel may take to open. */
const welcomeMs = 500

/** Looks for peers under a topic, and is found under it. @returns ends it */
export type JoinTopic = (topic: Buffer) => () => void

export interface ExchangeOptions {
  readonly joinTopic: JoinTopic
  /** Bytes a second, 0 for no cap. */
  readonly uploadBytesPerSecond?: number | undefined
  readonly downloadBytesPerSecond?: number | undefined
  /** Peers that offered files are given to at the same time; absent: any number. */
  readonly readersMax?: number | undefined
  /** Blocks are taken from these only; absent, from anybody: every block is proven. */
  readonly seeders?: ReadonlySet<PeerId> | undefined
  readonly patience?: Partial<FetchPatience> | undefined
  /** A peer sent a block that is not in the file. */
  readonly onLie?: ((peerId: PeerId) => void) | undefined
}

/** A file as it is offered. */
export interface Offer {
  readonly key: CoreKey
  readonly path: string
  readonly tree: () => Promise<BlockTree>
  readonly isUnchanged?: (() => Promise<boolean>) | undefined
  readonly onGave?: ((bytes: number) => void) | undefined
  /** The file could not be read: it is gone, or another one. */
  readonly onFailed?: ((error: unknown) => void) | undefined
}

/** What was given of one file. */
export interface Given {
  readonly bytes: number
  /** Different peers that got some. */
  readonly peers: number
}

/**
 * Model files between peers: offers whole ones, fetches others, on connections that somebody else made. Whoever
 * knows the key of a file's core may have the file; the key is in its manifest.
 */
export class CoreExchange {
  readonly upload: RateLimit
  readonly download: RateLimit
  readonly #options: ExchangeOptions
  readonly #links = new Set<CoreLink>()
  readonly #seeds = new Map<CoreKey, { readonly seed: Seed; readonly leave: () => void }>()
  readonly #fetches = new Set<CoreFetch>()
  readonly #given = new Map<CoreKey, { bytes: number; readonly peers: Set<PeerId> }>()
  /** Readers whose channel is about to open, and until when their place is kept. */
  readonly #welcomed = new Map<PeerId, number>()
  #givenBytes = 0
  #isClosed = false

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.upload = new RateLimit(options.uploadBytesPerSecond)
    this.download = new RateLimit(options.downloadBytesPerSecond)
  }

  /** Uses a connection until it closes or the returned function is called. */
  connect(peerId: PeerId, stream: NoiseStream): () => void {
    if (this.#isClosed || stream.destroying) return () => undefined
    const link = toCoreLink(peerId, stream)
    this.#links.add(link)
    for (const { seed } of this.#seeds.values()) seed.connect(link)
    for (const fetch of this.#fetches) fetch.connect(link)
    const disconnect = (): void => {
      if (!this.#links.delete(link)) return
      for (const { seed } of this.#seeds.values()) seed.disconnect(link)
      for (const fetch of this.#fetches) fetch.disconnect(link)
    }
    stream.once('close', disconnect)
    return () => {
      stream.off('close', disconnect)
      disconnect()
    }
  }

  /** @throws QMeshError `QM_TOO_MANY_REQUESTS` when `seedsMax` are offered already */
  offer({ key, path, tree, isUnchanged, onGave, onFailed }: Offer): void {
    if (this.#isClosed || this.#seeds.has(key)) return
    if (this.#seeds.size >= seedsMax) {
      throw new QMeshError('QM_TOO_MANY_REQUESTS', `this node offers ${seedsMax} models already`)
    }
    const seed = new Seed({
      key,
      path,
      tree,
      isUnchanged,
      upload: this.upload,
      isWelcome: (peerId) => this.#welcome(peerId),
      onGiven: (bytes, peerId) => {
        this.#count(key, bytes, peerId)
        onGave?.(bytes)
      },
      onFailed: (error) => onFailed?.(error),
    })
    this.#seeds.set(key, { seed, leave: this.#options.joinTopic(seed.topic) })
    for (const link of this.#links) seed.connect(link)
  }

  /** Stops offering; what was given stays counted. */
  async withdraw(key: CoreKey): Promise<void> {
    const entry = this.#seeds.get(key)
    if (!entry) return
    this.#seeds.delete(key)
    entry.leave()
    await entry.seed.stop()
  }

  /** What was given of all files together. */
  get givenBytes(): number {
    return this.#givenBytes
  }

  offers(key: CoreKey): boolean {
    return this.#seeds.has(key)
  }

  given(key: CoreKey): Given {
    const { bytes = 0, peers } = this.#given.get(key) ?? {}
    return { bytes, peers: peers?.size ?? 0 }
  }

  /**
   * Fetches what a target lacks from all peers that have the core.
   *
   * @throws QMeshError see `CoreFetch.run`
   */
  async fetch(
    key: CoreKey,
    target: FetchTarget,
    options: {
      readonly tree?: BlockTree | undefined
      readonly signal?: AbortSignal | undefined
      readonly onBytes?: (bytes: number, peerId: PeerId) => void
    } = {},
  ): Promise<void> {
    if (this.#isClosed) throw new QMeshError('QM_NODE_STOPPED')
    const { seeders, onLie, patience, joinTopic } = this.#options
    const fetch = new CoreFetch({
      key,
      target,
      ...options,
      download: this.download,
      upload: this.upload,
      patience: { ...fetchPatience, ...patience },
      isWelcome: (peerId) => seeders?.has(peerId) ?? true,
      onLie: (peerId) => onLie?.(peerId),
      onGiven: (bytes, peerId) => this.#count(key, bytes, peerId),
    })
    for (const link of this.#links) fetch.connect(link)
    this.#fetches.add(fetch)
    const leave = joinTopic(toCoreTopic(key))
    try {
      await fetch.run()
    } finally {
      leave()
      this.#fetches.delete(fetch)
    }
  }

  /** Offers nothing any more. Fetches end when their connections do; the caller aborts them. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#seeds.keys()].map((key) => this.withdraw(key)))
    this.#links.clear()
  }

  /** Gives a place to a reader, if there is one. Whoever gets none asks again after a while. */
  #welcome(peerId: PeerId): boolean {
    const { readersMax = Infinity } = this.#options
    const nowMs = performance.now()
    for (const [reader, untilMs] of this.#welcomed) if (untilMs < nowMs) this.#welcomed.delete(reader)
    const readers = new Set(this.#welcomed.keys())
    for (const { seed } of this.#seeds.values()) for (const reader of seed.readers()) readers.add(reader)
    if (!readers.has(peerId) && readers.size >= readersMax) return false
    this.#welcomed.set(peerId, nowMs + welcomeMs)
    return true
  }

  #count(key: CoreKey, bytes: number, peerId: PeerId): void {
    const entry = this.#given.get(key) ?? { bytes: 0, peers: new Set<PeerId>() }
    entry.bytes += bytes
    this.#givenBytes += bytes
    // A count of strangers need not be exact beyond this.
    if (entry.peers.size < 1_000) entry.peers.add(peerId)
    this.#given.set(key, entry)
  }
}
