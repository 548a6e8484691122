import sodium from 'sodium-universal'
import type { PeerId } from '../../protocol/index.ts'

/** Who watches over an account's log. */
export const witnessCount = 16
/** Epochs that a set of witnesses stays: six hours. */
export const eraEpochs = 360

export interface WitnessQuery {
  readonly accountId: PeerId
  /** Number of the era, see `toEra`. */
  readonly era: number
  readonly candidates: Iterable<PeerId>
  readonly isBanned?: (candidate: PeerId) => boolean
  /** `witnessCount` where left out. */
  readonly count?: number
}

const domain = Buffer.from('qmesh/witness/1')

export const toEra = (epoch: number): number => Math.floor(epoch / eraEpochs)

/**
 * The witnesses of an account, in the order in which they are asked: the candidates with the highest hashes of (era ‖
 * account ‖ candidate). Whoever knows the same candidates finds the same witnesses, each has about the same number of
 * accounts to watch, and one that goes leaves one place for the next and changes no other. Nobody watches itself.
 */
export function toWitnesses(query: WitnessQuery): PeerId[] {
  const { accountId, era, candidates, isBanned = () => false, count = witnessCount } = query
  const eraBytes = Buffer.alloc(4)
  eraBytes.writeUInt32LE(era)
  // Every part has a fixed length, so nothing can slide from one into the next.
  const prefix = Buffer.concat([domain, eraBytes, Buffer.from(accountId, 'hex')])
  return [...new Set(candidates)]
    .filter((candidate) => candidate !== accountId && !isBanned(candidate))
    .map((candidate) => ({ candidate, rank: toRank(prefix, candidate) }))
    .toSorted((a, b) => Buffer.compare(b.rank, a.rank))
    .slice(0, count)
    .map(({ candidate }) => candidate)
}

function toRank(prefix: Buffer, candidate: PeerId): Buffer {
  const rank = Buffer.alloc(32)
  sodium.crypto_generichash_batch(rank, [prefix, Buffer.from(candidate, 'hex')])
  return rank
}
