import type { PeerId } from '../../../protocol/index.ts'
import {
  type ScoreDigest,
  type ScoreHeads,
  scoresLimits,
  type ScorePull,
} from '../../../protocol/messages/scores.ts'
import { type Desk, type Floor, shuffled } from './gossip-floor.ts'
import { gossipLimits, roundPeers } from './gossip-limits.ts'
import type { GossipLink, Parcel } from './gossip-link.ts'
import type { Wishes } from './wishes.ts'

/** Repairs what got lost on the way: two peers compare what they hold, and tell each other what the other one lacks. */
export class Rounds {
  readonly #floor: Floor
  readonly #wishes: Wishes

  constructor(floor: Floor, wishes: Wishes) {
    this.#floor = floor
    this.#wishes = wishes
  }

  /**
   * Asks three random peers whether they hold the same.
   *
   * @param wanted of which something else was heard: they are among those asked
   * @returns who was asked
   */
  open(desk: Desk, wanted: readonly PeerId[] = []): readonly GossipLink[] {
    this.#wishes.forget()
    const { links, random } = this.#floor
    const first = shuffled(wanted, random).flatMap((peerId) => links.get(peerId) ?? [])
    const asked = [...new Set([...first, ...shuffled([...links.values()], random)])].slice(0, roundPeers)
    this.ask(desk, asked)
    return asked
  }

  /** Asks these whether they hold the same. */
  ask({ holdings }: Desk, links: readonly GossipLink[]): void {
    holdings.refresh()
    const { ranges, bans } = holdings.digest()
    for (const link of links) {
      if (link.channel.send({ type: 'score-digest', ranges: [...ranges], bans })) {
        link.digestsOpen = Math.min(gossipLimits.digestsBurst, link.digestsOpen + 1)
      }
    }
  }

  /** A peer says what it holds, as digests. */
  takeDigest({ holdings }: Desk, link: GossipLink, digest: ScoreDigest): void {
    if (!link.digestAllowance.spend(this.#floor.now())) return
    holdings.refresh()
    const { random } = this.#floor
    const { ranges, held } = holdings.list(shuffled(holdings.differingRanges(digest), random))
    const isSameBans = holdings.digest().bans === digest.bans
    if (ranges.length === 0 && isSameBans) return
    // Of more than fit into one message each round brings others.
    const bans = isSameBans ? {} : { bans: shuffled(holdings.bans(), random).slice(0, scoresLimits.bansMax) }
    link.channel.send({ type: 'score-heads', ranges: [...ranges], held, ...bans })
  }

  /** What a peer holds where it differs, or heads that are new to it. */
  takeList({ ledger, holdings }: Desk, link: GossipLink, message: ScoreHeads): void {
    const isAnswer = message.ranges.length > 0 || message.bans !== undefined
    if (isAnswer && link.digestsOpen === 0) {
      link.channel.violate('QM_MESSAGE_UNEXPECTED', 'an answer to a digest that was not sent')
      return
    }
    if (isAnswer) link.digestsOpen--
    holdings.refresh()
    const { random } = this.#floor
    const found = holdings.compare(message)
    const cards = new Set(found.cards)
    const parcels = shuffled(found.heads, random)
      .slice(0, scoresLimits.wantedMax)
      .map((accountId) => ({
        card: cards.has(accountId) ? ledger.cardOf(accountId) : undefined,
        head: ledger.headOf(accountId),
      }))
    link.sendParcels(parcels, true)
    this.#sendBans({ ledger, holdings }, link, shuffled(found.bans, random).slice(0, scoresLimits.bansMax))
    const heads = isAnswer ? found.wantedHeads : found.wantedHeads.filter((head) => this.#wishes.note(head))
    this.#wishes.pull(link, {
      heads: heads.map(({ prefix }) => prefix),
      cards: [...found.wantedCards],
      bans: [...found.wantedBans],
    })
  }

  /** A peer asks for some of what this node holds. */
  takePull({ ledger, holdings }: Desk, link: GossipLink, { heads, cards, bans }: ScorePull): void {
    holdings.refresh()
    const withCard = new Set(cards)
    const parcels = [...new Set([...heads, ...cards])].flatMap((prefix) => {
      const accountId = holdings.idOf(prefix)
      if (accountId === undefined) return []
      const card = withCard.has(prefix) ? ledger.cardOf(accountId) : undefined
      return [{ card, head: ledger.headOf(accountId) }]
    })
    link.sendParcels(parcels, true)
    this.#sendBans({ ledger, holdings }, link, bans)
  }

  /**
   * What shows that these accounts are banned. Their cards come first: nobody takes a proof against an account that was
   * never introduced. Where the log itself is the proof, its head says which log to read.
   */
  #sendBans(
    { ledger, holdings }: Pick<Desk, 'ledger' | 'holdings'>,
    link: GossipLink,
    accountIds: readonly PeerId[],
  ): void {
    const banned = accountIds.filter((accountId) => holdings.isBanned(accountId))
    const parcels: Parcel[] = banned.map((accountId) => ({
      card: ledger.cardOf(accountId),
      head: ledger.headOf(accountId),
    }))
    link.sendParcels(parcels, true)
    link.sendProofs(
      banned.flatMap((accountId) => holdings.proofAgainst(accountId) ?? []),
      true,
    )
  }
}
