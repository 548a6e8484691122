import sodium from 'sodium-universal'

/** A root of the Merkle tree over a log. */
export interface TreeRoot {
  readonly index: number
  readonly size: number
  readonly hash: Uint8Array
}

const rootType = Buffer.of(2)

/** What a log signs, as 64 hex characters: BLAKE2b-256 over the roots of its tree, as Hypercore defines it. */
export function toTreeHash(roots: readonly TreeRoot[]): string {
  const parts: Uint8Array[] = [rootType]
  for (const { index, size, hash } of roots) parts.push(hash, toUint64(index), toUint64(size))
  const output = Buffer.allocUnsafe(32)
  sodium.crypto_generichash_batch(output, parts)
  return output.toString('hex')
}

function toUint64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
