import sodium from 'sodium-universal'
import { limits, type PeerId } from '../../protocol/index.ts'

/** Ranges of account ids: one for each first hex digit. */
export const rangeCount = 16
/** Entries in one page. */
export const pageEntriesMax = 256

/** How long an account's log is known to be. */
export interface LengthEntry {
  readonly accountId: PeerId
  readonly length: number
}

/** A hash of each range's entries, 16 bytes in hex. Two tables with equal digests are equal. */
export type TableDigest = readonly string[]

/**
 * All entries of a range behind one account and up to another. What is not in it and would fit between, its sender
 * does not know.
 */
export interface RangePage {
  /** 0 to 15. */
  readonly range: number
  /** An account id, or '' for the start of the range. */
  readonly after: string
  /** An account id, or '' for the end of the range: this was the last page. */
  readonly upTo: string
  /** In the order of account ids. */
  readonly entries: readonly LengthEntry[]
}

/** A page of a peer beside the own table. */
export interface PageDifference {
  /** What I know and the peer does not, at most `pageEntriesMax`: worth sending. */
  readonly ahead: readonly LengthEntry[]
  /** What the peer claims to know: worth asking for, and to be believed only with a signed head. */
  readonly behind: readonly LengthEntry[]
}

const hashBytes = 16
const domain = Buffer.from('qmesh/lengths/1')

export const toRange = (accountId: PeerId): number => Number.parseInt(accountId.charAt(0), 16)

/**
 * How long everybody's log is, with a digest by which two peers find out cheaply in which part of it they differ. A
 * length never shrinks. The digest of a range is the XOR of its entries' hashes, so one more entry costs one hash.
 */
export class LengthTable {
  readonly #lengths = new Map<PeerId, number>()
  readonly #digests = Array.from({ length: rangeCount }, () => Buffer.alloc(hashBytes))
  readonly #toHash: (entry: LengthEntry) => Buffer
  /** Account ids of each range, put in order when somebody asks. */
  readonly #ids = Array.from({ length: rangeCount }, () => ({ ids: [] as PeerId[], isSorted: true }))

  /** @param toHash for a simulation in which many tables hash the same entries */
  constructor(entries: Iterable<readonly [PeerId, number]> = [], toHash = toEntryHash) {
    this.#toHash = toHash
    for (const [accountId, length] of entries) this.raise({ accountId, length })
  }

  get size(): number {
    return this.#lengths.size
  }

  /** 0 for an account that is not known. */
  lengthOf(accountId: PeerId): number {
    return this.#lengths.get(accountId) ?? 0
  }

  /** Notes a longer log. False when it is no longer than the one known: nothing changed. */
  raise(entry: LengthEntry): boolean {
    const { accountId, length } = entry
    const known = this.#lengths.get(accountId)
    if (length <= (known ?? 0)) return false
    const range = toRange(accountId)
    if (Number.isNaN(range)) throw new RangeError(`Expected an account id in hex, got ${accountId}`)
    if (known === undefined) this.#append(range, accountId)
    else this.#toggle(range, { accountId, length: known })
    this.#lengths.set(accountId, length)
    this.#toggle(range, entry)
    return true
  }

  digest(): TableDigest {
    return this.#digests.map((digest) => digest.toString('hex'))
  }

  /** A page of a range; follow it with `page(range, page.upTo)` until `upTo` is ''. */
  page(range: number, after: string = '', max: number = pageEntriesMax): RangePage {
    const ids = this.#idsOf(range)
    const from = after === '' ? 0 : firstAfter(ids, after)
    const chosen = ids.slice(from, from + max)
    const isLast = from + max >= ids.length
    return {
      range,
      after,
      upTo: isLast ? '' : (chosen.at(-1) ?? ''),
      entries: chosen.map((accountId) => ({ accountId, length: this.lengthOf(accountId) })),
    }
  }

  /** @param page one that `checkPage` found sound */
  compare({ range, after, upTo, entries }: RangePage): PageDifference {
    const theirs = new Map(entries.map(({ accountId, length }) => [accountId, length]))
    const ids = this.#idsOf(range)
    const ahead: LengthEntry[] = []
    for (let at = after === '' ? 0 : firstAfter(ids, after); at < ids.length; at++) {
      const accountId = ids[at]
      if (accountId === undefined || (upTo !== '' && accountId > upTo) || ahead.length === pageEntriesMax)
        break
      const length = this.lengthOf(accountId)
      if (length > (theirs.get(accountId) ?? 0)) ahead.push({ accountId, length })
    }
    const behind = entries.filter(({ accountId, length }) => length > this.lengthOf(accountId))
    return { ahead, behind }
  }

  #append(range: number, accountId: PeerId): void {
    const entry = this.#ids[range]
    entry?.ids.push(accountId)
    if (entry) entry.isSorted = false
  }

  #idsOf(range: number): readonly PeerId[] {
    const entry = this.#ids[range]
    if (!entry) return []
    if (!entry.isSorted) entry.ids.sort()
    entry.isSorted = true
    return entry.ids
  }

  #toggle(range: number, entry: LengthEntry): void {
    const hash = this.#toHash(entry)
    this.#digests[range]?.forEach((byte, at, digest) => {
      digest[at] = byte ^ (hash[at] ?? 0)
    })
  }
}

/** The ranges in which two tables differ. A digest that is none differs everywhere. */
export function differingRanges(mine: TableDigest, theirs: TableDigest): number[] {
  return mine.flatMap((digest, range) => (digest === theirs[range] ? [] : [range]))
}

/** What is wrong with a page of a peer; undefined when it is sound. Whether its lengths are true, only heads can tell. */
export function checkPage({ range, after, upTo, entries }: RangePage): string | undefined {
  if (!Number.isSafeInteger(range) || range < 0 || range >= rangeCount) return 'there is no such range'
  if (entries.length > pageEntriesMax) return 'there are too many entries'
  const bounds = [after, upTo].filter((bound) => bound !== '')
  const ids = entries.map(({ accountId }) => accountId)
  if (![...bounds, ...ids].every((id) => toRange(id) === range)) return 'an account is in another range'
  const inOrder = [after, ...ids].every((id, at, all) => at === 0 || id > (all[at - 1] ?? ''))
  if (!inOrder) return 'the entries are out of order'
  if (upTo !== '' && (upTo <= after || (ids.at(-1) ?? '') > upTo)) return 'the page ends before its entries'
  const isLength = ({ length }: LengthEntry): boolean =>
    Number.isSafeInteger(length) && length > 0 && length <= limits.logLengthMax
  return entries.every(isLength) ? undefined : 'a length is out of bounds'
}

/** BLAKE2b-128 of an entry. */
export function toEntryHash({ accountId, length }: LengthEntry): Buffer {
  const lengthBytes = Buffer.alloc(8)
  lengthBytes.writeBigUInt64LE(BigInt(length))
  const hash = Buffer.alloc(hashBytes)
  sodium.crypto_generichash_batch(hash, [domain, lengthBytes, Buffer.from(accountId, 'hex')])
  return hash
}

/** Where the first id behind another one is. */
function firstAfter(sorted: readonly PeerId[], id: PeerId): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? '') <= id) low = middle + 1
    else high = middle
  }
  return low
}
