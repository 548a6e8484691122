import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { RangeSet, type ByteRange } from '../../../machines/models/range-set.ts'
import type { ModelHash } from '../../../protocol/index.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import { hash256 } from '../../../protocol/trust/signing.ts'
import type { VerifyOptions } from './stored-model.ts'

/** Bytes of the hash of one block. */
export const leafBytes = 32

const leafType = Buffer.from([0])

/**
 * The hash of one block: that of a leaf of a Hypercore's Merkle tree, so that what verifies a file on disk is what
 * verifies it on its way between peers.
 */
export function hashBlock(block: Uint8Array): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(block.byteLength))
  return hash256(leafType, length, block)
}

export const countBlocks = (bytes: number): number => Math.ceil(bytes / blockBytes)

/** Blocks read at once. Between two reads the event loop turns, so that hashing gigabytes holds nobody up for long. */
const blocksPerRead = 16

/** Calls `onBlock` with every block in order. */
export async function eachBlock(
  file: FileHandle,
  bytes: number,
  { signal, onProgress }: VerifyOptions,
  onBlock: (block: Buffer, index: number) => void,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(blocksPerRead * blockBytes)
  for (let at = 0; at < bytes;) {
    signal?.throwIfAborted()
    const wanted = Math.min(buffer.length, bytes - at)
    let read = 0
    while (read < wanted) {
      const { bytesRead } = await file.read(buffer, read, wanted - read, at + read)
      // What is not there any more reads as zeros: its blocks will not have their hash.
      if (bytesRead === 0) buffer.fill(0, read, wanted)
      read += bytesRead === 0 ? wanted - read : bytesRead
    }
    for (let offset = 0; offset < wanted; offset += blockBytes)
      onBlock(buffer.subarray(offset, Math.min(offset + blockBytes, wanted)), (at + offset) / blockBytes)
    at += wanted
    onProgress?.(at, bytes)
  }
}

/** Reads a file once, for its SHA-256 and the hashes of its blocks. */
export async function scanFile(
  file: FileHandle,
  bytes: number,
  options: VerifyOptions,
): Promise<{ readonly hash: ModelHash; readonly leaves: Buffer }> {
  const sha256 = createHash('sha256')
  const leaves = Buffer.alloc(countBlocks(bytes) * leafBytes)
  await eachBlock(file, bytes, options, (block, index) => {
    sha256.update(block)
    leaves.set(hashBlock(block), index * leafBytes)
  })
  return { hash: sha256.digest('hex'), leaves }
}

/** The blocks that have not their hash, joined where they touch. */
export async function findDamage(
  file: FileHandle,
  bytes: number,
  leaves: Buffer,
  options: VerifyOptions,
): Promise<readonly ByteRange[]> {
  const damaged = new RangeSet()
  await eachBlock(file, bytes, options, (block, index) => {
    const expected = leaves.subarray(index * leafBytes, (index + 1) * leafBytes)
    if (!hashBlock(block).equals(expected)) damaged.add(index * blockBytes, index * blockBytes + block.length)
  })
  return damaged.ranges
}
