import type { PeerId } from '../ids.ts'
import { limits } from '../limits.ts'
import { format, hex, uint, varint } from './codec.ts'
import { type NetworkId, signedFormat } from './signing.ts'

/** An account's word for how far its log goes: all its entries follow from the tree hash. */
export interface Head {
  readonly accountId: PeerId
  /** When it was signed, in epochs since 1970. */
  readonly epoch: number
  /** Entries, at most 10^9. */
  readonly length: number
  /** Hypercore's tree hash at that length, 32 bytes in hex. */
  readonly treeHash: string
  /** By the account, 64 bytes in hex. */
  readonly signature: string
}

/** At most 138 bytes. */
export const headFormat = signedFormat<Head>(
  'head',
  format(1, {
    accountId: hex(32),
    epoch: uint(4, limits.epochMax),
    length: varint(limits.logLengthMax),
    treeHash: hex(32),
  }),
)

export const isHeadValid = (head: Head, networkId: NetworkId): boolean =>
  headFormat.isSigned(head, head.accountId, networkId)
