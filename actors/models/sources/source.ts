import { QMeshError, type QMeshErrorOptions } from '../../../protocol/index.ts'
import type { PartialModel } from '../store/stored-model.ts'

/** What a source says of the file before it gives any of it. */
export interface Probe {
  /** Null when it does not say. */
  readonly bytes: number | null
  /** As this source states it, 64 hex characters; believed only where nobody better says anything. */
  readonly sha256?: string | undefined
}

/** What a source may use while it fetches. */
export interface FetchContext {
  readonly target: PartialModel
  readonly signal: AbortSignal
  /** Waits until these bytes may be taken, for a cap on bandwidth. */
  readonly pace: (bytes: number) => Promise<void>
  /** Bytes that came, for the rate. */
  readonly onBytes: (bytes: number) => void
  /** What was remembered of this source when it last gave some, for example an ETag. */
  readonly memo: string | undefined
  /** Remembers it durably, before the first byte is written. */
  readonly remember: (memo: string) => Promise<void>
  /** Takes back every byte that nobody has proven: the source gives another file now than it did. */
  readonly restart: () => Promise<void>
}

/** One place where a model's file can be had. */
export interface FileSource {
  /** For people, and for the list of what failed. */
  readonly name: string
  /** Every byte of it is proven on arrival, so that it can never be blamed for a wrong file. */
  readonly isProving: boolean
  /** Its name is the hash of the content: it cannot give another file later. */
  readonly isImmutable?: boolean
  /** @throws QMeshError `QM_SOURCE_FAILED`, mostly a `SourceFailed` */
  probe(signal: AbortSignal): Promise<Probe>
  /**
   * Fetches what the target lacks. What came stays when it fails.
   *
   * @throws QMeshError `QM_SOURCE_FAILED`, mostly a `SourceFailed`; `QM_DISK_FULL`; `QM_CANCELLED`
   */
  fetch(context: FetchContext): Promise<void>
}

export interface SourceFailedOptions extends QMeshErrorOptions {
  /** Trying again is of no use: it has not got the file, or not this one. */
  readonly isLasting?: boolean
}

/** A source did not give what it should. */
export class SourceFailed extends QMeshError {
  readonly isLasting: boolean

  constructor(detail: string, { isLasting = false, ...options }: SourceFailedOptions = {}) {
    super('QM_SOURCE_FAILED', detail, options)
    this.isLasting = isLasting
  }
}

/** @throws QMeshError `QM_CANCELLED` */
export function checkNotCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new QMeshError('QM_CANCELLED')
}
