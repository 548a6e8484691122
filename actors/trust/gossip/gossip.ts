import type { NoiseStream } from 'hyperswarm'
import type { Regime } from '../../../machines/trust/regime.ts'
import type { ErrorCode, Hello, PeerId } from '../../../protocol/index.ts'
import { toHolding } from '../../../protocol/messages/holdings.ts'
import {
  type BanRef,
  type Fraud,
  type ScoreDigest,
  type ScoreHeads,
  type ScorePull,
  type ScoreRequest,
  scoresLimits,
  type ScoresMessage,
  type ScoreUpdate,
} from '../../../protocol/messages/scores.ts'
import type { FraudProof, Head, NetworkId, ScoreStatement } from '../../../protocol/trust/index.ts'
import { eagerPeersMax, gossipLimits, namesPerHead, roundPeers } from './gossip-limits.ts'
import { GossipLink } from './gossip-link.ts'
import type { GossipLedger } from './gossip.port.ts'
import { Holdings, toBanRef } from './holdings.ts'
import { Learner, type Lesson } from './learner.ts'
import { toScoresCapability } from './scores-channel.ts'

export interface GossipOptions {
  readonly networkId: NetworkId
  /** Milliseconds of any steady clock. */
  readonly now: () => number
  /** Numbers in [0, 1): which peers a round asks. */
  readonly random: () => number
  /** A peer broke the rules of the scores network once more; whoever counts closes it. */
  readonly onViolation: (peerId: PeerId, code: ErrorCode, detail: string) => void
  /** The books threw, although they never should: a defect, which costs neither the connection nor the node. */
  readonly onDefect: (error: unknown) => void
}

/** The books, and what gossip keeps beside them while they are open. */
interface Desk {
  readonly ledger: GossipLedger
  readonly holdings: Holdings
  readonly learner: Learner
}

/**
 * Keeps everybody's heads, cards and proofs moving. What is new is told at once to the peers there are, and each node
 * passes a thing on once: cards and proofs in full, heads of others by name only, and only among few peers. Everything
 * that gets lost on the way is repaired by rounds: each asks three random peers whether they hold the same.
 *
 * One object for the life of a node. The books come and go with the actor that owns them (`start`, `stop`); the links
 * stay, because a connection greets only once.
 */
export class Gossip {
  readonly #options: GossipOptions
  readonly #links = new Map<PeerId, GossipLink>()
  /** Proofs that were passed on, or that were there at the start; as many as the books hold. */
  #spread = new Set<string>()
  readonly #pushes = new Map<PeerId, number>()
  /** Heads that were asked for since the last round, because somebody named them. */
  readonly #asked = new Set<string>()
  readonly #told = new Set<PeerId>()
  #desk: Desk | undefined
  #onTold: (peers: number) => void = () => {}
  #regime: Regime = 'calm'
  #catchingUp: Promise<void> | undefined
  #isBehind = false

  constructor(options: GossipOptions) {
    this.#options = options
  }

