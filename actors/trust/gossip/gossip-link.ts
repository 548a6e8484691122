import type { NoiseStream } from 'hyperswarm'
import type { Regime } from '../../../machines/trust/regime.ts'
import type { ErrorCode, PeerId } from '../../../protocol/index.ts'
import { type PeerReport, scoresLimits, type ScoresMessage } from '../../../protocol/messages/scores.ts'
import type { FraudProof, Head, IdentityCard } from '../../../protocol/trust/index.ts'
import { Allowance } from '../../peer/allowance.ts'
import { gossipLimits } from './gossip-limits.ts'
import { ScoresChannel } from './scores-channel.ts'

export interface GossipLinkEvents {
  received(link: GossipLink, message: ScoresMessage): void
  violated(link: GossipLink, code: ErrorCode, detail: string): void
  closed(link: GossipLink): void
}

/** One account, with what is to be sent of it. */
export interface Parcel {
  readonly card?: IdentityCard | undefined
  readonly head?: Head | undefined
}

const chunksOf = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  )

/** One peer that gossips, and the little that is remembered of the talk with it. */
export class GossipLink {
  readonly peerId: PeerId
  readonly stream: NoiseStream
  readonly channel: ScoresChannel
  /** What the peer holds of our log: null for nothing, undefined until it said so. */
  known: Head | null | undefined
  regime: Regime = 'calm'
  /** What it said last of each of other nodes, those it spoke of last at the end. */
  readonly reports = new Map<PeerId, Omit<PeerReport['peers'][number], 'accountId'>>()
  /** Digests that it was sent and may still answer. */
  digestsOpen = 0
  readonly digestAllowance: Allowance
  readonly statementAllowance: Allowance
  /** Cards of its updates that wait for their check, which takes long, and the updates, one after the other. */
  cardsWaiting = 0
  turn: Promise<void> = Promise.resolve()
  stopReplication: (() => void) | undefined

  constructor(peerId: PeerId, stream: NoiseStream, now: () => number, events: GossipLinkEvents) {
    const its = gossipLimits
    this.peerId = peerId
    this.stream = stream
    this.digestAllowance = new Allowance(its.digestsBurst, its.digestsPerSecond, now())
    this.statementAllowance = new Allowance(its.statementsBurst, its.statementsPerSecond, now())
    this.channel = new ScoresChannel(
      { stream, now },
      {
        received: (message) => events.received(this, message),
        violated: (code, detail) => events.violated(this, code, detail),
        closed: () => events.closed(this),
      },
    )
  }

  hearReports({ peers }: PeerReport): void {
    for (const { accountId, ...seen } of peers) {
      this.reports.delete(accountId)
      this.reports.set(accountId, seen)
    }
    for (const accountId of this.reports.keys()) {
      if (this.reports.size <= scoresLimits.reportsMax) return
      this.reports.delete(accountId)
    }
  }

  sendParcels(parcels: readonly Parcel[], isAnswer = false): void {
    const withCard = parcels.filter(({ card }) => card)
    const headsOnly = parcels.filter(({ card, head }) => !card && head)
    const chunks = [
      // A head goes with its card: without it, it could not be judged.
      ...chunksOf(withCard, scoresLimits.cardsMax),
      ...chunksOf(headsOnly, scoresLimits.headsMax),
    ]
    for (const chunk of chunks) {
      const cards = chunk.flatMap(({ card }) => card ?? [])
      const heads = chunk.flatMap(({ head }) => head ?? [])
      this.channel.send({
        type: 'score-update',
        ...(cards.length > 0 && { cards }),
        ...(heads.length > 0 && { heads }),
        ...(isAnswer && { isAnswer }),
      })
    }
  }

  sendProofs(proofs: readonly FraudProof[], isAnswer = false): void {
    for (const chunk of chunksOf(proofs, scoresLimits.proofsMax)) {
      this.channel.send({ type: 'fraud', proofs: chunk, ...(isAnswer && { isAnswer }) })
    }
  }
}
