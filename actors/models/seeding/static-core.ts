import Hypercore from 'hypercore'
import type { NoiseStream } from 'hyperswarm'
import type Protomux from 'protomux'
import { QMeshError } from '../../../protocol/index.ts'
import type { BlockTree } from './block-tree.ts'
import { guardPeer } from './peer-guard.ts'
import { type BlockFile, type StaticManifest, StaticStorage, type StorageEvents } from './static-storage.ts'

/** Name of the Protomux channels that carry cores. */
export const coreProtocol = 'hypercore/alpha'

/** Blocks asked for at once from one peer: 1 MiB nearby, up to 32 MiB over a long way. */
const inflightRange = [16, 512] as const

/** 64 hex characters. Made from the file's content and nothing else: whoever has the same file has the same core. */
export type CoreKey = string

export interface CoreEvents {
  /** Blocks were received and proven. */
  wrote?(blocks: readonly number[]): void
  /** Nodes of the tree, or its bits, changed. */
  changed?(nodes: readonly number[]): void
  /** A block could not be written. */
  writeFailed?(error: unknown): void
  /** A peer sent something that is not in this file. */
  lied?(peer: CorePeer): void
  gave?(bytes: number, peer: CorePeer): void
  took?(bytes: number, peer: CorePeer): void
  peersChanged?(): void
}

/** One connection on which the core is exchanged. */
export interface CorePeer {
  readonly stream: NoiseStream
  readonly remotePublicKey: Buffer
  readonly remoteLength: number
}

/** What a static core uses of Hypercore and the declarations elsewhere leave out. */
interface CoreSession {
  readonly key: Buffer
  readonly length: number
  readonly peers: readonly Hypercore.Peer[]
  readonly replicator: { attached(mux: Protomux): boolean; detachFrom(mux: Protomux): void }
  readonly opened: boolean
  ready(): Promise<void>
  close(): Promise<void>
  replicate(mux: Protomux): Protomux
  setActive(isActive: boolean): void
  download(range: {
    start?: number
    end?: number
    linear?: boolean
    blocks?: readonly number[]
  }): Hypercore.Download
  on(name: string, listener: (...values: never[]) => void): unknown
}
const HypercoreSession = Hypercore as unknown as {
  new (storage: StaticStorage, key: Buffer, options: object): CoreSession
  /** The key of a core with this manifest. */
  key(manifest: StaticManifest): Buffer
}

/** Nobody may write such a core; its one and only version is in the manifest, and the key is the manifest's hash. */
const toStaticManifest = (hash: Buffer, length: number): StaticManifest => ({
  version: 1,
  hash: 'blake2b',
  allowPatch: false,
  quorum: 0,
  signers: [],
  prologue: { hash, length },
  linked: null,
  userData: null,
})

/** The key of the core over a file; undefined while the tree lacks a root. */
export function toCoreKey(tree: BlockTree): CoreKey | undefined {
  const hash = tree.rootHash()
  return hash && HypercoreSession.key(toStaticManifest(hash, tree.blocks)).toString('hex')
}

export const toCoreTopic = (key: CoreKey): Buffer => Hypercore.discoveryKey(Buffer.from(key, 'hex'))

/**
 * One file as a Hypercore, open: it serves the blocks that are here and proven, and asks for others while it downloads.
 * The bytes stay in the file.
 */
export class StaticCore {
  readonly key: CoreKey
  readonly topic: Buffer
  readonly tree: BlockTree
  readonly #core: CoreSession

  private constructor(key: CoreKey, tree: BlockTree, core: CoreSession) {
    this.key = key
    this.topic = toCoreTopic(key)
    this.tree = tree
    this.#core = core
  }

  /**
   * @param key what the core must be: anything that does not fit is refused on arrival
   * @throws QMeshError `QM_MODEL_DAMAGED` when the tree is one of another core
   */
  static async open(
    key: CoreKey,
    tree: BlockTree,
    file: BlockFile,
    events: CoreEvents = {},
  ): Promise<StaticCore> {
    const [keyBytes, hash] = [Buffer.from(key, 'hex'), tree.rootHash()]
    const hooks: StorageEvents = {
      changed: (nodes) => events.changed?.(nodes),
      wrote: (blocks) => events.wrote?.(blocks),
      failed: (error) => events.writeFailed?.(error),
    }
    let storage: StaticStorage
    if (hash) {
      const manifest = toStaticManifest(hash, tree.blocks)
      if (!HypercoreSession.key(manifest).equals(keyBytes)) {
        throw new QMeshError('QM_MODEL_DAMAGED', `the block hashes are not those of core ${key.slice(0, 8)}`)
      }
      const identity = { key: keyBytes, discoveryKey: toCoreTopic(key), manifest }
      storage = StaticStorage.known(identity, tree, file, hooks)
    } else storage = new StaticStorage(tree, file, hooks)
    const core = new HypercoreSession(storage, keyBytes, {
      active: false,
      allowFork: false,
      notDownloadingLinger: 0,
      inflightRange,
    })
    core.on('peer-add', (peer: Hypercore.Peer & CorePeer) => {
      guardPeer(peer, tree.blocks)
      events.peersChanged?.()
    })
    core.on('peer-remove', () => events.peersChanged?.())
    core.on('upload', (_block: number, bytes: number, peer: CorePeer) => events.gave?.(bytes, peer))
    core.on('download', (_block: number, bytes: number, peer: CorePeer) => events.took?.(bytes, peer))
    core.on('verification-error', (error: Error & { code?: string }, _request, _data, peer: CorePeer) => {
      // Proofs that went stale between asking and answering are nobody's fault.
      if (error.code !== 'INVALID_OPERATION') events.lied?.(peer)
    })
    await core.ready()
    return new StaticCore(key, tree, core)
  }

  /** Peers that the core is open with. */
  get peers(): readonly CorePeer[] {
    return this.#core.peers as unknown as readonly CorePeer[]
  }

  attach(mux: Protomux): void {
    if (!this.#core.replicator.attached(mux)) this.#core.replicate(mux)
  }

  detach(mux: Protomux): void {
    for (const { channel } of this.#core.peers.filter(({ protomux }) => protomux === mux)) channel.close()
    this.#core.replicator.detachFrom(mux)
  }

  /** While it is active it asks every attached peer; otherwise a channel on which nobody asks is closed. */
  setActive(isActive: boolean): void {
    this.#core.setActive(isActive)
  }

  /** Asks for these blocks; the rarest among the attached peers come first. */
  download(blocks: readonly number[]): Hypercore.Download {
    const first = blocks[0] ?? 0
    const isRun = blocks.length === (blocks.at(-1) ?? 0) - first + 1
    return this.#core.download(isRun ? { start: first, end: first + blocks.length } : { blocks })
  }

  close(): Promise<void> {
    return this.#core.close()
  }
}
