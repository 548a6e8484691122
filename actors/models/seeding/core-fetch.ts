import { setMaxListeners } from 'node:events'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type PeerId, QMeshError, toQMeshError } from '../../../protocol/index.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import type { PartialModel } from '../store/stored-model.ts'
import { hashBlock } from '../store/block-hashes.ts'
import { BlockTree } from './block-tree.ts'
import type { CoreLink } from './core-link.ts'
import { sizeOfBlock } from './merkle.ts'
import type { RateLimit } from './rate-limit.ts'
import { type CoreKey, StaticCore } from './static-core.ts'
import { TreeFile } from './tree-file.ts'
import { toPeerId } from './seed.ts'

/** How long is waited, in milliseconds. */
export interface FetchPatience {
  /** For a first peer that has the file. */
  readonly findMs: number
  /** For peers nearby, before those further away are asked as well. */
  readonly nearMs: number
  /** For the next block, from anybody. */
  readonly stallMs: number
}

export const fetchPatience: FetchPatience = { findMs: 10_000, nearMs: 1_500, stallMs: 20_000 }

/** The part of a file on its way that fetching needs; the file that is being repaired is another. */
export type FetchTarget = Pick<
  PartialModel,
  'path' | 'bytes' | 'has' | 'missing' | 'read' | 'write' | 'forget'
>

export interface CoreFetchOptions {
  readonly key: CoreKey
  readonly target: FetchTarget
  /** The whole tree, where it is known already; absent, one is kept beside the target and grows with it. */
  readonly tree?: BlockTree | undefined
  readonly download: RateLimit
  readonly upload: RateLimit
  readonly patience: FetchPatience
  readonly signal?: AbortSignal | undefined
  /** Whom blocks are taken from: a whitelist, and nobody who lied before. */
  readonly isWelcome: (peerId: PeerId) => boolean
  readonly onBytes?: ((bytes: number, peerId: PeerId) => void) | undefined
  readonly onGiven?: ((bytes: number, peerId: PeerId) => void) | undefined
  readonly onLie: (peerId: PeerId) => void
}

/** The tree is saved after so many blocks at the latest, 4 MiB; and after each hundredth part of a smaller file. */
const blocksPerSave = 64

/** Fetches one file from all peers that have parts of it, and gives them the parts that are here already. */
export class CoreFetch {
  readonly #options: CoreFetchOptions
  readonly #links = new Set<CoreLink>()
  readonly #liars = new Set<PeerId>()
  readonly #lastTookMs = new Map<PeerId, number>()
  #core: StaticCore | undefined
  #treeFile: TreeFile | undefined
  #unsaved = 0
  #isWide = false
  #startedMs = performance.now()
  #tookMs = performance.now()
  #failure: QMeshError | undefined
  #wake: () => void = () => undefined

  constructor(options: CoreFetchOptions) {
    this.#options = options
  }

  /** A connection that may have the file, or may want parts of it. */
  connect(link: CoreLink): void {
    this.#links.add(link)
    this.#ask(link)
  }

  disconnect(link: CoreLink): void {
    this.#links.delete(link)
    this.#core?.detach(link.mux)
  }

