import type { PeerId } from '../ids.ts'
import { limits } from '../limits.ts'
import { format, hex, tuple, uint, varint } from './codec.ts'
import { type NetworkId, signedFormat } from './signing.ts'

/** Somebody's word for an account's score, bound to everything it was computed from. */
export interface ScoreStatement {
  /** Whose score it is. */
  readonly accountId: PeerId
  /** As of which epoch since 1970. */
  readonly epoch: number
  /** Of the log's head, the bans and the network, 32 bytes in hex: whoever has the same must get the same values. */
  readonly inputDigest: string
  /** Score, and means of speed, complexity and quality and the reputation in Q16.16; safe integers, at least 0. */
  readonly values: readonly number[]
  /** Who says so. */
  readonly signerId: PeerId
  /** By the signer, 64 bytes in hex. */
  readonly signature: string
}

export const scoreValues = 5

/** At most 205 bytes. */
export const scoreStatementFormat = signedFormat<ScoreStatement>(
  'score-verify',
  format(1, {
    accountId: hex(32),
    epoch: uint(4, limits.epochMax),
    inputDigest: hex(32),
    values: tuple(scoreValues, varint()),
    signerId: hex(32),
  }),
)

export const isStatementValid = (statement: ScoreStatement, networkId: NetworkId): boolean =>
  scoreStatementFormat.isSigned(statement, statement.signerId, networkId)
