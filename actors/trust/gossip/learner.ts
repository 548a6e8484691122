import type { PeerId } from '../../../protocol/index.ts'
import type { ScoreUpdate } from '../../../protocol/messages/scores.ts'
import { cardFormat, type Head, type IdentityCard } from '../../../protocol/trust/index.ts'
import type { GossipLedger, Learned } from './gossip.port.ts'

/** What became of the cards and heads of one update. */
export interface Lesson {
  readonly cards: readonly IdentityCard[]
  readonly heads: readonly Head[]
  /** Accounts of heads that cannot be judged without a card. */
  readonly unknown: readonly PeerId[]
  /** Things that no honest node passes on. */
  readonly invalid: number
}

/** Hands updates to the books. What is known already, most of it, costs no signature check. */
export class Learner {
  readonly #ledger: GossipLedger
  /** Cards under check: the same one comes from several peers at once, and checking takes long. */
  readonly #checking = new Map<string, Promise<Learned>>()

  constructor(ledger: GossipLedger) {
    this.#ledger = ledger
  }

  /** The cards of an update that are worth a check. */
  newCards({ cards = [] }: ScoreUpdate): IdentityCard[] {
    return cards.filter((card) => {
      const known = this.#ledger.cardOf(card.accountId)
      return !known || known.seq < card.seq || (known.seq === card.seq && known.signature !== card.signature)
    })
  }

  async learnCards(cards: readonly IdentityCard[]): Promise<Pick<Lesson, 'cards' | 'invalid'>> {
    const fresh: IdentityCard[] = []
    let invalid = 0
    for (const card of cards) {
      const key = cardFormat.encode(card).toString('base64')
      const running = this.#checking.get(key)
      // Whoever brought it first passes it on.
      const learned = running ? await running : await this.#check(key, card)
      if (learned === 'new' && !running) fresh.push(card)
      if (learned === 'invalid') invalid++
    }
    return { cards: fresh, invalid }
  }

  learnHeads({ heads = [] }: ScoreUpdate): Omit<Lesson, 'cards'> {
    const fresh: Head[] = []
    const unknown: PeerId[] = []
    let invalid = 0
    for (const head of heads) {
      if (this.#isOld(head)) continue
      // Those of the own log are heard apart: they say who could tell of a longer one.
      if (head.accountId === this.#ledger.ownId) continue
      const learned = this.#ledger.learnHead(head)
      if (learned === 'new') fresh.push(head)
      if (learned === 'later' && !this.#ledger.cardOf(head.accountId)) unknown.push(head.accountId)
      if (learned === 'invalid') invalid++
    }
    return { heads: fresh, unknown, invalid }
  }

  #isOld(head: Head): boolean {
    const known = this.#ledger.headOf(head.accountId)
    if (!known) return false
    // A shorter one is still compared with the log: it may be of another history.
    return known.length === head.length && known.treeHash === head.treeHash
  }

  async #check(key: string, card: IdentityCard): Promise<Learned> {
    const check = this.#ledger.learnCard(card)
    this.#checking.set(key, check)
    try {
      return await check
    } finally {
      this.#checking.delete(key)
    }
  }
}
