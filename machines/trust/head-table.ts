import type { PeerId } from '../../protocol/index.ts'
import { hash256, type Head } from '../../protocol/trust/index.ts'

/** Ranges of account ids: one for each first hex digit. */
export const rangeCount = 16

/** What a table keeps of a head. */
export type TableHead = Pick<Head, 'accountId' | 'length' | 'treeHash'>

/** A hash of each range's heads, 16 bytes in hex. Two tables with equal digests are equal. */
export type TableDigest = readonly string[]

const hashBytes = 16

export const toRange = (accountId: PeerId): number => Number.parseInt(accountId.charAt(0), 16)

/**
 * The newest head of every account's log, with a digest by which two peers find out cheaply in which ranges they differ.
 * A log never becomes shorter; of two heads of one length the first stays. The digest of a range is the XOR of its
 * heads' hashes, so a change costs one hash however many there are.
 */
export class HeadTable {
  readonly #entries = new Map<PeerId, { readonly length: number; readonly hash: Buffer }>()
  readonly #digests = Array.from({ length: rangeCount }, () => Buffer.alloc(hashBytes))

  get size(): number {
    return this.#entries.size
  }

  /**
   * Notes a longer log. False when it is no longer than the one known: nothing changed.
   *
   * @throws RangeError for an account id that is not hex
   */
  raise<One extends TableHead>(head: One, toHash: (head: One) => Buffer = toHeadHash): boolean {
    const { accountId, length } = head
    if (!(toRange(accountId) >= 0)) throw new RangeError(`Expected an account id in hex, got ${accountId}`)
    if (length <= (this.#entries.get(accountId)?.length ?? 0)) return false
    const hash = toHash(head)
    this.delete(accountId)
    this.#entries.set(accountId, { length, hash })
    this.#toggle(accountId, hash)
    return true
  }

  /** False when there was none. */
  delete(accountId: PeerId): boolean {
    const known = this.#entries.get(accountId)
    if (!known) return false
    this.#entries.delete(accountId)
    this.#toggle(accountId, known.hash)
    return true
  }

  digest(): TableDigest {
    return this.#digests.map((digest) => digest.toString('hex'))
  }

  #toggle(accountId: PeerId, hash: Buffer): void {
    this.#digests[toRange(accountId)]?.forEach((byte, at, digest) => {
      digest[at] = byte ^ (hash[at] ?? 0)
    })
  }
}

/** The ranges in which two tables differ. A digest that is none differs everywhere. */
export function differingRanges(mine: TableDigest, theirs: TableDigest): number[] {
  return mine.flatMap((digest, range) => (digest === theirs[range] ? [] : [range]))
}

/** BLAKE2b-256 over the account, the length (4 bytes, little endian) and the tree hash. */
export function toHeadHash({ accountId, length, treeHash }: TableHead): Buffer {
  const lengthBytes = Buffer.alloc(4)
  lengthBytes.writeUInt32LE(length)
  return hash256(Buffer.from(accountId, 'hex'), lengthBytes, Buffer.from(treeHash, 'hex'))
}
