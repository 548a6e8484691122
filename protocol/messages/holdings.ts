import type { PeerId } from '../ids.ts'
import type { Head } from '../trust/head.ts'

/**
 * One account as one line of a list: enough to see who has more. Nothing is believed because of it; what matters is
 * sent in full and checked.
 */
export interface Holding {
  /** First 8 bytes of the account id, in hex. */
  readonly prefix: string
  /** Entries of the longest log of which a valid head is held; 0 for a card without a head. */
  readonly length: number
  /** First 4 bytes of that head's tree hash, in hex: two logs of one length differ in it. */
  readonly mark: string
}

const prefixBytes = 8
const lengthBytes = 4
const markBytes = 4
/** Bytes of one line: 8 of the id, 4 of the length (little-endian), 4 of the tree hash. */
export const holdingBytes = prefixBytes + lengthBytes + markBytes

export const toPrefix = (accountId: PeerId): string => accountId.slice(0, 2 * prefixBytes)

export const toHolding = (accountId: PeerId, head: Head | undefined): Holding => ({
  prefix: toPrefix(accountId),
  length: head?.length ?? 0,
  mark: (head?.treeHash ?? '').slice(0, 2 * markBytes).padEnd(2 * markBytes, '0'),
})

export function encodeHoldings(list: readonly Holding[]): Buffer {
  const bytes = Buffer.alloc(list.length * holdingBytes)
  list.forEach(({ prefix, length, mark }, index) => {
    const at = index * holdingBytes
    bytes.write(prefix, at, 'hex')
    bytes.writeUInt32LE(length, at + prefixBytes)
    bytes.write(mark, at + prefixBytes + lengthBytes, 'hex')
  })
  return bytes
}

/** Undefined when the bytes are not whole lines. */
export function parseHoldings(bytes: Buffer): readonly Holding[] | undefined {
  if (bytes.length % holdingBytes !== 0) return undefined
  return Array.from({ length: bytes.length / holdingBytes }, (_, index) => {
    const at = index * holdingBytes
    return {
      prefix: bytes.toString('hex', at, at + prefixBytes),
      length: bytes.readUInt32LE(at + prefixBytes),
      mark: bytes.toString('hex', at + prefixBytes + lengthBytes, at + holdingBytes),
    }
  })
}
