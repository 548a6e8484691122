import { mkdir, open, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bitPageBytes, BlockTree, nodeBytes } from './block-tree.ts'

const magic = Buffer.from('QMTREE1\n')
const headBytes = 4_096
/** Nodes are written in pages of so many bytes. */
const pageBytes = 4_096

/**
 * The tree of a file on its way, beside it on disk: 0.12 % of it. The nodes are written before the bits that speak of them, so a
 * process that is killed in between forgets the latest blocks and never claims one it cannot prove. After a loss of
 * power anything may be there: `read` looks whether it holds together, and the file itself is hashed before use.
 */
export class TreeFile {
  readonly tree: BlockTree
  readonly #path: string
  #file: FileHandle | undefined
  readonly #dirty = new Set<number>()
  #areBitsDirty = false
  /** A block that comes late must not open the file again. */
  #isClosed = false
  #saving: Promise<void> = Promise.resolve()

  constructor(path: string, tree: BlockTree) {
    this.#path = path
    this.tree = tree
  }

  get path(): string {
    return this.#path
  }

  /** Undefined when there is none, or one that is of another file or does not hold together. */
  static async read(path: string, bytes: number): Promise<TreeFile | undefined> {
    const file = await open(path, 'r').catch(() => undefined)
    if (!file) return undefined
    try {
      const head = Buffer.alloc(magic.length + 8)
      await file.read(head, 0, head.length, 0)
      if (!head.subarray(0, magic.length).equals(magic)) return undefined
      if (head.readBigUInt64LE(magic.length) !== BigInt(bytes)) return undefined
      const tree = new BlockTree(bytes)
      await readFully(file, tree.bits, headBytes)
      await readFully(file, tree.nodes, headBytes + tree.bits.length)
      tree.recount()
      return tree.isSound() ? new TreeFile(path, tree) : undefined
    } catch {
      return undefined
    } finally {
      await file.close()
    }
  }

  /** To be told of each node that was put into the tree. */
  touch(index: number): void {
    const at = index * nodeBytes
    this.#dirty.add(Math.floor(at / pageBytes)).add(Math.floor((at + nodeBytes - 1) / pageBytes))
  }

  touchBits(): void {
    this.#areBitsDirty = true
  }

  /** Writes what changed, one call after the other. @throws what the disk says */
  save(): Promise<void> {
    const saved = this.#saving.then(() => this.#save())
    this.#saving = saved.catch(() => undefined)
    return saved
  }

  async #save(): Promise<void> {
    if (this.#isClosed) return
    const { bits, nodes, bytes } = this.tree
    const pages = [...this.#dirty].toSorted((a, b) => a - b)
    const areBitsDirty = this.#areBitsDirty
    if (pages.length === 0 && !areBitsDirty) return
    // What speaks of the nodes is copied before they are written: bits that come meanwhile wait for the next time.
    const bitsNow = Buffer.from(bits)
    this.#dirty.clear()
    this.#areBitsDirty = false
    if (!this.#file) {
      await mkdir(dirname(this.#path), { recursive: true })
      this.#file = await open(this.#path, 'r+').catch(() => open(this.#path, 'w+'))
      const head = Buffer.alloc(magic.length + 8)
      magic.copy(head)
      head.writeBigUInt64LE(BigInt(bytes), magic.length)
      await this.#file.write(head, 0, head.length, 0)
      await this.#file.truncate(headBytes + bits.length + nodes.length)
    }
    const file = this.#file
    const from = headBytes + bits.length
    for (let first = 0; first < pages.length;) {
      let last = first
      while (pages[last + 1] === (pages[last] ?? 0) + 1) last++
      const start = (pages[first] ?? 0) * pageBytes
      const end = Math.min(nodes.length, ((pages[last] ?? 0) + 1) * pageBytes)
      if (end > start) await file.write(nodes, start, end - start, from + start)
      first = last + 1
    }
    if (areBitsDirty) {
      for (let at = 0; at < bits.length; at += bitPageBytes) {
        await file.write(bitsNow, at, bitPageBytes, headBytes + at)
      }
    }
  }

  /** Writes what is left and lets go of the file. */
  async close(): Promise<void> {
    await this.save().catch(() => undefined)
    this.#isClosed = true
    await this.#file?.close()
    this.#file = undefined
  }
}

async function readFully(file: FileHandle, into: Buffer, from: number): Promise<void> {
  for (let at = 0; at < into.length;) {
    const { bytesRead } = await file.read(into, at, Math.min(into.length - at, 1 << 26), from + at)
    if (bytesRead === 0) throw new RangeError('the file ends too early')
    at += bytesRead
  }
}
