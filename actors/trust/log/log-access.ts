import type Hypercore from 'hypercore'
import type { QMeshError } from '../../../protocol/index.ts'

/** Two trees that the owner of a log signed for the same length. */
export interface LogConflict {
  /** Public key of the signer, 64 hex characters. */
  readonly logKey: string
  readonly length: number
  /** Tree hashes, 64 hex characters: of what we hold ('' if it cannot be read), and of what a peer showed us. */
  readonly ours: string
  readonly theirs: string
}

/** Why a log is not taken any more: it holds an entry that is too long, or its owner signed two of them. */
export type Refusal = 'oversized' | 'conflict'

/** What a log needs of the store it lies in. A log is named by its signer's public key, 64 hex characters. */
export interface LogAccess {
  readonly folder: string
  /**
   * Runs something on an open core, which stays open meanwhile.
   *
   * @throws QMeshError `QM_LOG_DAMAGED` when the store is broken, `QM_NODE_STOPPED` when it was closed
   */
  use<T>(logKey: string, run: (core: Hypercore) => Promise<T>): Promise<T>
  /**
   * The same while every connection is asked for the log. Of others' logs a few at a time: the rest wait for a turn,
   * and get nothing when `signal` or the end of the store comes first.
   */
  pulling<T>(
    logKey: string,
    signal: AbortSignal | undefined,
    run: (core: Hypercore) => Promise<T>,
  ): Promise<T | undefined>
  /** Whether anything of the log was ever stored here. Opens nothing and creates nothing. */
  has(logKey: string): Promise<boolean>
  /** Remembers, until the store is closed, that a log is not to be taken; the oldest ones are forgotten first. */
  refuse(logKey: string, reason: Refusal): void
  refusalOf(logKey: string): Refusal | undefined
  /** The conflict that this log was seen in since the store was opened. */
  conflictOf(logKey: string): LogConflict | undefined
  /** A write failed: RocksDB takes no more until the folder is opened again, which the next use does. */
  fail(cause: unknown): Promise<QMeshError>
}
