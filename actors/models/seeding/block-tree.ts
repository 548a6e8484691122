import { type ByteRange, RangeSet } from '../../../machines/models/range-set.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import { countBlocks } from '../store/block-hashes.ts'
import { sizeOfBlock, toParent, toTreeHash, type TreeNode } from './merkle.ts'

/** Bytes of one node as it is kept: its hash, and its size as 64 bits. */
export const nodeBytes = 40
const hashBytes = 32
/** Bytes of a page of Hypercore's bitfield. */
export const bitPageBytes = 4_096

/** The indexes of the roots over so many blocks, from the left. */
function rootsOver(blocks: number): number[] {
  const roots: number[] = []
  let start = 0
  for (let height = 52; height >= 0; height--) {
    const span = 2 ** height
    if (blocks - start < span) continue
    roots.push(2 * start + span - 1)
    start += span
  }
  return roots
}

/**
 * The Merkle tree of one file, and which of its blocks are here and proven. It is all in memory: 1.25 MiB for each
 * GiB of the file, all zeros at first, which costs nothing.
 */
export class BlockTree {
  readonly bytes: number
  readonly blocks: number
  /** `nodeBytes` for each index; a size of 0 says that the node is not known. */
  readonly nodes: Buffer
  /** One bit a block, in whole pages of Hypercore's. */
  readonly bits: Buffer
  #has = 0

  constructor(bytes: number) {
    this.bytes = bytes
    this.blocks = countBlocks(bytes)
    this.nodes = Buffer.alloc(nodeBytes * Math.max(0, 2 * this.blocks - 1))
    this.bits = Buffer.alloc(bitPageBytes * Math.ceil(this.blocks / (8 * bitPageBytes)))
  }

  get(index: number): TreeNode | undefined {
    const at = index * nodeBytes
    if (index < 0 || at + nodeBytes > this.nodes.length) return undefined
    const size = Number(this.nodes.readBigUInt64LE(at + hashBytes))
    return size === 0 ? undefined : { index, size, hash: this.nodes.subarray(at, at + hashBytes) }
  }

  /** @throws RangeError for a node that the tree of this file has no place for */
  put({ index, size, hash }: TreeNode): void {
    const at = index * nodeBytes
    if (index < 0 || at + nodeBytes > this.nodes.length) throw new RangeError(`no node ${index}`)
    this.nodes.set(hash, at)
    this.nodes.writeBigUInt64LE(BigInt(size), at + hashBytes)
  }

  has(block: number): boolean {
    return ((this.bits[block >> 3] ?? 0) & (1 << (block & 7))) !== 0
  }

  mark(block: number, isHere: boolean): void {
    if (block < 0 || block >= this.blocks || this.has(block) === isHere) return
    this.bits[block >> 3] = (this.bits[block >> 3] ?? 0) ^ (1 << (block & 7))
    this.#has += isHere ? 1 : -1
  }

  /** The bytes of blocks that are not here, as ranges none of which touch. */
  missing(): readonly ByteRange[] {
    const here = new RangeSet()
    for (let block = 0; block < this.blocks; block++) {
      const start = block * blockBytes
      if (this.has(block)) here.add(start, start + sizeOfBlock(block, this.bytes))
    }
    return here.missing(this.bytes)
  }

  /** Proven blocks that are here. */
  get blocksHere(): number {
    return this.#has
  }

  get isComplete(): boolean {
    return this.#has === this.blocks
  }

  /** The hash of the whole tree; undefined while a root is missing. */
  rootHash(): Buffer | undefined {
    const roots: TreeNode[] = []
    for (const index of rootsOver(this.blocks)) {
      const root = this.get(index)
      if (!root) return undefined
      roots.push(root)
    }
    return toTreeHash(roots)
  }

  /** A page of Hypercore's bitfield, all of it. */
  setPage(page: number, bits: Uint8Array): void {
    const first = page * bitPageBytes
    for (let at = 0; at < bitPageBytes; at++) {
      const [was, is] = [this.bits[first + at] ?? 0, bits[at] ?? 0]
      if (was === is) continue
      for (let bit = 0; bit < 8; bit++) this.mark((first + at) * 8 + bit, (is & (1 << bit)) !== 0)
    }
  }

  /** Counts afresh after `bits` was filled from elsewhere; bits behind the end are dropped. */
  recount(): void {
    this.#has = 0
    for (let block = 0; block < this.bits.length * 8; block++) {
      if (!this.has(block)) continue
      if (block < this.blocks) this.#has++
      else this.bits[block >> 3] = (this.bits[block >> 3] ?? 0) & ~(1 << (block & 7))
    }
  }

  /**
   * Whether it holds together: every parent that stands over two known children is their hash, every block that is
   * here has its leaf, of the size it has in the file. What was read from a disk may be anything; handed on, it would
   * make us look like a liar.
   */
  isSound(): boolean {
    for (let block = 0; block < this.blocks; block++) {
      const leaf = this.get(2 * block)
      if (leaf ? leaf.size !== sizeOfBlock(block, this.bytes) : this.has(block)) return false
    }
    for (let height = 1; 2 ** height <= this.blocks; height++) {
      const [step, half] = [2 ** (height + 1), 2 ** (height - 1)]
      for (let index = 2 ** height - 1; index < 2 * this.blocks - 1; index += step) {
        const [left, right] = [this.get(index - half), this.get(index + half)]
        const parent = this.get(index)
        if (!left || !right || !parent) continue
        if (!toParent(index, left, right).hash.equals(parent.hash)) return false
      }
    }
    return true
  }
}
