import { differingRanges, HeadTable, type TableDigest, toRange } from '../../../machines/trust/head-table.ts'
import type { PeerId } from '../../../protocol/index.ts'
import { type Holding, toHolding, toPrefix } from '../../../protocol/messages/holdings.ts'
import { type BanRef, type ScoreHeads, scoresLimits } from '../../../protocol/messages/scores.ts'
import { type FraudProof, hash256, toGuilty } from '../../../protocol/trust/index.ts'
import type { GossipLedger, KnownBan } from './gossip.port.ts'

/** Hex characters of a digest on the wire. Who wants to hide accounts of his own from a round may. */
const digestChars = 16

export interface HoldingsDigest {
  readonly ranges: TableDigest
  readonly bans: string
}

/** What two nodes have to tell each other. */
export interface Differences {
  /** Accounts of which the other one has a shorter log, or another one of the same length. */
  readonly heads: readonly PeerId[]
  /** Of those, the accounts that it does not know at all. */
  readonly cards: readonly PeerId[]
  /** Accounts that are banned here and not there. */
  readonly bans: readonly PeerId[]
  /** What the other one has and we do not, by prefixes. */
  readonly wantedHeads: readonly Holding[]
  readonly wantedCards: readonly string[]
  readonly wantedBans: readonly PeerId[]
}

/** Whom a proof bans. The proof itself was checked when it was learned. */
export function toBanRef(proof: FraudProof): BanRef {
  const { guilty, epoch } = toGuilty(proof)
  return { accountId: guilty, epoch }
}

/**
 * What this node's books hold, laid out for comparing: a digest a range of accounts, covering lengths and tree hashes,
 * so that two logs of one length are a difference too. Banned accounts are left out: nobody needs more of them, and
 * of a fork everybody may keep another branch.
 */
export class Holdings {
  readonly #ledger: GossipLedger
  readonly #table = new HeadTable()
  readonly #ids = new Map<string, PeerId>()
  /** As the books have them; that two nodes date a ban differently makes no difference. */
  #bans: ReadonlyMap<PeerId, KnownBan> = new Map()

  constructor(ledger: GossipLedger) {
    this.#ledger = ledger
    this.refresh()
  }

  /** Takes over what the books learned since. */
  refresh(): void {
    this.#refreshBans()
    const lengths = this.#ledger.lengths()
    // Whom the books forgot to make room is a stranger again: kept here, it would never be asked for by its card.
    for (const [prefix, accountId] of this.#ids) {
      if (lengths.has(accountId) || this.#bans.has(accountId)) continue
      this.#ids.delete(prefix)
      this.#table.delete(accountId)
    }
    for (const accountId of lengths.keys()) {
      this.#ids.set(toPrefix(accountId), accountId)
      if (this.#bans.has(accountId)) continue
      const head = this.#ledger.headOf(accountId)
      if (head) this.#table.raise(head)
    }
  }

  digest(): HoldingsDigest {
    return {
      ranges: this.#table.digest().map((digest) => digest.slice(0, digestChars)),
      bans: toBansDigest(this.#bans),
    }
  }

  differingRanges({ ranges }: Pick<HoldingsDigest, 'ranges'>): number[] {
    return differingRanges(this.digest().ranges, ranges)
  }

  /** All that is held in these ranges; ranges that do not fit into a message are left for another round. */
  list(ranges: readonly number[]): { readonly ranges: readonly number[]; readonly held: readonly Holding[] } {
    const chosen: number[] = []
    const held: Holding[] = []
    for (const range of ranges) {
      const inRange = this.#inRange(range)
      if (held.length + inRange.length > scoresLimits.holdingsMax) continue
      chosen.push(range)
      held.push(...inRange.map((accountId) => toHolding(accountId, this.#ledger.headOf(accountId))))
    }
    return { ranges: chosen, held }
  }

  bans(): BanRef[] {
    return [...this.#bans].map(([accountId, { epoch }]) => ({ accountId, epoch }))
  }

  isBanned(accountId: PeerId): boolean {
    return this.#bans.has(accountId)
  }

  /** Absent, too, where the account's own log is the proof. */
  proofAgainst(accountId: PeerId): FraudProof | undefined {
    return this.#bans.get(accountId)?.proof
  }

  /** Whether another proof would change nothing. */
  hasProof(accountId: PeerId): boolean {
    return this.proofAgainst(accountId) !== undefined
  }

  idOf(prefix: string): PeerId | undefined {
    return this.#ids.get(prefix)
  }

  /** What a peer's list leaves to be told and to be asked. Its word is only about what to send; all of it is checked. */
  compare({ ranges, held, bans }: ScoreHeads): Differences {
    const theirs = new Map(held.map((holding) => [holding.prefix, holding]))
    const heads: PeerId[] = []
    const cards: PeerId[] = []
    for (const accountId of ranges.flatMap((range) => this.#inRange(range))) {
      const mine = toHolding(accountId, this.#ledger.headOf(accountId))
      const their = theirs.get(mine.prefix)
      if (!their) cards.push(accountId)
      if (!their || isAhead(mine, their)) heads.push(accountId)
    }
    const wantedHeads: Holding[] = []
    const wantedCards: string[] = []
    for (const their of held) {
      const accountId = this.idOf(their.prefix)
      if (accountId === undefined) wantedCards.push(their.prefix)
      else if (this.#bans.has(accountId)) continue
      const head = accountId === undefined ? undefined : this.#ledger.headOf(accountId)
      if (!head || isAhead(their, toHolding(head.accountId, head))) wantedHeads.push(their)
    }
    return { heads, cards, wantedHeads, wantedCards, ...this.#compareBans(bans) }
  }

  #compareBans(theirs: readonly BanRef[] | undefined): Pick<Differences, 'bans' | 'wantedBans'> {
    if (!theirs) return { bans: [], wantedBans: [] }
    const known = new Set(theirs.map(({ accountId }) => accountId))
    // A list that is full is a part of all bans: what is not in it may be known all the same.
    const isWhole = theirs.length < scoresLimits.bansMax
    return {
      bans: isWhole ? [...this.#bans.keys()].filter((accountId) => !known.has(accountId)) : [],
      wantedBans: [...known].filter((accountId) => !this.#bans.has(accountId)),
    }
  }

  #inRange(range: number): PeerId[] {
    return [...this.#ids.values()].filter(
      (accountId) => toRange(accountId) === range && !this.#bans.has(accountId),
    )
  }

  #refreshBans(): void {
    this.#bans = this.#ledger.banned()
    for (const accountId of this.#bans.keys()) this.#table.delete(accountId)
  }
}

const isAhead = (mine: Holding, theirs: Holding): boolean =>
  mine.length > theirs.length || (mine.length === theirs.length && mine.mark !== theirs.mark)

function toBansDigest(bans: ReadonlyMap<PeerId, KnownBan>): string {
  const lines = [...bans.keys()].toSorted()
  return hash256(Buffer.from(lines.join())).toString('hex').slice(0, digestChars)
}