  /**
   * Resolves when every block of the target is there. What came stays, whatever happens.
   *
   * @throws QMeshError `QM_SOURCE_FAILED` when nobody has it or nobody sends on, `QM_DISK_FULL`, `QM_CANCELLED`
   */
  async run(): Promise<void> {
    const { target, signal } = this.#options
    // Every block that waits for its turn listens.
    if (signal) setMaxListeners(0, signal)
    const core = await this.#openCore()
    this.#core = core
    const wanted = missingBlocks(target)
    const download = core.download(wanted)
    let ticker: NodeJS.Timeout | undefined
    const onAbort = (): void => this.#wake()
    signal?.addEventListener('abort', onAbort)
    try {
      core.setActive(true)
      this.#startedMs = this.#tookMs = performance.now()
      for (const link of this.#links) this.#ask(link)
      ticker = setInterval(() => this.#look(), Math.max(20, Math.min(1_000, this.#options.patience.nearMs)))
      const stopped = new Promise<void>((resolve) => (this.#wake = resolve))
      // While the core was opened nobody listened yet.
      if (signal?.aborted) this.#wake()
      if (wanted.length > 0) await Promise.race([download.done().catch(() => undefined), stopped])
      if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
      if (this.#failure) throw this.#failure
    } finally {
      clearInterval(ticker)
      signal?.removeEventListener('abort', onAbort)
      download.destroy()
      core.setActive(false)
      for (const { mux } of this.#links) core.detach(mux)
      this.#core = undefined
      await core.close().catch(() => undefined)
      await this.#treeFile?.close()
    }
  }

  /** Blocks that are here and proven. */
  static async proven(target: Pick<PartialModel, 'path' | 'bytes'>): Promise<BlockTree | undefined> {
    return (await TreeFile.read(join(dirname(target.path), 'tree'), target.bytes))?.tree
  }

  async #openCore(): Promise<StaticCore> {
    const { target, tree } = this.#options
    if (tree) return this.#open(tree)
    const path = join(dirname(target.path), 'tree')
    const known = await TreeFile.read(path, target.bytes)
    if (known) {
      this.#treeFile = known
      await this.#reconcile(known.tree)
      try {
        return await this.#open(known.tree)
      } catch (error) {
        // A tree of another core: it came from a manifest that was corrected since.
        if (toQMeshError(error).code !== 'QM_MODEL_DAMAGED') throw error
      }
    }
    await rm(path, { force: true })
    this.#treeFile = new TreeFile(path, new BlockTree(target.bytes))
    return this.#open(this.#treeFile.tree)
  }

  #open(tree: BlockTree): Promise<StaticCore> {
    const { key, target, download, upload, signal, onGiven } = this.#options
    const file = {
      read: async (block: number, isForPeer: boolean): Promise<Buffer | null> => {
        const start = block * blockBytes
        const size = sizeOfBlock(block, target.bytes)
        if (isForPeer) await upload.take(size)
        return target.read(start, start + size).catch(() => null)
      },
      write: async (block: number, data: Buffer): Promise<void> => {
        // A core of other blocks is not one of this file, whoever signed for it.
        if (data.length !== sizeOfBlock(block, target.bytes)) {
          throw new QMeshError('QM_MODEL_INVALID', 'the core named by the manifest is not one of this file')
        }
        await download.take(data.length, signal)
        await target.write(block * blockBytes, data)
      },
    }
    return StaticCore.open(key, tree, file, {
      changed: (nodes) => {
        for (const node of nodes) this.#treeFile?.touch(node)
        this.#treeFile?.touchBits()
      },
      wrote: (blocks) => this.#onWrote(blocks.length),
      writeFailed: (error) => {
        if (!signal?.aborted) this.#fail(toQMeshError(error, 'QM_SOURCE_FAILED'))
      },
      took: (bytes, peer) => {
        this.#tookMs = performance.now()
        this.#lastTookMs.set(toPeerId(peer), this.#tookMs)
        this.#options.onBytes?.(bytes, toPeerId(peer))
      },
      gave: (bytes, peer) => onGiven?.(bytes, toPeerId(peer)),
      lied: (peer) => {
        const peerId = toPeerId(peer)
        if (this.#liars.has(peerId)) return
        this.#liars.add(peerId)
        this.#options.onLie(peerId)
        for (const link of this.#links) if (link.peerId === peerId) this.#core?.detach(link.mux)
      },
    })
  }

  /** What the tree says is here and the target does not know is fetched again, and the other way round proven. */
  async #reconcile(tree: BlockTree): Promise<void> {
    const { target } = this.#options
    for (let block = 0; block < tree.blocks; block++) {
      const start = block * blockBytes
      const end = start + sizeOfBlock(block, target.bytes)
      const isThere = target.has(start, end)
      if (tree.has(block) && !isThere) {
        tree.mark(block, false)
        this.#treeFile?.touchBits()
      } else if (!tree.has(block) && isThere) {
        const leaf = tree.get(2 * block)
        if (!leaf) continue
        if (hashBlock(await target.read(start, end)).equals(leaf.hash)) {
          tree.mark(block, true)
          this.#treeFile?.touchBits()
        } else await target.forget(start, end)
      }
    }
  }

  #ask(link: CoreLink): void {
    const core = this.#core
    if (!core || !this.#options.isWelcome(link.peerId) || this.#liars.has(link.peerId)) return
    if (!link.isNear && !this.#isWide) return
    // Asked anew when it had nothing the last time: it may have some by now.
    const isOpen = core.peers.some(({ stream }) => stream === link.mux.stream)
    if (isOpen) return
    core.detach(link.mux)
    core.attach(link.mux)
  }

  /** Now and then: asks those who had nothing again, asks further away, and gives up on those who do not send. */
  #look(): void {
    const core = this.#core
    const { patience } = this.#options
    if (!core) return
    const nowMs = performance.now()
    const sinceMs = nowMs - this.#tookMs
    if (!this.#isWide && sinceMs >= patience.nearMs) this.#isWide = true
    for (const link of this.#links) this.#ask(link)
    const hasSource = core.peers.some(({ remoteLength }) => remoteLength > 0)
    if (!hasSource && nowMs - this.#startedMs >= patience.findMs && sinceMs >= patience.findMs) {
      this.#fail(new QMeshError('QM_SOURCE_FAILED', 'no peer that can be reached has this model'))
    } else if (sinceMs >= patience.stallMs) {
      this.#fail(
        new QMeshError('QM_SOURCE_FAILED', `no peer sent anything for ${Math.round(sinceMs / 1_000)} s`),
      )
    }
  }

  #onWrote(blocks: number): void {
    this.#unsaved += blocks
    const { tree } = this.#treeFile ?? {}
    if (!tree || this.#unsaved < Math.min(blocksPerSave, Math.ceil(tree.blocks / 100))) return
    this.#unsaved = 0
    // The disk will say so again when the next block is written.
    this.#treeFile?.save().catch(() => undefined)
  }

  #fail(error: QMeshError): void {
    this.#failure ??= error
    this.#wake()
  }
}

function missingBlocks(target: FetchTarget): number[] {
  const blocks: number[] = []
  for (const { start, end } of target.missing()) {
    const first = Math.max(Math.floor(start / blockBytes), (blocks.at(-1) ?? -1) + 1)
    for (let block = first; block * blockBytes < end; block++) blocks.push(block)
  }
  return blocks
}
