import { open } from 'node:fs/promises'
import { QMeshError } from '../../../protocol/index.ts'
import { BlockTree } from './block-tree.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import { leafBytes } from '../store/block-hashes.ts'
import { sizeOfBlock, TreeBuilder } from './merkle.ts'

/** Blocks read at once: 1 MiB, about a millisecond of hashing between two turns of the event loop. */
const blocksAtOnce = 16

/** The tree of a whole file from the hashes of its blocks: about 30 ms a gigabyte. */
export function treeOfLeaves(bytes: number, leaves: Buffer): BlockTree {
  const tree = new BlockTree(bytes)
  const builder = new TreeBuilder((node) => tree.put(node))
  for (let block = 0; block < tree.blocks; block++) {
    const at = block * leafBytes
    builder.addLeaf(leaves.subarray(at, at + leafBytes), sizeOfBlock(block, bytes))
    tree.mark(block, true)
  }
  return tree
}

export interface BuildOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: (bytesDone: number) => void
}

/**
 * Reads a whole file and makes its tree, about half a second a gigabyte.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING`; `QM_CANCELLED`
 */
export async function buildTree(path: string, { signal, onProgress }: BuildOptions = {}): Promise<BlockTree> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new QMeshError('QM_MODEL_FILE_MISSING', `the model file ${path} cannot be read`, { cause })
  })
  try {
    const { size } = await file.stat()
    const tree = new BlockTree(size)
    const builder = new TreeBuilder((node) => tree.put(node))
    const buffer = Buffer.allocUnsafe(blocksAtOnce * blockBytes)
    for (let at = 0; at < size;) {
      if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
      const wanted = Math.min(buffer.length, size - at)
      let got = 0
      while (got < wanted) {
        const { bytesRead } = await file.read(buffer, got, wanted - got, at + got)
        if (bytesRead === 0) {
          throw new QMeshError('QM_MODEL_FILE_INVALID', `the file ${path} became shorter while it was read`)
        }
        got += bytesRead
      }
      for (let from = 0; from < wanted; from += blockBytes) {
        builder.add(buffer.subarray(from, Math.min(wanted, from + blockBytes)))
        tree.mark((at + from) / blockBytes, true)
      }
      at += wanted
      onProgress?.(at)
    }
    return tree
  } finally {
    await file.close()
  }
}
