import {
  checkPage,
  differingRanges,
  LengthTable,
  type LengthEntry,
  type RangePage,
  type TableDigest,
  toEntryHash,
} from '../../../machines/trust/anti-entropy.ts'
import { hash256 } from '../../../protocol/trust/index.ts'
import { createRandom } from '../../../machines/selection/random.ts'

/** A key like a real one: evenly spread. */
export const keyOf = (n: number): string => hash256(Buffer.from(`account ${n}`)).toString('hex')

/** Tables share entries, so each is hashed once. */
export function createEntryHash(): (entry: LengthEntry) => Buffer {
  const hashes = new Map<string, Map<number, Buffer>>()
  return (entry) => {
    let ofAccount = hashes.get(entry.accountId)
    if (!ofAccount) hashes.set(entry.accountId, (ofAccount = new Map()))
    let hash = ofAccount.get(entry.length)
    if (!hash) ofAccount.set(entry.length, (hash = toEntryHash(entry)))
    return hash
  }
}

/** What a peer answers who is asked for a page after `after`. */
interface Peer {
  digest(): TableDigest
  page(range: number, after: string): RangePage
  /** Takes what the other one is ahead; gives what it is asked for, as far as it has it. */
  give(entries: readonly LengthEntry[]): void
}

/** What happens to an entry that somebody hears of. Believing what has no signed head would be a mistake. */
export type Learn = (table: LengthTable, entry: LengthEntry) => void

export const learnAtOnce: Learn = (table, entry) => {
  table.raise(entry)
}

/**
 * One exchange: `table` asks, the peer answers. Both give what the other one lacks, page by page.
 *
 * @returns entries that went over the wire
 */
export function exchange(table: LengthTable, peer: Peer, learn: Learn): number {
  let sent = 0
  for (const range of differingRanges(table.digest(), peer.digest())) {
    let after = ''
    // A peer cannot keep anybody busy: there are no more pages than a table has room for.
    for (let pages = 0; pages < 64; pages++) {
      const page = peer.page(range, after)
      sent += page.entries.length
      if (page.range !== range || page.after !== after || checkPage(page) !== undefined) return sent
      const { ahead, behind } = table.compare(page)
      peer.give(ahead)
      for (const entry of behind) learn(table, entry)
      sent += ahead.length + behind.length
      if (page.upTo === '') break
      after = page.upTo
    }
  }
  return sent
}

export const peerOf = (table: LengthTable, learn: Learn): Peer => ({
  digest: () => table.digest(),
  page: (range, after) => table.page(range, after),
  give: (entries) => {
    for (const entry of entries) learn(table, entry)
  },
})

export interface Spread {
  /** Rounds until all honest tables were equal; Infinity when they were not within 40. */
  readonly rounds: number
  /** Entries that went over the wire, per honest node. */
  readonly entriesPerNode: number
  readonly isComplete: boolean
}

/**
 * Everybody knows its own head only, and every round asks three random peers for what it lacks. What is learned in a
 * round is passed on in the next one, which is slower than real rounds are. Of those who misbehave, half answer nothing
 * and half answer garbage: random digests, lengths that no head bears out, old heads, broken pages. They keep their own
 * heads to themselves: showing one late is news, and when it was shown cannot make tables equal earlier.
 */
export function simulateGossip(nodes: number, badShare: number, fanout: number, seed: number): Spread {
  const random = createRandom(seed)
  const pick = (count: number): number => Math.floor(random() * count)
  const toHash = createEntryHash()
  const honestCount = nodes - Math.floor(nodes * badShare)
  const truth = new Map(Array.from({ length: honestCount }, (_, n) => [keyOf(n), 2 + pick(1_000)]))
  const ids = [...truth.keys()]
  // Of every account there is the head of its log and an older one.
  const isTrue = ({ accountId, length }: LengthEntry): boolean => length <= (truth.get(accountId) ?? 0)
  const garbage: Peer = {
    digest: () => Array.from({ length: 16 }, () => String(pick(1e9))),
    page: (range, after) => {
      const accountId = ids[pick(honestCount)] ?? ''
      return {
        range,
        after,
        upTo: '',
        entries: [{ accountId, length: pick(3) - 1 + (truth.get(accountId) ?? 0) }],
      }
    },
    give: () => {},
  }
  const tables = ids.map((id) => new LengthTable([[id, truth.get(id) ?? 0]], toHash))
  const learned: { readonly table: LengthTable; readonly entry: LengthEntry }[] = []
  const learn: Learn = (table, entry) => {
    if (isTrue(entry)) learned.push({ table, entry })
  }
  const peers = tables.map((table) => peerOf(table, learn))
  const isEqual = (): boolean => {
    const first = tables[0]?.digest().join()
    return tables.every((table) => table.digest().join() === first)
  }
  let sent = 0
  let rounds = 0
  while (!isEqual() && rounds < 40) {
    rounds++
    for (const [index, table] of tables.entries()) {
      const asked = new Set<number>()
      while (asked.size < Math.min(fanout, nodes - 1)) {
        const other = pick(nodes)
        if (other !== index) asked.add(other)
      }
      for (const other of asked) {
        const peer = peers[other] ?? (other % 2 === 0 ? garbage : undefined)
        if (peer) sent += exchange(table, peer, learn)
      }
    }
    for (const { table, entry } of learned.splice(0)) table.raise(entry)
  }
  return {
    rounds: isEqual() ? rounds : Infinity,
    entriesPerNode: sent / honestCount,
    isComplete: tables.every((table) => ids.every((id) => table.lengthOf(id) === truth.get(id))),
  }
}
