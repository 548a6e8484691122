import type { ScoresMessage } from '../../../protocol/messages/scores.ts'
import { Allowance } from '../../peer/allowance.ts'
import { gossipLimits } from './gossip-limits.ts'

const all = (allowance: Allowance, count: number, nowMs: number): boolean => {
  for (let spent = 0; spent < count; spent++) if (!allowance.spend(nowMs)) return false
  return true
}

const fullShare = 100

/**
 * What may go over one connection in one direction. The receiver holds the peer to it; the sender keeps well below,
 * so that an honest one is never found over it because two clocks differ.
 */
export class PeerAllowances {
  readonly #signatures: Allowance
  readonly #cards: Allowance
  readonly #questions: Allowance
  readonly #kib: Allowance

  constructor(nowMs: number, sharePercent = fullShare) {
    const allow = (burst: number, perSecond: number): Allowance =>
      new Allowance(
        Math.floor((burst * sharePercent) / fullShare),
        (perSecond * sharePercent) / fullShare,
        nowMs,
      )
    const its = gossipLimits
    this.#signatures = allow(its.signaturesBurst, its.signaturesPerSecond)
    this.#cards = allow(its.cardsBurst, its.cardsPerSecond)
    this.#questions = allow(its.questionsBurst, its.questionsPerSecond)
    this.#kib = allow(its.kibBurst, its.kibPerSecond)
  }

  /** False when the peer sent more bytes than anybody needs. */
  bytes(count: number, nowMs: number): boolean {
    return all(this.#kib, Math.ceil(count / 1_024), nowMs)
  }

  /** A message that is ignored, or one of those that ask. */
  question(nowMs: number): boolean {
    return this.#questions.spend(nowMs)
  }

  /** False when the work that a message asks for is more than it may. */
  message(message: ScoresMessage, nowMs: number): boolean {
    switch (message.type) {
      case 'score-update': {
        const { cards = [], heads = [], known } = message
        const signatures = cards.length + heads.length + (known ? 1 : 0)
        return (
          all(this.#cards, cards.length, nowMs) &&
          // An empty one costs a signature too, or it would be free.
          all(this.#signatures, Math.max(1, signatures), nowMs)
        )
      }
      case 'fraud':
        return all(this.#signatures, Math.max(1, 2 * message.proofs.length), nowMs)
      case 'score-verify':
        return all(this.#signatures, 1, nowMs)
      case 'score-digest':
      case 'score-heads':
      case 'score-pull':
      case 'score-request':
      case 'regime':
      case 'peer-report':
        return this.question(nowMs)
    }
  }
}
