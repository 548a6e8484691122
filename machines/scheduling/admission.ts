import { bronzeRank } from './tiers.ts'

/** How full the queue is: all models together. */
export interface Occupancy {
  readonly capacity: number
  /** Waiting, by the rank of their tier. */
  readonly waiting: readonly number[]
}

export type Admission =
  | { readonly kind: 'admit' }
  | { readonly kind: 'refuse' }
  /** Whoever of this rank would go last makes room. */
  | { readonly kind: 'displace'; readonly rank: number }

/** Places that only Bronze may take: a tenth, so that those who gave nothing yet get a chance to. */
export const bronzeReserve = (capacity: number): number =>
  capacity < 2 ? 0 : Math.max(1, Math.floor(capacity / 10))

/**
 * Whether a newcomer gets a place, and whose. Higher tiers displace from the lowest tier up, and never a Bronze out
 * of the reserve. When the capacity shrank below what waits, nobody loses a place for it: only newcomers do.
 */
export function admit(rank: number, { capacity, waiting }: Occupancy): Admission {
  const total = waiting.reduce((sum, count) => sum + count, 0)
  const bronze = waiting[bronzeRank] ?? 0
  const reserve = bronzeReserve(capacity)
  if (rank === bronzeRank) return total < capacity ? { kind: 'admit' } : { kind: 'refuse' }
  // What Bronze has not taken of its reserve stays free for it.
  if (total + Math.max(0, reserve - bronze) < capacity) return { kind: 'admit' }
  for (let lower = bronzeRank; lower > rank; lower--) {
    const spared = lower === bronzeRank ? reserve : 0
    if ((waiting[lower] ?? 0) > spared) return { kind: 'displace', rank: lower }
  }
  return { kind: 'refuse' }
}
