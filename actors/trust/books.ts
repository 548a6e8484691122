import {
  type AccountState,
  BanSet,
  neverDay,
  type ClientTerm,
  createAccountState,
  type Credit,
  type LogFaultCode,
  type Score,
  toClientTerms,
  toCredit,
  toPrecedence,
  toScore,
  type TrustParams,
} from '../../machines/trust/index.ts'
import { newcomer, type Precedence } from '../../machines/scheduling/index.ts'
import { limits, type PeerId } from '../../protocol/index.ts'
import type { FraudProof, Head, IdentityCard } from '../../protocol/trust/index.ts'

/** What this node knows of an account. */
export interface Account {
  readonly id: PeerId
  card: IdentityCard | undefined
  /** The longest valid one. */
  head: Head | undefined
  /** The part of the log that was read. */
  readonly state: AccountState
  /** Tree hash of exactly that part, 64 hex characters; undefined while it is being read on, and where it is not known. */
  treeHash: string | undefined
}

export interface BanRecord {
  readonly accountId: PeerId
  /** Why, as a sentence. */
  readonly reason: string
  readonly epoch: number
  /** Absent when the account's own log, which anybody can read, is the proof. */
  readonly proof?: FraudProof | undefined
  /**
   * Seen here and not to be shown to others: this node has nothing more to do with the account, but scores do not
   * depend on it, or two honest nodes that saw different things would never agree again.
   */
  readonly isLocal?: boolean | undefined
}

/** Faults that no honest node's log can have, whatever its clock and its peers do. */
const bannedFaults: ReadonlySet<LogFaultCode> = new Set([
  'card-missing',
  'card-foreign',
  'receipt-foreign',
  'receipt-self',
  'receipt-twice',
  'price-too-high',
  'price-on-gratis',
  'paid-twice',
] satisfies LogFaultCode[])

/** Accounts known at once; every one of them costs its sums. */
const accountsMax = 1_024
/** Bans of accounts that nobody introduced: keys cost nothing, and anybody can sign a contradiction with each. */
const strangersBannedMax = 4_096

/** All accounts that this node has heard of, in memory: what they did, what that is worth, and who is banned. */
export class Books {
  readonly params: TrustParams
  readonly #now: () => number
  readonly #onForgotten: (account: Account) => void
  readonly #accounts = new Map<PeerId, Account>()
  readonly #records = new Map<PeerId, BanRecord>()
  #strangersBanned = 0
  /** The earliest proof against each, also where the account's log had shown it before. */
  readonly #proofs = new Map<PeerId, { readonly epoch: number; readonly proof: FraudProof }>()
  /** Sums by client and day of each account, as they were counted last, and of all. */
  readonly #sums = new Map<PeerId, number>()
  #sumsOfAll = 0
  readonly #scores = new Map<PeerId, { readonly key: string; readonly score: Score }>()
  #bans = BanSet.empty

  /**
   * @param epochNow the epoch of this node's clock
   * @param onForgotten an account that made room for another
   */
  constructor(
    params: TrustParams,
    epochNow: () => number,
    onForgotten: (account: Account) => void = () => undefined,
  ) {
    this.params = params
    this.#now = epochNow
    this.#onForgotten = onForgotten
  }

  get epoch(): number {
    return this.#now()
  }

  get bans(): BanSet {
    return this.#bans
  }

