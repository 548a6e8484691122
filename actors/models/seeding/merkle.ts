import { blockBytes } from '../../../protocol/models/index.ts'
import { hash256 } from '../../../protocol/trust/signing.ts'
import { hashBlock } from '../store/block-hashes.ts'

/**
 * One node of Hypercore's Merkle tree. Leaves have even indexes, `2 · block`; a node of height h at place p has the
 * index `p · 2^(h+1) + 2^h − 1`.
 */
export interface TreeNode {
  readonly index: number
  /** Bytes below it. */
  readonly size: number
  readonly hash: Buffer
}

const [parentType, rootType] = [Buffer.from([1]), Buffer.from([2])]

function uint64(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(8 * values.length)
  values.forEach((value, at) => bytes.writeBigUInt64LE(BigInt(value), 8 * at))
  return bytes
}

export const toParent = (index: number, left: TreeNode, right: TreeNode): TreeNode => {
  const size = left.size + right.size
  return { index, size, hash: hash256(parentType, uint64(size), left.hash, right.hash) }
}

/** The hash that the key of a static core is made from. */
export const toTreeHash = (roots: readonly TreeNode[]): Buffer =>
  hash256(rootType, ...roots.flatMap(({ hash, index, size }) => [hash, uint64(index, size)]))

/** Bytes of one block of a file of so many bytes. */
export const sizeOfBlock = (block: number, bytes: number): number =>
  Math.min(blockBytes, bytes - block * blockBytes)

interface Pending {
  readonly height: number
  readonly place: number
  readonly node: TreeNode
}

/** Grows a tree block by block and hands over every node once, children before parents. */
export class TreeBuilder {
  readonly #onNode: (node: TreeNode) => void
  readonly #pending: Pending[] = []
  #blocks = 0

  constructor(onNode: (node: TreeNode) => void) {
    this.#onNode = onNode
  }

  /** The next block. */
  add(data: Uint8Array): void {
    this.addLeaf(hashBlock(data), data.byteLength)
  }

  /** The next block by its hash. */
  addLeaf(hash: Buffer, size: number): void {
    const place = this.#blocks++
    const leaf = { index: 2 * place, size, hash }
    this.#onNode(leaf)
    let top: Pending = { height: 0, place, node: leaf }
    for (let left = this.#pending.at(-1); left?.height === top.height; left = this.#pending.at(-1)) {
      this.#pending.pop()
      const height = top.height + 1
      const at = top.place >> 1
      const node = toParent(at * 2 ** (height + 1) + 2 ** height - 1, left.node, top.node)
      this.#onNode(node)
      top = { height, place: at, node }
    }
    this.#pending.push(top)
  }

  /** The tops of the trees that make up all blocks so far, from the left. */
  get roots(): readonly TreeNode[] {
    return this.#pending.map(({ node }) => node)
  }
}
