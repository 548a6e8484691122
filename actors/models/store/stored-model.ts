import type { ByteRange } from '../../../machines/models/range-set.ts'
import type { ModelHash } from '../../../protocol/index.ts'
import type { ModelFacts, ModelManifest } from '../../../protocol/models/index.ts'

/** A whole and verified model of the store. */
export interface StoredModel {
  /** SHA-256 of the file. */
  readonly hash: ModelHash
  readonly bytes: number
  readonly path: string
  readonly manifest: ModelManifest
  /** What the file says of itself; the manifest is what its publisher says of it. */
  readonly facts: ModelFacts
  /** Never pruned. */
  readonly isPinned: boolean
  /** The file lies where its owner has it, and not in the store. */
  readonly isReference: boolean
  /** When it was last used, in milliseconds since 1970. */
  readonly usedAtMs: number
}

/** A model whose file is not what it was: it is neither loaded nor served until it is repaired. */
export interface BrokenModel extends StoredModel {
  /** `damaged`: bytes of it are wrong; `changed`: a reference whose file is another now; `missing`: no file. */
  readonly reason: 'damaged' | 'changed' | 'missing'
  /** Whole blocks that are wrong, where `verify` found some. */
  readonly damaged: readonly ByteRange[]
}

/** What a check against the block hashes found. */
export interface Verification {
  readonly isSound: boolean
  /** Whole blocks, joined where they touch; `end` is behind the last byte. */
  readonly damaged: readonly ByteRange[]
}

export interface VerifyOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined
}

/** How a file of the user becomes one of the store: left where it is, copied, or moved. */
export type AdoptMode = 'reference' | 'copy' | 'move'

/** A model on its way. It has the lock of its key until `commit`, `discard` or `release`. */
export interface PartialModel {
  readonly key: string
  /** The file as far as it is there; what is missing reads as zeros. */
  readonly path: string
  readonly bytes: number
  /** Bytes that are there. */
  readonly doneBytes: number
  has(start: number, end: number): boolean
  missing(): readonly ByteRange[]
  /**
   * Writes at `start`, and remembers durably what is there: `kill -9` loses nothing of what was awaited, a power cut
   * at most the last few megabytes.
   *
   * @throws QMeshError `QM_DISK_FULL`; what was written before stays
   */
  write(start: number, data: Uint8Array): Promise<void>
  /** Takes back that these bytes are there: they turned out wrong. */
  forget(start: number, end: number): Promise<void>
  /** Bytes that are there. @throws RangeError where some are missing */
  read(start: number, end: number): Promise<Buffer>
  /**
   * Checks the whole file against the manifest and its own header, and makes it a model of the store at once. One that
   * fails goes into quarantine, and its progress is forgotten. Ends this object and frees its lock in every case; after
   * another failure (no room on the disk, the signal) what is there is kept.
   *
   * @throws QMeshError `QM_MODEL_INVALID` with the reason
   */
  commit(manifest: ModelManifest, options?: VerifyOptions): Promise<StoredModel>
  /** Removes all of it. */
  discard(): Promise<void>
  /** Leaves what is there for later. */
  release(): Promise<void>
}
