import { isStampEnough, type TrustParams } from '../../machines/trust/index.ts'
import type { PeerId } from '../../protocol/index.ts'
import {
  cardFormat,
  cardRoles,
  type FraudProof,
  type IdentityCard,
  isCardValid,
  type TrustSigner,
} from '../../protocol/trust/index.ts'
import type { Books } from './books.ts'
import type { Learned } from './gossip/gossip.port.ts'
import { hashStamp, makeStamp } from './stamp.ts'

export interface CardsPorts {
  readonly signer: TrustSigner
  readonly params: TrustParams
  readonly books: Books
  /** Somebody signed two cards that no honest account signs both. */
  readonly onContradiction: (proof: FraudProof) => Learned
}

/** What the own card says beside the account's id. */
export interface OwnCardFields {
  /** Public keys in hex. */
  readonly keys: { readonly log: string; readonly vrf: string }
  readonly roles: readonly (keyof typeof cardRoles)[]
  readonly name: string
}

/** Takes in the cards by which accounts introduce themselves: signature, stamp, and whether they contradict each other. */
export class Cards {
  readonly #ports: CardsPorts
  /** Stamps under check, by account and nonce: an account may show several, and only the slow hash is shared. */
  readonly #stamps = new Map<string, Promise<boolean | undefined>>()
  /**
   * Stamps that were found good, by the same, oldest first. An account that the books have no room for, or forgot, is
   * told of again in every round.
   */
  readonly #good = new Set<string>()
  /** When each account last had another card: it may change once an epoch. */
  readonly #recarded = new Map<PeerId, number>()

  constructor(ports: CardsPorts) {
    this.#ports = ports
  }

  async learn(card: IdentityCard): Promise<Learned> {
    const { params, books } = this.#ports
    const early = this.#judge(card)
    if (early) return early
    const known = books.get(card.accountId)?.card
    const isPaid = known?.stampNonce === card.stampNonce || this.#good.has(toStampKey(card))
    if (params.stampBits === 0 || isPaid) return this.#take(card)
    const isStamped = await this.#checkStamp(card)
    // Too many wait, or the memory for it is not to be had: a round brings the card again.
    if (isStamped === undefined) return 'later'
    if (!isStamped) return 'invalid'
    this.#remember(toStampKey(card))
    // While this one was checked, another card of the account may have come.
    return this.#judge(card) ?? this.#take(card)
  }

  /** A card that the account signed, seen elsewhere: in its log. */
  compare(card: IdentityCard): FraudProof | undefined {
    const known = this.#ports.books.get(card.accountId)?.card
    return known && isContradicted(known, card) ? { kind: 'two-cards', a: known, b: card } : undefined
  }

  /** Whether the own card says something else than it should: its owner chose another name, or other roles. */
  isOld({ name, roles }: IdentityCard, wanted: OwnCardFields): boolean {
    return (name !== wanted.name || roles !== toRoles(wanted)) && this.#canRenew()
  }

  /** Makes the own card, or the one that replaces it; the stamp of the first may take long. */
  async make(fields: OwnCardFields, signal: AbortSignal): Promise<IdentityCard> {
    const { signer, params, books } = this.#ports
    const { keys, name } = fields
    const { stampBits: bits, stampMemoryKb: memoryKb } = params
    const before = books.get(signer.id)?.card
    const stampNonce =
      before?.stampNonce ?? (bits === 0 ? 0 : await makeStamp(signer.id, { bits, memoryKb }, signal))
    return cardFormat.sign(signer, {
      accountId: signer.id,
      logKey: keys.log,
      vrfKey: keys.vrf,
      roles: toRoles(fields),
      createdEpoch: books.epoch,
      seq: before ? before.seq + 1 : 0,
      name,
      stampNonce,
    })
  }

  /** Nobody takes two cards of one account in an epoch, and there are 65,536 numbers. */
  #canRenew(): boolean {
    const { signer, books } = this.#ports
    const card = books.get(signer.id)?.card
    return card !== undefined && card.seq < cardSeqMax && card.createdEpoch < books.epoch
  }

  /** Once an epoch. */
  sweep(): void {
    for (const [id, epoch] of this.#recarded) if (epoch < this.#ports.books.epoch) this.#recarded.delete(id)
  }

  /** Everything about a card but its stamp; undefined where that decides. */
  #judge(card: IdentityCard): Learned | undefined {
    const { signer, params, books, onContradiction } = this.#ports
    if (card.accountId === signer.id) return 'known'
    const known = books.get(card.accountId)?.card
    if (known && known.seq > card.seq) return 'known'
    if (known && cardFormat.toHash(known, signer.networkId) === cardFormat.toHash(card, signer.networkId)) {
      return 'known'
    }
    if (!isCardValid(card, signer.networkId)) return 'invalid'
    if (known && isContradicted(known, card)) {
      return onContradiction({ kind: 'two-cards', a: known, b: card })
    }
    // Clocks differ, but not by more than this.
    if (card.createdEpoch > books.epoch + params.clockSkewEpochs) return 'later'
    // Every card is passed on by everybody, so nobody may have a new one at any moment.
    return known && this.#recarded.get(card.accountId) === books.epoch ? 'later' : undefined
  }

  /** The check takes 64 MiB and a tenth of a second: once for each stamp, however many peers tell of it. */
  #checkStamp(card: IdentityCard): Promise<boolean | undefined> {
    const { accountId, stampNonce } = card
    const key = toStampKey(card)
    const running = this.#stamps.get(key)
    if (running) return running
    const { stampBits, stampMemoryKb } = this.#ports.params
    const check = hashStamp(accountId, stampNonce, stampMemoryKb)
      .then(
        (hash) => isStampEnough(hash, stampBits),
        () => undefined,
      )
      .finally(() => this.#stamps.delete(key))
    this.#stamps.set(key, check)
    return check
  }

  #remember(stampKey: string): void {
    this.#good.add(stampKey)
    const [oldest] = this.#good
    if (this.#good.size > goodStampsMax && oldest !== undefined) this.#good.delete(oldest)
  }

  #take(card: IdentityCard): Learned {
    const { books } = this.#ports
    const account = books.open(card.accountId)
    if (!account) return 'later'
    if (account.card) this.#recarded.set(card.accountId, books.epoch)
    account.card = card
    return 'new'
  }
}

const cardSeqMax = 65_535
/** Stamps remembered: of four times as many accounts as there is room for in the books. */
const goodStampsMax = 4_096

const toStampKey = ({ accountId, stampNonce }: IdentityCard): string => `${accountId} ${stampNonce}`

const toRoles = ({ roles }: OwnCardFields): number => roles.reduce((all, role) => all | cardRoles[role], 0)

/** No honest account signs both: the number is taken, or the log, whose key never changes, would be another one. */
const isContradicted = (a: IdentityCard, b: IdentityCard): boolean =>
  (a.seq === b.seq || a.logKey !== b.logKey) && a.signature !== b.signature
