import type { NoiseStream } from 'hyperswarm'
import type { Regime } from '../../../machines/trust/regime.ts'
import type { ErrorCode, Hello, PeerId } from '../../../protocol/index.ts'
import type { ScoresMessage } from '../../../protocol/messages/scores.ts'
import type { FraudProof, Head, NetworkId, ScoreStatement } from '../../../protocol/trust/index.ts'
import type { Desk, Floor } from './gossip-floor.ts'
import { GossipLink } from './gossip-link.ts'
import type { GossipLedger } from './gossip.port.ts'
import { Holdings } from './holdings.ts'
import { type Agreement, Inquiries } from './inquiries.ts'
import { Learner } from './learner.ts'
import { News, type Told } from './news.ts'
import { PeerReports, type Standing } from './peer-reports.ts'
import { Proofs } from './proofs.ts'
import { type RoundReport, RegimeWatch } from './regime-watch.ts'
import { Reporters } from './reporters.ts'
import { Rounds } from './rounds.ts'
import { toScoresCapability } from './scores-channel.ts'
import { Wishes } from './wishes.ts'

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
  readonly #inquiries: Inquiries
  readonly #news: News
  readonly #proofs: Proofs
  readonly #reporters = new Reporters()
  readonly #reports: PeerReports
  readonly #rounds: Rounds
  readonly #watch: RegimeWatch
  readonly #wishes: Wishes
  #desk: Desk | undefined
  #regime: Regime = 'calm'
  #catchingUp: Promise<void> | undefined
  #isBehind = false

  constructor(options: GossipOptions) {
    this.#options = options
    const { networkId, now, random, onDefect } = options
    const floor: Floor = { networkId, links: this.#links, now, random, onDefect, desk: () => this.#desk }
    this.#wishes = new Wishes(floor)
    this.#proofs = new Proofs(floor, this.#wishes)
    this.#news = new News(floor, this.#wishes, this.#proofs, () => void this.catchUp())
    this.#rounds = new Rounds(floor, this.#wishes)
    this.#inquiries = new Inquiries(floor, this.#reporters)
    this.#reports = new PeerReports(floor, this.#reporters)
    this.#watch = new RegimeWatch(floor, this.#reporters, this.#reports)
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

  /** How rough it looks to this node. */
  get regime(): Regime {
    return this.#regime
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
  start(ledger: GossipLedger, onTold: (told: Told) => void = () => {}): void {
    this.stop()
    this.#desk = { ledger, holdings: new Holdings(ledger), learner: new Learner(ledger) }
    this.#watch.start()
    this.#proofs.start(ledger.proofs())
    for (const link of this.#links.values()) this.#guard(() => this.#greet(link))
    this.#guard(() => this.#news.start(onTold))
  }

  /** The books are about to close. What peers say until the next start is ignored; rounds bring it later. */
  stop(): void {
    this.#desk = undefined
    this.#news.stop()
    this.#wishes.forget()
    this.#inquiries.stop()
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
    this.#guard(() => this.#proofs.spread())
  }

  setRegime(regime: Regime): void {
    if (regime === this.#regime) return
    this.#regime = regime
    for (const { channel } of this.#links.values()) channel.send({ type: 'regime', regime })
  }

  /**
   * One round: asks three random peers whether they hold the same, and witnesses of a few accounts for their word.
   *
   * @returns what came of the round before; nothing while the books are closed
   */
  round(): RoundReport | undefined {
    const desk = this.#desk
    if (!desk) return undefined
    let report: RoundReport | undefined
    this.#guard(() => {
      const found = this.#inquiries.conclude(desk.ledger.ownId, this.#regime)
      this.#reports.note(found.latencies)
      report = this.#watch.report(desk, found)
      this.#proofs.spread()
      const asked = this.#rounds.open(desk, found.differing)
      const message = this.#reports.takeMessage()
      if (message) asked[0]?.channel.send(message)
      this.#inquiries.ask(desk, this.#regime)
      if (found.needsLogs) void this.catchUp()
    })
    return report
  }

  /** What witnesses said about an account's score; undefined where nobody was asked. */
  agreementOn(accountId: PeerId): Agreement | undefined {
    return this.#inquiries.agreementOn(accountId)
  }

  /** How nodes answer, by what everybody reports. */
  standings(): ReadonlyMap<PeerId, Standing> {
    const ownId = this.#desk?.ledger.ownId
    return ownId === undefined ? new Map() : this.#reports.standings(ownId, this.#regime)
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
        this.#proofs.spread()
      } catch (error) {
        this.#options.onDefect(error)
      }
    }
    this.#catchingUp = undefined
  }

  /** Shows a proof to the one whom it bans: it may be an honest owner's node of which two copies ran. */
  confront(proof: FraudProof): void {
    this.#proofs.confront(proof)
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
    // Who has just come would wait for a round: the one that asks is the one whose id is lower, or both would.
    if (ledger.ownId < link.peerId) this.#rounds.ask(desk, [link])
  }

  #received(link: GossipLink, message: ScoresMessage): void {
    const desk = this.#desk
    if (message.type === 'score-update') return this.#news.take(desk, link, message)
    if (message.type === 'regime') {
      link.regime = message.regime
      return
    }
    if (message.type === 'peer-report') {
      link.hearReports(message)
      return
    }
    if (!desk) return
    switch (message.type) {
      case 'score-digest':
        return this.#rounds.takeDigest(desk, link, message)
      case 'score-heads':
        return this.#rounds.takeList(desk, link, message)
      case 'score-pull':
        return this.#rounds.takePull(desk, link, message)
      case 'score-request':
        return this.#inquiries.answer(desk, link, message)
      case 'score-verify':
        this.#inquiries.take(desk, link, message)
        return this.#proofs.spread()
      case 'fraud':
        return this.#proofs.take(desk, link, message)
    }
  }

  #guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#options.onDefect(error)
    }
  }
}
