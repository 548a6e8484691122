import { encodeFrame } from '../../protocol/index.ts'
import { toHolding } from '../../protocol/messages/holdings.ts'
import { type ScoresMessage, toScoresObject } from '../../protocol/messages/scores.ts'
import type { FraudProof, Head, ScoreStatement } from '../../protocol/trust/index.ts'

/** Bytes of a message with so many things in it. */
export interface WireSizes {
  readonly heads: (count: number) => number
  readonly proofs: (count: number) => number
  readonly digest: number
  readonly holdings: (count: number, ranges: number, bans: number) => number
  readonly pull: (heads: number, bans: number) => number
  readonly statement: number
}

export interface WireSamples {
  readonly head: Head
  readonly proof: FraudProof
  readonly statement: ScoreStatement
}

const frameBytes = (message: ScoresMessage): number => encodeFrame(toScoresObject(message)).length

/** Two frames of the product's own encoder give the base and the slope; nothing here is written down by hand. */
function line(make: (count: number) => ScoresMessage): (count: number) => number {
  const [one, nine] = [frameBytes(make(1)), frameBytes(make(9))]
  const each = (nine - one) / 8
  return (count) => Math.round(one + each * (count - 1))
}

const times = <T>(count: number, thing: T): T[] => Array.from({ length: count }, () => thing)

export function measureWire({ head, proof, statement }: WireSamples): WireSizes {
  const holding = toHolding(head.accountId, head)
  const ban = { accountId: head.accountId, epoch: head.epoch }
  const held = line((count) => ({ type: 'score-heads', ranges: [1], held: times(count, holding) }))
  const ranges = line((count) => ({ type: 'score-heads', ranges: times(count, 10), held: [] }))
  const bans = line((count) => ({ type: 'score-heads', ranges: [], held: [], bans: times(count, ban) }))
  const pulled = line((count) => ({
    type: 'score-pull',
    heads: times(count, holding.prefix),
    cards: [],
    bans: [],
  }))
  const pulledBans = line((count) => ({
    type: 'score-pull',
    heads: [],
    cards: [],
    bans: times(count, ban.accountId),
  }))
  return {
    heads: line((count) => ({ type: 'score-update', heads: times(count, head) })),
    proofs: line((count) => ({ type: 'fraud', proofs: times(count, proof) })),
    digest: frameBytes({
      type: 'score-digest',
      ranges: times(16, holding.prefix),
      bans: holding.prefix,
    }),
    holdings: (count, rangeCount, banCount) =>
      held(count) + ranges(rangeCount) - ranges(1) + (banCount > 0 ? bans(banCount) - bans(0) : 0),
    pull: (heads, banCount) => pulled(heads) + pulledBans(banCount) - pulledBans(0),
    statement: frameBytes({ type: 'score-verify', statement }),
  }
}
