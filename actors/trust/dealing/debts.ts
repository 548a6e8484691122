import { isFull, toAmount, type TrustParams } from '../../../machines/trust/index.ts'
import type { PeerId } from '../../../protocol/index.ts'
import type { PaidEntry, Receipt } from '../../../protocol/trust/index.ts'

/** Payments that are waited for, and ones that did not come; each takes about 300 bytes. The oldest are forgotten first. */
const debtsMax = 20_000

/** What a client signed for in a worker's log. */
export interface Debt extends Omit<PaidEntry, 'type' | 'epoch'> {
  readonly clientId: PeerId
  /** Until when its payment may come to be read here. */
  readonly untilEpoch: number
}

/**
 * Finds payments that clients leave out of their logs. A worker's receipt has the client's signature under what came;
 * if the payment is not in the client's log when receipts can be filed no more, it counts as made all the same.
 *
 * In memory, and only of receipts that were read while they were fresh: of an old one nobody can tell any more whether
 * it was paid, and to take an honest client for a liar would be worse than to miss one.
 */
export class Debts {
  readonly #params: TrustParams
  readonly #open = new Map<string, Debt>()
  readonly #overdue = new Map<string, Debt>()
  readonly #sums = new Map<PeerId, number>()

  constructor(params: TrustParams) {
    this.#params = params
  }

  /** Milli-credits, the burn included, that a client signed for and did not write down in time. */
  overdueOf(clientId: PeerId): number {
    return this.#sums.get(clientId) ?? 0
  }

  /**
   * A worker's receipt was read, and its signatures are right.
   *
   * @param isPaid whether the client's log is known to hold the payment
   */
  received(receipt: Receipt, epoch: number, isPaid: boolean): void {
    const { offer, ack } = receipt
    const amount = toAmount(receipt, this.#params)
    // Without the client's word on the end, or without a token, it may rightly have paid less, or nothing.
    if (isPaid || !isFull(receipt) || ack?.received === 0 || amount === 0) return
    const { filingEpochs, clockSkewEpochs, finalityEpochs } = this.#params
    if (epoch > offer.epoch + filingEpochs) return
    const { clientId, workerId, requestId, spendSeq } = offer
    const key = toKey(clientId, spendSeq)
    if (this.#open.has(key) || this.#overdue.has(key)) return
    const untilEpoch = offer.epoch + filingEpochs + clockSkewEpochs + finalityEpochs
    this.#open.set(key, { clientId, workerId, requestId, spendSeq, amount, untilEpoch })
    const [oldest] = this.#open.keys()
    if (this.#open.size > debtsMax && oldest !== undefined) this.#open.delete(oldest)
  }

  /** The payment is in the client's log: it counts there, and only there. */
  paid(clientId: PeerId, spendSeq: number): void {
    const key = toKey(clientId, spendSeq)
    this.#open.delete(key)
    this.#forgive(key)
  }

  /** Once an epoch. @returns the debts that fell due now */
  sweep(epoch: number): Debt[] {
    const due: Debt[] = []
    for (const [key, debt] of this.#open) {
      if (epoch <= debt.untilEpoch) continue
      this.#open.delete(key)
      this.#overdue.set(key, debt)
      this.#sums.set(debt.clientId, this.overdueOf(debt.clientId) + debt.amount)
      due.push(debt)
      const [oldest] = this.#overdue.keys()
      if (this.#overdue.size > debtsMax && oldest !== undefined) this.#forgive(oldest)
    }
    return due
  }

  #forgive(key: string): void {
    const debt = this.#overdue.get(key)
    if (!debt) return
    this.#overdue.delete(key)
    const left = this.overdueOf(debt.clientId) - debt.amount
    if (left > 0) this.#sums.set(debt.clientId, left)
    else this.#sums.delete(debt.clientId)
  }
}

const toKey = (clientId: PeerId, spendSeq: number): string => `${clientId} ${spendSeq}`
