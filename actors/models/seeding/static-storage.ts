import type { BlockTree } from './block-tree.ts'
import { bitPageBytes } from './block-tree.ts'
import type { TreeNode } from './merkle.ts'

/** Where the bytes of a static core lie: in the model's own file. */
export interface BlockFile {
  /** Null when the bytes cannot be read. @param isForPeer somebody asked for it over the network */
  read(block: number, isForPeer: boolean): Promise<Buffer | null>
  /** @throws when the disk takes no more; the block then counts as not received */
  write(block: number, data: Buffer): Promise<void>
}

/** Hypercore's own record of who may write a core; a static one has nobody, and a prologue instead. */
export interface StaticManifest {
  readonly version: number
  readonly hash: 'blake2b'
  readonly allowPatch: boolean
  readonly quorum: number
  readonly signers: readonly unknown[]
  readonly prologue: { readonly hash: Buffer; readonly length: number } | null
  readonly linked: null
  readonly userData: null
}

interface Auth {
  readonly key: Buffer
  readonly discoveryKey: Buffer
  readonly manifest: StaticManifest | null
  readonly keyPair: null
}

interface Head {
  readonly fork: number
  readonly length: number
  readonly rootHash: Buffer | null
  readonly signature: null
  readonly timestamp?: number
}

export interface StorageEvents {
  /** Nodes or bits changed; the tree may be saved. */
  changed(nodes: readonly number[]): void
  /** Blocks were written and proven. */
  wrote(blocks: readonly number[]): void
  /** A block could not be written: the disk is full, or the core is not one of this file. */
  failed(error: unknown): void
}

/** What Hypercore does not retry and does not blame its peer for. */
class WriteFailed extends Error {
  readonly code = 'WRITE_FAILED'
}

/** What a static core can never be asked for: it has one version, and nobody writes it. */
const never = (): never => {
  throw new WriteFailed('a static core does not change')
}

/** One set of reads of Hypercore's. */
class Reader {
  readonly #storage: CoreStorage
  readonly #isForPeer: boolean

  constructor(storage: CoreStorage, isForPeer: boolean) {
    this.#storage = storage
    this.#isForPeer = isForPeer
  }

