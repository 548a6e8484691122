import type { ModelHash } from '../../protocol/index.ts'

/** What tells an unchanged file: its size and the time of its last change. */
export interface FileStamp {
  readonly sizeBytes: number
  readonly modifiedMs: number
}

/** Remembers model hashes, so that a large file is not read again at every start. Must not reject. */
export interface HashCachePort {
  get(path: string, stamp: FileStamp): Promise<ModelHash | undefined>
  set(path: string, stamp: FileStamp, hash: ModelHash): Promise<void>
}
