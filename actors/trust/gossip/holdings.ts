import {
  differingRanges,
  LengthTable,
  type TableDigest,
  toRange,
} from '../../../machines/trust/anti-entropy.ts'
import type { PeerId } from '../../../protocol/index.ts'
import { type Holding, toHolding, toPrefix } from '../../../protocol/messages/holdings.ts'
import { type BanRef, type ScoreHeads, scoresLimits } from '../../../protocol/messages/scores.ts'
import { type FraudProof, hash256, type Head } from '../../../protocol/trust/index.ts'
import type { GossipLedger } from './gossip.port.ts'

/** Hex characters of a digest on the wire. Who wants to hide accounts of his own from a round may. */
const digestChars = 16

interface KnownBan {
  readonly epoch: number
  readonly proof: FraudProof
}

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
  readonly proofs: readonly FraudProof[]
  /** What the other one has and we do not, by prefixes. */
  readonly wantedHeads: readonly Holding[]
  readonly wantedCards: readonly string[]
  readonly wantedBans: readonly PeerId[]
}

/** Whom a proof bans, and from when on. The proof itself was checked when it was learned. */
export function toBanRef(proof: FraudProof): BanRef {
  switch (proof.kind) {
    case 'fork':
      return { accountId: proof.a.accountId, epoch: Math.max(proof.a.epoch, proof.b.epoch) }
    case 'two-cards':
      return { accountId: proof.a.accountId, epoch: Math.max(proof.a.createdEpoch, proof.b.createdEpoch) }
    case 'double-spend':
      return { accountId: proof.a.clientId, epoch: Math.max(proof.a.epoch, proof.b.epoch) }
    case 'two-scores':
      return { accountId: proof.a.signerId, epoch: Math.max(proof.a.epoch, proof.b.epoch) }
  }
}

/**
 * What this node's books hold, laid out for comparing: a digest a range of accounts, covering lengths and tree hashes,
 * so that two logs of one length are a difference too. Banned accounts are left out: nobody needs more of them, and
 * of a fork everybody may keep another branch.
 */
export class Holdings {
  readonly #ledger: GossipLedger
  #table = new LengthTable()
  readonly #heads = new Map<PeerId, Head | undefined>()
  readonly #ids = new Map<string, PeerId>()
  #bans: ReadonlyMap<PeerId, KnownBan> = new Map()
  /** The head that is being entered; see `refresh`. */
  #next: Head | undefined

  constructor(ledger: GossipLedger) {
    this.#ledger = ledger
    this.refresh()
  }

  /** Takes over what the books learned since. */
  refresh(): void {
    this.#refreshBans()
    for (const [accountId, length] of this.#ledger.lengths()) {
      this.#ids.set(toPrefix(accountId), accountId)
      if (this.#bans.has(accountId)) continue
      if (length <= this.#table.lengthOf(accountId)) continue
      const head = this.#ledger.headOf(accountId)
      if (!head) continue
      // The entry that goes is hashed with the head it came with; only then the new one takes its place.
      this.#next = head
      this.#table.raise({ accountId, length: head.length })
      this.#heads.set(accountId, head)
      this.#next = undefined
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
    return [...this.#bans]
      .slice(0, scoresLimits.bansMax)
      .map(([accountId, { epoch }]) => ({ accountId, epoch }))
  }

  isBanned(accountId: PeerId): boolean {
    return this.#bans.has(accountId)
  }

  proofAgainst(accountId: PeerId): FraudProof | undefined {
    return this.#bans.get(accountId)?.proof
  }

  /** Whether a proof would change nothing. */
  hasBan({ accountId, epoch }: BanRef): boolean {
    const known = this.#bans.get(accountId)
    return known !== undefined && known.epoch <= epoch
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

  #compareBans(bans: readonly BanRef[] | undefined): Pick<Differences, 'proofs' | 'wantedBans'> {
    if (!bans) return { proofs: [], wantedBans: [] }
    const theirs = new Map(bans.map(({ accountId, epoch }) => [accountId, epoch]))
    return {
      proofs: [...this.#bans].flatMap(([accountId, { epoch, proof }]) =>
        epoch < (theirs.get(accountId) ?? Infinity) ? [proof] : [],
      ),
      wantedBans: bans.filter((ban) => !this.hasBan(ban)).map(({ accountId }) => accountId),
    }
  }

  #inRange(range: number): PeerId[] {
    return [...this.#ids.values()].filter(
      (accountId) => toRange(accountId) === range && !this.#bans.has(accountId),
    )
  }

  /** The table cannot forget, so a new ban builds it again: that is rare. */
  #refreshBans(): void {
    const before = this.#bans.size
    const bans = new Map<PeerId, KnownBan>()
    for (const proof of this.#ledger.proofs()) {
      const { accountId, epoch } = toBanRef(proof)
      if (epoch < (bans.get(accountId)?.epoch ?? Infinity)) bans.set(accountId, { epoch, proof })
    }
    this.#bans = bans
    if (bans.size === before && this.#heads.size > 0) return
    this.#heads.clear()
    this.#ids.clear()
    this.#table = new LengthTable([], (entry) => this.#toHash(entry))
  }

  #toHash({ accountId, length }: { readonly accountId: PeerId; readonly length: number }): Buffer {
    const kept = this.#heads.get(accountId)
    const head = kept?.length === length ? kept : this.#next
    const lengthBytes = Buffer.alloc(4)
    lengthBytes.writeUInt32LE(length)
    return hash256(Buffer.from(accountId, 'hex'), lengthBytes, Buffer.from(head?.treeHash ?? '', 'hex'))
  }
}

const isAhead = (mine: Holding, theirs: Holding): boolean =>
  mine.length > theirs.length || (mine.length === theirs.length && mine.mark !== theirs.mark)

function toBansDigest(bans: ReadonlyMap<PeerId, { readonly epoch: number }>): string {
  const lines = [...bans].map(([accountId, { epoch }]) => `${accountId}${epoch}`).toSorted()
  return hash256(Buffer.from(lines.join())).toString('hex').slice(0, digestChars)
}