  getAuth = (): Promise<Auth | null> => Promise.resolve(this.#storage.auth ?? null)
  getHead = (): Promise<Head | null> => Promise.resolve(this.#storage.head ?? null)
  getHints = (): Promise<object | null> => Promise.resolve(this.#storage.hints ?? null)
  getGroup = (): Promise<null> => Promise.resolve(null)
  getDependency = (): Promise<null> => Promise.resolve(null)
  getSessions = (): Promise<null> => Promise.resolve(null)
  getUserData = (): Promise<null> => Promise.resolve(null)
  getTreeNode = (index: number): Promise<TreeNode | null> =>
    Promise.resolve(this.#storage.tree.get(index) ?? null)
  hasTreeNode = (index: number): Promise<boolean> =>
    Promise.resolve(this.#storage.tree.get(index) !== undefined)
  getBlock = (block: number): Promise<Buffer | null> => this.#storage.file.read(block, this.#isForPeer)
  getBitfieldPage = (page: number): Promise<Buffer> => {
    const at = page * bitPageBytes
    // A copy: Hypercore changes it and hands it back.
    return Promise.resolve(Buffer.from(this.#storage.tree.bits.subarray(at, at + bitPageBytes)))
  }
  tryFlush = (): void => undefined
  destroy = (): void => undefined
}

/** One batch of writes of Hypercore's: all blocks are in the file before the tree speaks of them. */
class Writer {
  readonly #storage: CoreStorage
  readonly #blocks: { readonly block: number; readonly data: Buffer }[] = []
  readonly #nodes: TreeNode[] = []
  readonly #pages: { readonly page: number; readonly bits: Buffer }[] = []
  readonly #rest: (() => void)[] = []

  constructor(storage: CoreStorage) {
    this.#storage = storage
  }

  setAuth = (auth: Auth): void => {
    this.#rest.push(() => (this.#storage.auth = { ...this.#storage.auth, ...auth }))
  }
  setHead = (head: Head): void => void this.#rest.push(() => (this.#storage.head = head))
  setHints = (hints: object): void => void this.#rest.push(() => (this.#storage.hints = hints))
  putBlock = (block: number, data: Buffer): void => void this.#blocks.push({ block, data })
  putTreeNode = (node: TreeNode): void => void this.#nodes.push(node)
  putBitfieldPage = (page: number, bits: Buffer): void => void this.#pages.push({ page, bits })
  setDependency = never
  setGroup = never
  deleteHead = never
  deleteBlock = (): void => undefined
  deleteBlockRange = never
  deleteTreeNode = (): void => undefined
  deleteTreeNodeRange = never
  deleteBitfieldPage = never
  deleteBitfieldPageRange = never

  flush = async (): Promise<boolean> => {
    const { tree, file, events } = this.#storage
    try {
      await Promise.all(this.#blocks.map(({ block, data }) => file.write(block, data)))
      for (const node of this.#nodes) tree.put(node)
    } catch (error) {
      events.failed(error)
      throw new WriteFailed('a block could not be written', { cause: error })
    }
    for (const { page, bits } of this.#pages) tree.setPage(page, bits)
    for (const apply of this.#rest) apply()
    events.changed(this.#nodes.map(({ index }) => index))
    if (this.#blocks.length > 0) events.wrote(this.#blocks.map(({ block }) => block))
    return true
  }
}

/** What Hypercore knows as the storage of one core. */
class CoreStorage {
  readonly store: StaticStorage
  readonly tree: BlockTree
  readonly file: BlockFile
  readonly events: StorageEvents
  auth: Auth | undefined
  head: Head | undefined
  hints: object | undefined
  readonly snapshotted = false
  readonly readOnly = false
  readonly atom = null
  readonly dependencies: readonly never[] = []
  readonly core = { corePointer: 0, dataPointer: 0, dependencies: [] }

  constructor(store: StaticStorage, tree: BlockTree, file: BlockFile, events: StorageEvents) {
    this.store = store
    this.tree = tree
    this.file = file
    this.events = events
  }

  /** @param fork given when a peer is answered */
  read(fork = -1): Reader {
    return new Reader(this, fork >= 0)
  }

  write(): Writer {
    return new Writer(this)
  }

  *#pages(): Generator<{ readonly index: number; readonly page: Buffer }> {
    for (let index = 0; index * bitPageBytes < this.tree.bits.length; index++) {
      yield { index, page: this.tree.bits.subarray(index * bitPageBytes, (index + 1) * bitPageBytes) }
    }
  }

  createBitfieldStream = (): Iterable<unknown> => this.#pages()
  createUserDataStream = (): Iterable<unknown> => []
  createMarkStream = (): Iterable<unknown> => []
  findDependencyIndex = (): number => -1
  setDependencyHead = (): void => undefined
  updateDependencyLength = (): void => undefined
  resumeSession = (): Promise<null> => Promise.resolve(null)
  createSession = (): Promise<never> => Promise.reject(new WriteFailed('a static core has no sessions'))
  compact = (): Promise<void> => Promise.resolve()
  close = (): Promise<void> => Promise.resolve()
}

/**
 * Storage for one Hypercore whose blocks are those of a plain file: what `hypercore-storage` keeps in RocksDB is the
 * block tree here, and the bytes stay where they are. So a model lies on disk once, may be seeded by any number of
 * processes, and its key depends on nothing but its content.
 *
 * Hypercore calls it as it calls a `CorestoreStorage` of hypercore-storage 3.3.1 (the pinned version); what a static
 * core never needs is refused.
 */
export class StaticStorage {
  readonly #core: CoreStorage
  #isThere = false

  constructor(tree: BlockTree, file: BlockFile, events: StorageEvents) {
    this.#core = new CoreStorage(this, tree, file, events)
  }

  /** A core whose tree is known, at least its roots: it is there from the beginning. */
  static known(
    identity: { readonly key: Buffer; readonly discoveryKey: Buffer; readonly manifest: StaticManifest },
    tree: BlockTree,
    file: BlockFile,
    events: StorageEvents,
  ): StaticStorage {
    const storage = new StaticStorage(tree, file, events)
    const rootHash = identity.manifest.prologue?.hash ?? null
    storage.#core.auth = { ...identity, keyPair: null }
    storage.#core.head = { fork: 0, length: tree.blocks, rootHash, signature: null, timestamp: 0 }
    storage.#isThere = true
    return storage
  }

  /** Hypercore tells a storage by this method. */
  setDefaultDiscoveryKey = (): void => undefined
  get db(): this {
    return this
  }

  resumeCore = (): Promise<CoreStorage | null> => Promise.resolve(this.#isThere ? this.#core : null)
  createCore = (auth: Auth): Promise<CoreStorage> => {
    this.#isThere = true
    this.#core.auth = {
      key: auth.key,
      discoveryKey: auth.discoveryKey,
      manifest: auth.manifest,
      keyPair: null,
    }
    return Promise.resolve(this.#core)
  }
  createGroup = never
  close = (): Promise<void> => Promise.resolve()
}