  get banRecords(): readonly BanRecord[] {
    return [...this.#records.values()]
  }

  recordOf(accountId: PeerId): BanRecord | undefined {
    return this.#records.get(accountId)
  }

  /** Accounts on which books are kept. */
  get size(): number {
    return this.#accounts.size
  }

  accounts(): IterableIterator<Account> {
    return this.#accounts.values()
  }

  get(accountId: PeerId): Account | undefined {
    return this.#accounts.get(accountId)
  }

  /** Makes room by forgetting who is banned or never did a thing. Undefined when no more accounts fit. */
  open(accountId: PeerId): Account | undefined {
    const known = this.#accounts.get(accountId)
    if (known) return known
    if (this.#accounts.size >= accountsMax && (this.isBanned(accountId) || !this.#makeRoom()))
      return undefined
    const account: Account = {
      id: accountId,
      card: undefined,
      head: undefined,
      state: createAccountState(accountId),
      treeHash: undefined,
    }
    this.#accounts.set(accountId, account)
    return account
  }

  /** Puts in what was read before, while there is room. */
  restore(account: Account): void {
    if (this.#accounts.size >= accountsMax) return
    this.#accounts.set(account.id, account)
    this.#countSums(account.id, toSums(account.state))
  }

  /**
   * Whether more of the account's log may be read: what comes of it is kept in memory, and may be a sum an entry. Of one
   * that was forgotten while it was read there is nothing to keep.
   */
  hasRoomFor(account: Account): boolean {
    const { id, state } = account
    if (this.#accounts.get(id) !== account) return false
    const sums = toSums(state)
    this.#countSums(id, sums)
    if (sums >= limits.sumsPerAccountMax) return false
    return this.#sumsOfAll < limits.sumsMax || sums < Math.floor(limits.sumsMax / this.#accounts.size)
  }

  #countSums(accountId: PeerId, sums: number): void {
    this.#sumsOfAll += sums - (this.#sums.get(accountId) ?? 0)
    this.#sums.set(accountId, sums)
  }

  isBanned(accountId: PeerId): boolean {
    return this.#records.has(accountId)
  }

  /** Absent, too, where the account's own log is the proof. */
  proofAgainst(accountId: PeerId): FraudProof | undefined {
    return this.#proofs.get(accountId)?.proof
  }

  get proofs(): readonly FraudProof[] {
    return [...this.#proofs.values()].map(({ proof }) => proof)
  }

  /**
   * Of several reasons the earliest is kept, and of several proofs: so all nodes that heard the same keep the same.
   *
   * @returns whether that is news.
   */
  ban(record: BanRecord): boolean {
    const { accountId, epoch, proof, isLocal = false } = record
    const [known, proven] = [this.#records.get(accountId), this.#proofs.get(accountId)]
    if (!known && !this.#accounts.has(accountId)) {
      if (this.#strangersBanned >= strangersBannedMax) return false
      this.#strangersBanned++
    }
    if (isLocal) {
      if (!known) this.#records.set(accountId, record)
      return !known
    }
    const isProofNew = proof !== undefined && !(proven && proven.epoch <= epoch)
    if (isProofNew) this.#proofs.set(accountId, { epoch, proof })
    if (known && known.isLocal !== true && known.epoch <= epoch) return isProofNew
    this.#records.set(accountId, record)
    // Whoever signs its own proof dates it as well: nothing that others hold may depend on that.
    this.#bans = this.#bans.with([{ accountId, fromDay: neverDay }])
    return true
  }

  /** The ban that the log itself proves; undefined where it proves none. */
  toLogBan({ id, state }: Account): BanRecord | undefined {
    const fault = state.faults.find(({ code }) => bannedFaults.has(code))
    return (
      fault && {
        accountId: id,
        reason: `Entry ${fault.index} of its log: ${fault.sentence}`,
        epoch: fault.epoch,
      }
    )
  }

  /**
   * Whoever is banned goes first, then who never told of a log, then who told of one and showed none: a head costs a
   * signature, and may be an invention. Of each kind the first one known; this node's own account was there before all.
   */
  #makeRoom(): boolean {
    const others = [...this.#accounts.values()].slice(1)
    const idle = others.filter(({ state }) => state.length === 0)
    const last =
      others.find(({ id }) => this.isBanned(id)) ?? idle.find(({ head }) => head === undefined) ?? idle[0]
    if (!last) return false
    this.#accounts.delete(last.id)
    this.#scores.delete(last.id)
    this.#countSums(last.id, 0)
    this.#sums.delete(last.id)
    this.#onForgotten(last)
    return true
  }

  /** @param epoch for those who say at which epoch it is: the clock may go on between two looks at it */
  score({ id, state }: Account, epoch = this.epoch): Score {
    const key = `${state.length} ${epoch} ${this.#bans.root}`
    const known = this.#scores.get(id)
    if (known?.key === key) return known.score
    const score = toScore(state, epoch, { bans: this.#bans, params: this.params })
    this.#scores.set(id, { key, score })
    return score
  }

  clientTerms({ state }: Account): ClientTerm[] {
    return toClientTerms(state, this.epoch, { bans: this.#bans, params: this.params })
  }

  credit({ state }: Account): Credit {
    return toCredit(state, this.epoch, this.params)
  }

  /** By what is known at this moment: one comparison and, once an epoch, one computation. */
  precedenceOf(accountId: PeerId): Precedence {
    const account = this.#accounts.get(accountId)
    if (!account || this.isBanned(accountId)) return newcomer
    return toPrecedence(this.score(account).s, this.params)
  }
}

const toSums = ({ days }: AccountState): number => {
  let sums = 0
  for (const clients of days.values()) sums += clients.size
  return sums
}
