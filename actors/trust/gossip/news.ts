import { toHolding, toPrefix } from '../../../protocol/messages/holdings.ts'
import type { ScoreUpdate } from '../../../protocol/messages/scores.ts'
import { type Head, isHeadValid } from '../../../protocol/trust/index.ts'
import type { PeerId } from '../../../protocol/index.ts'
import { type Desk, type Floor, refuse, shuffled } from './gossip-floor.ts'
import { eagerPeersMax, gossipLimits, namesPerHead } from './gossip-limits.ts'
import type { GossipLink } from './gossip-link.ts'
import type { Lesson } from './learner.ts'
import type { Proofs } from './proofs.ts'
import type { Wishes } from './wishes.ts'

/** How many peers said what they hold of this node's own log, and how many of them hold some. */
export interface Told {
  readonly peers: number
  readonly holders: number
}

/** Cards and heads: takes in what peers tell, and passes on once what is new. */
export class News {
  readonly #floor: Floor
  readonly #wishes: Wishes
  readonly #proofs: Proofs
  readonly #onNewHeads: () => void
  readonly #told = new Set<PeerId>()
  readonly #holders = new Set<PeerId>()
  #onTold: (told: Told) => void = () => {}

  constructor(floor: Floor, wishes: Wishes, proofs: Proofs, onNewHeads: () => void) {
    this.#floor = floor
    this.#wishes = wishes
    this.#proofs = proofs
    this.#onNewHeads = onNewHeads
  }

  start(onTold: (told: Told) => void): void {
    this.#onTold = onTold
    for (const link of this.#floor.links.values()) this.hearKnown(link)
  }

  stop(): void {
    this.#onTold = () => {}
    this.#told.clear()
    this.#holders.clear()
  }

  take(desk: Desk | undefined, link: GossipLink, update: ScoreUpdate): void {
    if (update.known !== undefined) {
      // It may come again: a peer that opens its books anew says it anew.
      link.known = update.known
      this.hearKnown(link)
    }
    if (!desk) return
    for (const head of update.heads ?? []) if (head.accountId === desk.ledger.ownId) this.#hearOwn(link, head)
    const cards = desk.learner.newCards(update)
    if (cards.length === 0) {
      this.#onLesson(desk, link, update, { cards: [], ...desk.learner.learnHeads(update) })
      return
    }
    // More than an honest peer sends at once; a round brings them again.
    if (link.cardsWaiting + cards.length > gossipLimits.cardsWaitingMax) return
    link.cardsWaiting += cards.length
    link.turn = link.turn.then(async () => {
      try {
        const learned = await desk.learner.learnCards(cards)
        link.cardsWaiting -= cards.length
        if (this.#floor.desk() !== desk) return
        const { heads, unknown, invalid } = desk.learner.learnHeads(update)
        this.#onLesson(desk, link, update, {
          cards: learned.cards,
          heads,
          unknown,
          invalid: invalid + learned.invalid,
        })
      } catch (error) {
        this.#floor.onDefect(error)
      }
    })
  }

  /** What the peer said when the connection began, maybe while the books were closed. */
  hearKnown(link: GossipLink): void {
    const { peerId, known } = link
    const desk = this.#floor.desk()
    if (!desk || known === undefined) return
    if (known?.accountId === desk.ledger.ownId) this.#hearOwn(link, known)
    if (this.#told.has(peerId)) return
    this.#told.add(peerId)
    this.#tell()
  }

  /** A head of this node's own: only it can have signed it, so whoever has it holds some of the log. */
  #hearOwn(link: GossipLink, head: Head): void {
    const desk = this.#floor.desk()
    if (!desk) return
    const ours = desk.ledger.headOf(head.accountId)
    const isOurs = ours?.length === head.length && ours.treeHash === head.treeHash
    if (!isOurs && !isHeadValid(head, this.#floor.networkId)) return refuse(link)
    desk.ledger.heardOwnHead(head)
    if (this.#holders.has(link.peerId)) return
    this.#holders.add(link.peerId)
    this.#told.add(link.peerId)
    this.#tell()
  }

  #tell(): void {
    this.#onTold({ peers: this.#told.size, holders: this.#holders.size })
  }

  #onLesson(desk: Desk, link: GossipLink, { isAnswer }: ScoreUpdate, lesson: Lesson): void {
    const { cards, heads, unknown, invalid } = lesson
    for (let count = 0; count < invalid; count++) refuse(link)
    if (cards.length > 0 || heads.length > 0) {
      desk.holdings.refresh()
      this.#passOn(link, lesson, isAnswer ?? false)
    }
    // An answer that was not enough is left to the next round: asking again could go on for ever.
    if (unknown.length > 0 && !isAnswer) {
      const prefixes = unknown.map(toPrefix)
      this.#wishes.pull(link, { heads: prefixes, cards: prefixes, bans: [] })
    }
    this.#proofs.spread(link)
    if (heads.length > 0) this.#onNewHeads()
  }

  #passOn(from: GossipLink, { cards, heads }: Lesson, isAnswer: boolean): void {
    const { links, random } = this.#floor
    const others = [...links.values()].filter((link) => link !== from)
    const headOf = new Map(heads.map((head) => [head.accountId, head]))
    // What a round repaired is news to this node alone.
    const isNews = (head: Head | undefined): boolean =>
      !isAnswer || (head !== undefined && this.#wishes.has(head))
    const parcels = cards
      .map((card) => ({ card, head: headOf.get(card.accountId) }))
      .filter(({ head }) => isNews(head))
    const withCard = new Set(parcels.map(({ card }) => card.accountId))
    const named = heads.filter((head) => !withCard.has(head.accountId) && isNews(head))
    if (parcels.length > 0) for (const link of others) link.sendParcels(parcels)
    if (named.length === 0 || links.size > eagerPeersMax) return
    const held = named.map((head) => toHolding(head.accountId, head))
    for (const link of shuffled(others, random).slice(0, namesPerHead)) {
      link.channel.send({ type: 'score-heads', ranges: [], held })
    }
  }
}
