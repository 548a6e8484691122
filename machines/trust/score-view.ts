import type { PeerId } from '../../protocol/index.ts'
import { addCells, emptyCell } from './account-state.ts'
import type { AccountState, DayCell } from './account-state.ts'
import type { Deeds } from './achievements.ts'
import type { BanSet } from './bans.ts'
import { mulQ } from './fixed.ts'
import type { TrustParams } from './params.ts'

/** What one client's receipts are worth today, before the cap on one client. */
export interface ClientWorth {
  readonly clientId: PeerId
  readonly fundedQ: number
  /** Unfunded and gratis together. */
  readonly unfundedQ: number
  /** Final receipts that count, and those that are void by a ban. */
  readonly receipts: number
  readonly voidReceipts: number
}

interface ClientSums {
  readonly clientId: PeerId
  /** Day from which its receipts are void, its own ban and the worker's taken together. */
  readonly voidFromDay: number
  readonly place: number
  receipts: number
  voidReceipts: number
  sound: number
}

/**
 * An account's final receipts summed up for one day and one ban set. Decay goes by whole days, so within a day a new
 * receipt only adds: with a hundred thousand receipts behind it, the next score costs one addition and one pass over
 * the clients. A memory of what a pure function computed, nothing more: from scratch the sums are the same.
 */
export class ScoreView {
  readonly #state: AccountState
  readonly #params: TrustParams
  readonly #workerVoidFromDay: number
  readonly #day: number
  #bans: BanSet
  /** Place in the log's receipts of the first that is not in here. */
  #next: number
  #finalEpoch: number

  readonly #clients = new Map<PeerId, ClientSums>()
  /** By place of the client: plain lists of numbers are what makes the pass over all clients cheap. */
  readonly #fundedQ: number[] = []
  readonly #unfundedQ: number[] = []
  readonly #soundByDay = new Map<number, number>()
  /** Sums of cells that grew since this view was made; the others are as the state has them. */
  readonly #grown = new Map<number, Map<PeerId, DayCell>>()
  #counted: DayCell = emptyCell
  #voidReceipts = 0
  #soundClients = 0

  constructor(state: AccountState, finalEpoch: number, day: number, bans: BanSet, params: TrustParams) {
    this.#state = state
    this.#params = params
    this.#bans = bans
    this.#workerVoidFromDay = bans.dayOf(state.accountId)
    this.#day = day
    this.#next = state.settled
    this.#finalEpoch = finalEpoch
    for (const [cellDay, clients] of state.days)
      for (const [clientId, cell] of clients) this.#add(cellDay, clientId, emptyCell, cell)
    this.extend(finalEpoch)
  }

  /** Sums of all receipts that count; the values in it are without decay. */
  get counted(): DayCell {
    return this.#counted
  }

  get voidReceipts(): number {
    return this.#voidReceipts
  }

  /** Receipts of the log that are not final at the epoch of this view. */
  get pendingReceipts(): number {
    return this.#state.settled + this.#state.recent.length - this.#next
  }

  /** By client, in one order. */
  get fundedQ(): readonly number[] {
    return this.#fundedQ
  }

  get unfundedQ(): readonly number[] {
    return this.#unfundedQ
  }

  get deeds(): Deeds {
    const { fast, long } = this.#counted
    return { fast, long, clients: this.#soundClients, days: this.#soundByDay.size }
  }

  *clients(): Generator<ClientWorth> {
    for (const { clientId, place, receipts, voidReceipts } of this.#clients.values())
      yield {
        clientId,
        fundedQ: this.#fundedQ[place] ?? 0,
        unfundedQ: this.#unfundedQ[place] ?? 0,
        receipts,
        voidReceipts,
      }
  }

  /** Whether `extend` can bring this view there. */
  canServe(finalEpoch: number, day: number, bans: BanSet, params: TrustParams): boolean {
    if (params !== this.#params || day !== this.#day || finalEpoch < this.#finalEpoch) return false
    // Receipts that settled since, unseen, are hidden in sums that also hold what was seen.
    if (this.#next < this.#state.settled) return false
    if (bans === this.#bans) return true
    if (!this.#isUntouchedBy(bans)) return false
    this.#bans = bans
    return true
  }

  /** Adds the receipts that became final since. */
  extend(finalEpoch: number): void {
    this.#finalEpoch = finalEpoch
    const { recent, settled } = this.#state
    for (;;) {
      const receipt = recent[this.#next - settled]
      if (receipt === undefined || receipt.epoch > finalEpoch) return
      this.#next += 1
      const { day, clientId, cell } = receipt
      const known =
        this.#grown.get(day)?.get(clientId) ?? this.#state.days.get(day)?.get(clientId) ?? emptyCell
      this.#add(day, clientId, known, cell)
      const clients = this.#grown.get(day) ?? new Map<PeerId, DayCell>()
      if (clients.size === 0) this.#grown.set(day, clients)
      clients.set(clientId, addCells(known, cell))
    }
  }

  /** Whether other bans leave every sum as it is: most new bans are of strangers to this account. */
  #isUntouchedBy(bans: BanSet): boolean {
    if (bans.dayOf(this.#state.accountId) !== this.#workerVoidFromDay) return false
    for (const client of this.#clients.values())
      if (this.#voidFromDayOf(client.clientId, bans) !== client.voidFromDay) return false
    return true
  }

  #voidFromDayOf(clientId: PeerId, bans: BanSet): number {
    return Math.min(this.#workerVoidFromDay, bans.dayOf(clientId))
  }

  #clientOf(clientId: PeerId): ClientSums {
    const known = this.#clients.get(clientId)
    if (known !== undefined) return known
    const voidFromDay = this.#voidFromDayOf(clientId, this.#bans)
    const place = this.#fundedQ.push(0) - 1
    this.#unfundedQ.push(0)
    const client = { clientId, voidFromDay, place, receipts: 0, voidReceipts: 0, sound: 0 }
    this.#clients.set(clientId, client)
    return client
  }

  /** Adds what came to one client's sums of one day, of which `known` has been added before. */
  #add(day: number, clientId: PeerId, known: DayCell, more: DayCell): void {
    // Never before its day: a result is not dated after its entry, and the entry is final.
    const weightQ = this.#params.decayQ[this.#day - day]
    if (weightQ === undefined) return
    const client = this.#clientOf(clientId)
    if (day >= client.voidFromDay) {
      client.voidReceipts += more.receipts
      this.#voidReceipts += more.receipts
      return
    }
    this.#counted = addCells(this.#counted, more)
    client.receipts += more.receipts
    // The sum of a day is decayed as one, so the order in which it came together leaves no rounding behind.
    const looseQ = known.unfundedQ + known.gratisQ
    const fundedQ = mulQ(known.fundedQ + more.fundedQ, weightQ) - mulQ(known.fundedQ, weightQ)
    const unfundedQ = mulQ(looseQ + more.unfundedQ + more.gratisQ, weightQ) - mulQ(looseQ, weightQ)
    this.#fundedQ[client.place] = (this.#fundedQ[client.place] ?? 0) + fundedQ
    this.#unfundedQ[client.place] = (this.#unfundedQ[client.place] ?? 0) + unfundedQ
    if (more.sound === 0) return
    if (client.sound === 0) this.#soundClients += 1
    client.sound += more.sound
    this.#soundByDay.set(day, (this.#soundByDay.get(day) ?? 0) + more.sound)
  }
}
