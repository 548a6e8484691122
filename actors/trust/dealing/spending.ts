import type { PeerId } from '../../../protocol/index.ts'
import type { FraudProof, NetworkId, Offer, PaidEntry, Receipt } from '../../../protocol/trust/index.ts'
import type { Books } from '../books.ts'
import { type Debt, Debts } from './debts.ts'
import { findContradiction } from './offer-check.ts'
import { OfferMemory } from './offer-memory.ts'

export interface SpendingPorts {
  readonly ownId: PeerId
  readonly networkId: NetworkId
  readonly books: Books
  readonly onDoubleSpend: (proof: FraudProof) => void
  /** A payment of this node's own is missing in its log, as when the process was killed before it was written. */
  readonly onLost: (entry: PaidEntry) => void
}

/** What clients promise and pay, as all logs together tell it: a client's own is only its word. */
export class Spending {
  readonly #ports: SpendingPorts
  readonly #offers: OfferMemory
  readonly #debts: Debts

  constructor(ports: SpendingPorts) {
    this.#ports = ports
    this.#offers = new OfferMemory(ports.networkId)
    this.#debts = new Debts(ports.books.params)
  }

  /** A receipt was read in a log; all its signatures are right. */
  received(receipt: Receipt): void {
    const { books, onDoubleSpend } = this.#ports
    const { clientId, spendSeq } = receipt.offer
    const other = this.#offers.remember(receipt.offer)
    if (other) onDoubleSpend({ kind: 'double-spend', a: other, b: receipt.offer })
    const isPaid = books.get(clientId)?.state.seenSpends.has(spendSeq) ?? false
    this.#debts.received(receipt, books.epoch, isPaid)
  }

  /** A payment was read in its client's log. */
  paid(clientId: PeerId, { spendSeq }: PaidEntry): void {
    this.#debts.paid(clientId, spendSeq)
  }

  /** What is wrong with an offer by the log that its client showed; undefined where that is unknown. */
  contradictionOf(offer: Offer): string | undefined {
    const { books } = this.#ports
    return findContradiction(offer, books.get(offer.clientId), books.params)
  }

  /** Whether a client is beyond its line with what it signed for elsewhere, and left out of its log. */
  isSpent({ clientId, balanceAfter }: Offer): boolean {
    const { books } = this.#ports
    const overdue = this.overdueOf(clientId)
    if (overdue === 0) return false
    const account = books.get(clientId)
    const line = account ? books.credit(account).line : books.params.lineBaseMc
    return balanceAfter - overdue < -line
  }

  /** Milli-credits that an account signed for, and did not write down in time. */
  overdueOf(accountId: PeerId): number {
    return this.#debts.overdueOf(accountId)
  }

  /** Once an epoch. */
  sweep(): void {
    const { ownId, books } = this.#ports
    for (const debt of this.#debts.sweep(books.epoch)) if (debt.clientId === ownId) this.#repay(debt)
  }

  #repay({ clientId, workerId, requestId, spendSeq, amount }: Debt): void {
    const { books, onLost } = this.#ports
    this.#debts.paid(clientId, spendSeq)
    onLost({ type: 'paid', epoch: books.epoch, workerId, requestId, spendSeq, amount })
  }
}
