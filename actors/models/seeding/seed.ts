import { open, type FileHandle } from 'node:fs/promises'
import type { PeerId } from '../../../protocol/index.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import type { BlockTree } from './block-tree.ts'
import { coreProtocol, type CoreKey, type CorePeer, StaticCore, toCoreTopic } from './static-core.ts'
import type { CoreLink } from './core-link.ts'
import { sizeOfBlock } from './merkle.ts'
import type { RateLimit } from './rate-limit.ts'

/** Milliseconds that an open core may have no reader before it is closed, and its tree leaves the memory. */
const idleMs = 30_000

export interface SeedOptions {
  readonly key: CoreKey
  readonly path: string
  /** Made when somebody asks, and dropped when nobody does any more. */
  readonly tree: () => Promise<BlockTree>
  /** Looked at before each opening: a file that changed is not served. */
  readonly isUnchanged?: (() => Promise<boolean>) | undefined
  readonly upload: RateLimit
  /** Whether there is a place for this reader. */
  readonly isWelcome: (peerId: PeerId) => boolean
  readonly onGiven: (bytes: number, peerId: PeerId) => void
  readonly onFailed: (error: unknown) => void
}

interface OpenSeed {
  readonly core: StaticCore
  readonly file: FileHandle
}

/** A whole file that is offered to whoever asks for its core; open only while somebody does. */
export class Seed {
  readonly key: CoreKey
  readonly topic: Buffer
  readonly #options: SeedOptions
  readonly #links = new Set<CoreLink>()
  #open: Promise<OpenSeed> | undefined
  #core: StaticCore | undefined
  #idle: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: SeedOptions) {
    this.#options = options
    this.key = options.key
    this.topic = toCoreTopic(options.key)
  }

  /** Waits for the peer to ask. */
  connect(link: CoreLink): void {
    if (this.#isStopped) return
    this.#links.add(link)
    this.#listen(link)
  }

  disconnect(link: CoreLink): void {
    if (!this.#links.delete(link)) return
    link.mux.unpair({ protocol: coreProtocol, id: this.topic })
    void this.#open?.then(
      ({ core }) => core.detach(link.mux),
      () => undefined,
    )
  }

  /** Who has it open now. */
  readers(): readonly PeerId[] {
    return this.#core?.peers.map(toPeerId) ?? []
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const link of this.#links) this.disconnect(link)
    await this.#close()
  }

  #listen(link: CoreLink): void {
    link.mux.pair({ protocol: coreProtocol, id: this.topic }, () => this.#onAsked(link))
  }

  /** Never rejects: Protomux would end the whole connection. The channel opens when this has settled. */
  async #onAsked(link: CoreLink): Promise<void> {
    if (!this.#options.isWelcome(link.peerId)) return
    try {
      const { core } = await this.#ensureOpen()
      if (!this.#links.has(link) || this.#isStopped) return
      core.attach(link.mux)
      await link.mux.stream.opened
    } catch (error) {
      this.#options.onFailed(error)
    }
  }

  #ensureOpen(): Promise<OpenSeed> {
    this.#open ??= this.#openCore().catch((error: unknown) => {
      this.#open = undefined
      throw error
    })
    return this.#open
  }

  async #openCore(): Promise<OpenSeed> {
    const { key, path, tree: makeTree, isUnchanged, upload, onGiven } = this.#options
    if (isUnchanged && !(await isUnchanged())) throw new Error(`${path} is not the file it was`)
    const file = await open(path, 'r')
    try {
      const tree = await makeTree()
      const read = async (block: number, isForPeer: boolean): Promise<Buffer | null> => {
        const size = sizeOfBlock(block, tree.bytes)
        if (isForPeer) await upload.take(size)
        const data = Buffer.allocUnsafe(size)
        const { bytesRead } = await file
          .read(data, 0, size, block * blockBytes)
          .catch(() => ({ bytesRead: -1 }))
        return bytesRead === size ? data : null
      }
      const write = (): Promise<void> => Promise.reject(new Error('the file is complete'))
      const core = await StaticCore.open(
        key,
        tree,
        { read, write },
        {
          gave: (bytes, peer) => onGiven(bytes, toPeerId(peer)),
          peersChanged: () => this.#onPeers(),
        },
      )
      this.#core = core
      this.#onPeers()
      return { core, file }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  #onPeers(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      void this.#open?.then(({ core }) => (core.peers.length === 0 ? this.#close() : undefined))
    }, idleMs)
    this.#idle.unref()
  }

  async #close(): Promise<void> {
    clearTimeout(this.#idle)
    const opening = this.#open
    this.#open = undefined
    this.#core = undefined
    const seed = await opening?.catch(() => undefined)
    if (!seed) return
    for (const { mux } of this.#links) seed.core.detach(mux)
    await seed.core.close().catch(() => undefined)
    await seed.file.close().catch(() => undefined)
    // Detaching took our ears away, too.
    if (!this.#isStopped) for (const link of this.#links) this.#listen(link)
  }
}

export const toPeerId = ({ remotePublicKey }: CorePeer): PeerId => remotePublicKey.toString('hex')
