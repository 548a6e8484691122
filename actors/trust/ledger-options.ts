import type { TrustParams } from '../../machines/trust/index.ts'
import type { QMeshError } from '../../protocol/index.ts'
import type { cardRoles, FraudProof, Head, ScoreStatement, TrustSigner } from '../../protocol/trust/index.ts'
import type { AccountCache } from './cache/account-cache.ts'
import type { AccountLog } from './log/account-log.ts'
import type { BanRecord } from './books.ts'
import type { LogStore } from './log/log-store.ts'
import type { UnwrittenFile } from './log/unwritten.ts'

/** What the books of a node need, and whom they tell. */
export interface LedgerOptions {
  readonly signer: TrustSigner
  readonly params: TrustParams
  readonly store: LogStore
  readonly log: AccountLog
  /** Absent: every log is read anew at every start. */
  readonly cache?: AccountCache | undefined
  /** Absent: what the log has not taken is lost with a stop. */
  readonly unwritten?: UnwrittenFile | undefined
  /** Public keys for the card, in hex. */
  readonly keys: { readonly log: string; readonly vrf: string }
  readonly roles: readonly (keyof typeof cardRoles)[]
  readonly name: string
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  readonly onBanned: (record: BanRecord) => void
  /** Something to pass on: the own log grew, or a contradiction was found. */
  readonly onNews: (news: {
    readonly head?: Head
    readonly proof?: FraudProof
    /** Words of somebody's that do not fit its log, for others to compare with what they hold. */
    readonly suspects?: readonly Head[]
    readonly statement?: ScoreStatement
  }) => void
  /** So many entries that the own log had lost came back from peers. */
  readonly onRestored: (entries: number) => void
  /** Scores may have changed. */
  readonly onChanged: () => void
  /** Once an epoch. */
  readonly onSweep: () => void
  readonly onProblem: (error: QMeshError) => void
  /** All logs together take as much of the disk as they may at most, so nothing more is read; or do so no more. */
  readonly onRoom?: (isFull: boolean) => void
  /** Peers hold proof against this node itself. Called once. */
  readonly onAccused?: (proof: FraudProof) => void
}
