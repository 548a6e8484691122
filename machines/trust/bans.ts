import sodium from 'sodium-universal'
import type { PeerId } from '../../protocol/index.ts'
import { floorDiv } from './fixed.ts'
import type { TrustParams } from './params.ts'

/** An account that proved itself a cheat. */
export interface Ban {
  readonly accountId: PeerId
  /**
   * Days since 1970; its receipts, given and taken, are void from this day on. It has to be a day that all nodes agree
   * on and that the cheat has not chosen, or it could take the score of those who served it: see `neverDay`.
   */
  readonly fromDay: number
}

/**
 * The day of a ban that nobody but the cheat has dated: it ends an account, and the receipts that others hold of it
 * stay. A contradiction in two signatures and a log that proves itself wrong are dated by the guilty one alone.
 */
export const neverDay = 0xffff_ffff

const domain = Buffer.from('qmesh/bans/1')

/** The day that an epoch is in. */
export const toDay = (epoch: number, params: TrustParams): number => floorDiv(epoch, params.epochsPerDay)

/**
 * Who is banned. Never changes: adding makes another set, so a score can remember for which one it was computed. Two
 * proofs against one account leave the earlier day; that makes the union the same in whichever order they arrive.
 */
export class BanSet implements Iterable<Ban> {
  static readonly empty = new BanSet(new Map())

  readonly #days: ReadonlyMap<PeerId, number>
  #root: string | undefined

  private constructor(days: ReadonlyMap<PeerId, number>) {
    this.#days = days
  }

  static of(bans: Iterable<Ban>): BanSet {
    return BanSet.empty.with(bans)
  }

  get size(): number {
    return this.#days.size
  }

  has(accountId: PeerId): boolean {
    return this.#days.has(accountId)
  }

  /** From which day on the account is banned; Infinity when it is not. */
  dayOf(accountId: PeerId): number {
    return this.#days.get(accountId) ?? Infinity
  }

  /** This set with more bans; itself when they bring nothing new. */
  with(bans: Iterable<Ban>): BanSet {
    let days: Map<PeerId, number> | undefined
    for (const { accountId, fromDay } of bans) {
      const known = (days ?? this.#days).get(accountId)
      if (known !== undefined && known <= fromDay) continue
      days ??= new Map(this.#days)
      days.set(accountId, fromDay)
    }
    return days === undefined ? this : new BanSet(days)
  }

  /** In the order of account ids. */
  *[Symbol.iterator](): Iterator<Ban> {
    const sorted = [...this.#days].toSorted(([a], [b]) => (a < b ? -1 : 1))
    for (const [accountId, fromDay] of sorted) yield { accountId, fromDay }
  }

  /** BLAKE2b-256 over the bans in order, as 64 hex characters: equal for equal sets, whatever their history. */
  get root(): string {
    this.#root ??= this.#computeRoot()
    return this.#root
  }

  #computeRoot(): string {
    // Each ban is 36 bytes, so the list needs no lengths between them.
    const parts = [...this].map(({ accountId, fromDay }) => {
      const part = Buffer.alloc(36)
      part.write(accountId, 'hex')
      part.writeUInt32LE(fromDay, 32)
      return part
    })
    const root = Buffer.alloc(32)
    sodium.crypto_generichash_batch(root, [domain, ...parts])
    return root.toString('hex')
  }
}
