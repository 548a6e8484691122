import { type NetworkId, type Offer, offerFormat } from '../../../protocol/trust/index.ts'

/** Offers remembered; each takes about a kilobyte. The oldest are forgotten first. */
const offersMax = 20_000

/** Finds promises that a client made twice: two offers with the same number that are not the same. */
export class OfferMemory {
  readonly #networkId: NetworkId
  readonly #offers = new Map<string, Offer>()

  constructor(networkId: NetworkId) {
    this.#networkId = networkId
  }

  /** @returns the other offer with the client's number, when there is one. */
  remember(offer: Offer): Offer | undefined {
    const key = `${offer.clientId} ${offer.spendSeq}`
    const known = this.#offers.get(key)
    if (!known) {
      this.#offers.set(key, offer)
      const [oldest] = this.#offers.keys()
      if (this.#offers.size > offersMax && oldest !== undefined) this.#offers.delete(oldest)
      return undefined
    }
    const [a, b] = [known, offer].map((one) => offerFormat.toHash(one, this.#networkId))
    return a === b ? undefined : known
  }
}
