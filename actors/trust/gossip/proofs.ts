import type { PeerId } from '../../../protocol/index.ts'
import { toPrefix } from '../../../protocol/messages/holdings.ts'
import type { Fraud } from '../../../protocol/messages/scores.ts'
import type { FraudProof } from '../../../protocol/trust/index.ts'
import { type Desk, type Floor, refuse } from './gossip-floor.ts'
import { gossipLimits } from './gossip-limits.ts'
import type { GossipLink } from './gossip-link.ts'
import { toBanRef } from './holdings.ts'
import type { Wishes } from './wishes.ts'

/** Proofs of fraud: each is checked once, and told once to everybody there is. */
export class Proofs {
  readonly #floor: Floor
  readonly #wishes: Wishes
  /** Whom the proofs ban that were passed on, or that were there at the start; as many as the books hold. */
  #spread = new Set<PeerId>()
  /** Accounts that a proof was pushed against before they were introduced: when it comes again it is still news. */
  readonly #awaited = new Set<PeerId>()

  constructor(floor: Floor, wishes: Wishes) {
    this.#floor = floor
    this.#wishes = wishes
  }

  /** What the books hold already is known to those who were there; others hear it by rounds. */
  start(proofs: readonly FraudProof[]): void {
    this.#spread = new Set(proofs.map((proof) => toBanRef(proof).accountId))
  }

  /** Shows a proof to the one whom it bans: it may be an honest owner's node of which two copies ran. */
  confront(proof: FraudProof): void {
    this.#floor.links.get(toBanRef(proof).accountId)?.sendProofs([proof])
  }

  take(desk: Desk, link: GossipLink, fraud: Fraud): void {
    if (link.cardsWaiting === 0) return this.#learn(desk, link, fraud)
    // The card without which a proof cannot be judged came just before it, and takes longer.
    link.turn = link.turn.then(() => {
      if (this.#floor.desk() !== desk) return
      try {
        this.#learn(desk, link, fraud)
      } catch (error) {
        this.#floor.onDefect(error)
      }
    })
  }

  #learn({ ledger, holdings }: Desk, link: GossipLink, { proofs, isAnswer }: Fraud): void {
    const unknown: PeerId[] = []
    for (const proof of proofs) {
      const { accountId } = toBanRef(proof)
      if (holdings.hasProof(accountId)) continue
      const learned = ledger.learnProof(proof)
      if (learned === 'invalid') refuse(link)
      if (learned === 'later') unknown.push(accountId)
      if (learned !== 'new') continue
      if (isAnswer && !this.#awaited.delete(accountId)) this.#spread.add(accountId)
      holdings.refresh()
    }
    // Who has just joined may hear of a fraud before it hears of the cheat. Asked once: a round brings the rest.
    if (unknown.length > 0 && !isAnswer) {
      const prefixes = unknown.map(toPrefix)
      if (this.#awaited.size > gossipLimits.askedMax) this.#awaited.clear()
      for (const accountId of unknown) this.#awaited.add(accountId)
      this.#wishes.pull(link, { heads: prefixes, cards: prefixes, bans: unknown })
    }
    this.spread(link)
  }

  /** Everything in the books that proves something and was not passed on yet, wherever it came from. */
  spread(from?: GossipLink): void {
    const desk = this.#floor.desk()
    const proofs = desk?.ledger.proofs() ?? []
    const fresh = proofs.filter((proof) => {
      const { accountId } = toBanRef(proof)
      if (this.#spread.has(accountId)) return false
      // One is enough: the guilty one can make as many as it likes.
      this.#spread.add(accountId)
      return true
    })
    if (this.#spread.size > 2 * proofs.length + gossipLimits.askedMax) this.start(proofs)
    if (fresh.length === 0) return
    desk?.holdings.refresh()
    for (const link of this.#floor.links.values()) if (link !== from) link.sendProofs(fresh)
  }
}