  /** To be said in `hello`, by nodes that gossip. */
  get capability(): string {
    return toScoresCapability(this.#options.networkId)
  }

  /** Whether a peer keeps books by the same rules. */
  isPeer(peerId: PeerId): boolean {
    return this.#links.has(peerId)
  }

  get peers(): PeerId[] {
    return [...this.#links.keys()]
  }

  /** How rough it looks to the peers there are; whose word counts is for the caller to say. */
  get regimes(): ReadonlyMap<PeerId, Regime> {
    return new Map([...this.#links].map(([peerId, { regime }]) => [peerId, regime]))
  }

  /** Bytes and messages held back are of interest to tests and to `status`. */
  get dropped(): number {
    return [...this.#links.values()].reduce((sum, { channel }) => sum + channel.dropped, 0)
  }

  /** To be called within the call that reports the greeting. A peer that does not gossip scores is left alone. */
  opened(peerId: PeerId, stream: NoiseStream, hello: Pick<Hello, 'capabilities'>): void {
    if (!hello.capabilities.includes(this.capability)) return
    this.closed(peerId)
    const link = new GossipLink(peerId, stream, this.#options.now, {
      received: (from, message) => this.#guard(() => this.#received(from, message)),
      violated: (from, code, detail) => this.#options.onViolation(from.peerId, code, detail),
      closed: (from) => this.#forget(from),
    })
    if (!link.channel.isOpen) return
    this.#links.set(peerId, link)
    this.#guard(() => this.#greet(link))
  }

  /** The peer is gone or not wanted any more. Twice is fine. */
  closed(peerId: PeerId): void {
    const link = this.#links.get(peerId)
    if (link) this.#forget(link)
    link?.channel.close()
  }

  /**
   * The books are open.
   *
   * @param onTold called when a peer said how much of this node's own log it holds, with the number of those that did
   */
  start(ledger: GossipLedger, onTold: (peers: number) => void = () => {}): void {
    this.stop()
    this.#desk = { ledger, holdings: new Holdings(ledger), learner: new Learner(ledger) }
    this.#onTold = onTold
    this.#spread = new Set(ledger.proofs().map((proof) => toKey(toBanRef(proof))))
    for (const link of this.#links.values()) this.#guard(() => this.#greet(link))
    for (const link of this.#links.values()) this.#guard(() => this.#hearKnown(link))
  }

  /** The books are about to close. What peers say until the next start is ignored; rounds bring it later. */
  stop(): void {
    this.#desk = undefined
    this.#told.clear()
    this.#asked.clear()
    this.#pushes.clear()
    for (const link of this.#links.values()) {
      link.stopReplication?.()
      link.stopReplication = undefined
    }
  }

  /** Tells everybody the own head, and the own card where it is new. */
  announce({ withCard = false }: { readonly withCard?: boolean } = {}): void {
    const desk = this.#desk
    if (!desk) return
    this.#guard(() => {
      const { ledger } = desk
      const head = ledger.headOf(ledger.ownId)
      const card = withCard ? ledger.cardOf(ledger.ownId) : undefined
      for (const link of this.#links.values()) link.sendParcels([{ card, head }])
    })
  }

  /** Passes on proofs that this node found itself. */
  announceProofs(): void {
    this.#guard(() => this.#spreadProofs())
  }

  setRegime(regime: Regime): void {
    if (regime === this.#regime) return
    this.#regime = regime
    for (const { channel } of this.#links.values()) channel.send({ type: 'regime', regime })
  }

  /** One round: asks three random peers whether they hold the same. @returns who was asked */
  round(): readonly PeerId[] {
    const desk = this.#desk
    if (!desk) return []
    this.#asked.clear()
    const asked = this.#choosePeers(roundPeers)
    this.#guard(() => {
      this.#spreadProofs()
      desk.holdings.refresh()
      const { ranges, bans } = desk.holdings.digest()
      for (const link of asked) {
        if (link.channel.send({ type: 'score-digest', ranges: [...ranges], bans })) {
          link.digestsOpen = Math.min(gossipLimits.digestsBurst, link.digestsOpen + 1)
        }
      }
    })
    return asked.map(({ peerId }) => peerId)
  }

  /** Asks those of these peers that are connected for their word about a score. @returns who was asked */
  ask(accountId: PeerId, epoch: number, peerIds: Iterable<PeerId> = this.#links.keys()): readonly PeerId[] {
    return [...peerIds].filter((peerId) =>
      this.#links.get(peerId)?.channel.send({ type: 'score-request', accountId, epoch }),
    )
  }

  /** Tells everybody a statement of this node's own making. */
  tell(statement: ScoreStatement): void {
    for (const { channel } of this.#links.values()) channel.send({ type: 'score-verify', statement })
  }

  /** Reads on in every log of which more is known. Calls while it runs make it run once more. */
  async catchUp(): Promise<void> {
    this.#isBehind = true
    this.#catchingUp ??= this.#catchUpAll()
    await this.#catchingUp
  }

  async #catchUpAll(): Promise<void> {
    while (this.#isBehind && this.#desk) {
      this.#isBehind = false
      try {
        await this.#desk.ledger.catchUp()
        this.#spreadProofs()
      } catch (error) {
        this.#options.onDefect(error)
      }
    }
    this.#catchingUp = undefined
  }

  /** Shows a proof to the one whom it bans: it may be an honest owner's node of which two copies ran. */
  confront(proof: FraudProof): void {
    this.#links.get(toBanRef(proof).accountId)?.sendProofs([proof])
  }

  /** Tells everybody heads of others that do not fit their logs: who holds those finds the same. */
  tellHeads(heads: readonly Head[]): void {
    for (const link of this.#links.values()) link.sendParcels(heads.map((head) => ({ head })))
  }

  #forget(link: GossipLink): void {
    if (this.#links.get(link.peerId) === link) this.#links.delete(link.peerId)
    link.stopReplication?.()
    link.stopReplication = undefined
  }

  /** What each connection begins with: who I am, how far I am, and how far I saw you. */
  #greet(link: GossipLink): void {
    const desk = this.#desk
    if (!desk || link.stopReplication) return
    const { ledger } = desk
    link.stopReplication = ledger.replicate(link.stream)
    const [card, head] = [ledger.cardOf(ledger.ownId), ledger.headOf(ledger.ownId)]
    link.channel.send({
      type: 'score-update',
      ...(card && { cards: [card] }),
      ...(head && { heads: [head] }),
      known: ledger.headOf(link.peerId) ?? null,
    })
    if (this.#regime !== 'calm') link.channel.send({ type: 'regime', regime: this.#regime })
  }

  #received(link: GossipLink, message: ScoresMessage): void {
    const desk = this.#desk
    switch (message.type) {
      case 'score-update':
        this.#onKnown(link, message)
        return desk && this.#onUpdate(desk, link, message)
      case 'score-digest':
        return desk && this.#onDigest(desk, link, message)
      case 'score-heads':
        return desk && this.#onHeads(desk, link, message)
      case 'score-pull':
        return desk && this.#onPull(desk, link, message)
      case 'score-request':
        return desk && this.#onRequest(desk, link, message)
      case 'score-verify':
        if (desk?.ledger.learnStatement(message.statement) === 'invalid') this.#refuse(link)
        return this.#spreadProofs()
      case 'fraud':
        return desk && this.#onFraud(desk, link, message)
      case 'regime':
        link.regime = message.regime
    }
  }

  #onKnown(link: GossipLink, { known }: ScoreUpdate): void {
    if (known === undefined) return
    // It may come again: a peer that opens its books anew says it anew.
    link.known = known
    this.#hearKnown(link)
  }

  #hearKnown({ peerId, known }: GossipLink): void {
    const desk = this.#desk
    if (!desk || known === undefined) return
    if (known?.accountId === desk.ledger.ownId) desk.ledger.heardOwnHead(known)
    if (this.#told.has(peerId)) return
    this.#told.add(peerId)
    this.#onTold(this.#told.size)
  }

  #onUpdate(desk: Desk, link: GossipLink, update: ScoreUpdate): void {
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
        if (this.#desk !== desk) return
        const { heads, unknown, invalid } = desk.learner.learnHeads(update)
        this.#onLesson(desk, link, update, {
          cards: learned.cards,
          heads,
          unknown,
          invalid: invalid + learned.invalid,
        })
      } catch (error) {
        this.#options.onDefect(error)
      }
    })
  }

  #onLesson(desk: Desk, link: GossipLink, { isAnswer }: ScoreUpdate, lesson: Lesson): void {
    const { cards, heads, unknown, invalid } = lesson
    for (let count = 0; count < invalid; count++) this.#refuse(link)
    if (cards.length > 0 || heads.length > 0) {
      desk.holdings.refresh()
      this.#passOn(link, lesson, isAnswer ?? false)
    }
    // An answer that was not enough is left to the next round: asking again could go on for ever.
    if (unknown.length > 0 && !isAnswer) {
      const prefixes = unknown.map((accountId) => toHolding(accountId, undefined).prefix)
      this.#pull(link, { heads: prefixes, cards: prefixes, bans: [] })
    }
    this.#spreadProofs(link)
    if (heads.length > 0) void this.catchUp()
  }

  #passOn(from: GossipLink, { cards, heads }: Lesson, isAnswer: boolean): void {
    const others = [...this.#links.values()].filter((link) => link !== from)
    const headOf = new Map(heads.map((head) => [head.accountId, head]))
    // What a round repaired is news to this node alone.
    const isNews = (head: Head | undefined): boolean =>
      !isAnswer || (head !== undefined && this.#asked.has(toAsked(head)))
    const parcels = cards
      .map((card) => ({ card, head: headOf.get(card.accountId) }))
      .filter(({ head }) => isNews(head))
    const withCard = new Set(parcels.map(({ card }) => card.accountId))
    const named = heads.filter((head) => !withCard.has(head.accountId) && isNews(head))
    if (parcels.length > 0) for (const link of others) link.sendParcels(parcels)
    if (named.length === 0 || this.#links.size > eagerPeersMax) return
    const held = named.map((head) => toHolding(head.accountId, head))
    for (const link of this.#shuffled(others).slice(0, namesPerHead)) {
      link.channel.send({ type: 'score-heads', ranges: [], held })
    }
  }

  #onDigest(desk: Desk, link: GossipLink, digest: ScoreDigest): void {
    if (!link.digestAllowance.spend(this.#options.now())) return
    desk.holdings.refresh()
    const differing = desk.holdings.differingRanges(digest)
    const { ranges, held } = desk.holdings.list(this.#shuffled(differing))
    const isSameBans = desk.holdings.digest().bans === digest.bans
    if (ranges.length === 0 && isSameBans) return
    const bans = isSameBans ? {} : { bans: desk.holdings.bans() }
    link.channel.send({ type: 'score-heads', ranges: [...ranges], held, ...bans })
  }

  #onHeads(desk: Desk, link: GossipLink, message: ScoreHeads): void {
    const isAnswer = message.ranges.length > 0 || message.bans !== undefined
    if (isAnswer && link.digestsOpen === 0) {
      link.channel.violate('QM_MESSAGE_UNEXPECTED', 'an answer to a digest that was not sent')
      return
    }
    if (isAnswer) link.digestsOpen--
    desk.holdings.refresh()
    const found = desk.holdings.compare(message)
    link.sendProofs(found.proofs)
    const cards = new Set(found.cards)
    link.sendParcels(
      this.#shuffled(found.heads)
        .slice(0, scoresLimits.wantedMax)
        .map((accountId) => ({
          card: cards.has(accountId) ? desk.ledger.cardOf(accountId) : undefined,
          head: desk.ledger.headOf(accountId),
        })),
      true,
    )
    const heads = isAnswer ? found.wantedHeads : found.wantedHeads.filter((head) => this.#noteAsked(head))
    this.#pull(link, {
      heads: heads.map(({ prefix }) => prefix),
      cards: [...found.wantedCards],
      bans: [...found.wantedBans],
    })
  }

  /** Several peers name the same head at once; the first is asked. If it keeps it, a round brings it from another. */
  #noteAsked(head: { readonly prefix: string; readonly length: number; readonly mark: string }): boolean {
    const key = toAskedKey(head)
    if (this.#asked.has(key) || this.#asked.size >= gossipLimits.askedMax) return false
    this.#asked.add(key)
    return true
  }

  #pull(link: GossipLink, { heads, cards, bans }: Omit<ScorePull, 'type'>): void {
    if (heads.length + cards.length + bans.length === 0) return
    const first = <T>(list: readonly T[]): T[] => this.#shuffled(list).slice(0, scoresLimits.wantedMax)
    const wanted = first(heads)
    const isWanted = new Set(wanted)
    link.channel.send({
      type: 'score-pull',
      heads: wanted,
      // A card is of no use without its head, nor the other way round.
      cards: cards.filter((prefix) => isWanted.has(prefix)),
      bans: first(bans),
    })
  }

  #onPull({ ledger, holdings }: Desk, link: GossipLink, { heads, cards, bans }: ScorePull): void {
    holdings.refresh()
    const withCard = new Set(cards)
    const parcels = [...new Set([...heads, ...cards])].flatMap((prefix) => {
      const accountId = holdings.idOf(prefix)
      if (accountId === undefined) return []
      const card = withCard.has(prefix) ? ledger.cardOf(accountId) : undefined
      return [{ card, head: ledger.headOf(accountId) }]
    })
    link.sendParcels(parcels, true)
    link.sendProofs(
      bans.flatMap((accountId) => holdings.proofAgainst(accountId) ?? []),
      true,
    )
  }

  #onRequest({ ledger }: Desk, link: GossipLink, { accountId, epoch }: ScoreRequest): void {
    if (!link.statementAllowance.spend(this.#options.now())) return
    const statement = ledger.statementOf(accountId, epoch)
    if (statement) link.channel.send({ type: 'score-verify', statement })
  }

  #onFraud({ ledger, holdings }: Desk, link: GossipLink, { proofs, isAnswer }: Fraud): void {
    for (const proof of proofs) {
      const ban = toBanRef(proof)
      if (holdings.hasBan(ban)) continue
      const learned = ledger.learnProof(proof)
      if (learned === 'invalid') this.#refuse(link)
      if (learned !== 'new') continue
      if (isAnswer) this.#spread.add(toKey(ban))
      holdings.refresh()
    }
    this.#spreadProofs(link)
  }

  /** Everything in the books that proves something and was not passed on yet, wherever it came from. */
  #spreadProofs(from?: GossipLink): void {
    const proofs = this.#desk?.ledger.proofs() ?? []
    const fresh: FraudProof[] = []
    for (const proof of proofs) {
      const ban = toBanRef(proof)
      const key = toKey(ban)
      if (this.#spread.has(key)) continue
      this.#spread.add(key)
      // The guilty one can make as many as it likes, each with an earlier date.
      const pushes = this.#pushes.get(ban.accountId) ?? 0
      if (pushes >= gossipLimits.proofPushesMax) continue
      this.#pushes.set(ban.accountId, pushes + 1)
      fresh.push(proof)
    }
    if (this.#spread.size > 2 * proofs.length + gossipLimits.askedMax) {
      this.#spread = new Set(proofs.map((proof) => toKey(toBanRef(proof))))
    }
    if (fresh.length === 0) return
    this.#desk?.holdings.refresh()
    for (const link of this.#links.values()) if (link !== from) link.sendProofs(fresh)
  }

  #refuse(link: GossipLink): void {
    link.channel.violate('QM_EVIDENCE_INVALID', 'evidence that no honest node passes on')
  }

  #choosePeers(count: number): readonly GossipLink[] {
    return this.#shuffled([...this.#links.values()]).slice(0, count)
  }

  #shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, rank: this.#options.random() }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ value }) => value)
  }

  #guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#options.onDefect(error)
    }
  }
}

const toKey = ({ accountId, epoch }: BanRef): string => `${accountId}/${epoch}`
const toAskedKey = (head: {
  readonly prefix: string
  readonly length: number
  readonly mark: string
}): string => `${head.prefix}/${head.length}/${head.mark}`
const toAsked = (head: Head): string => toAskedKey(toHolding(head.accountId, head))
