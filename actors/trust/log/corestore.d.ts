/** The part of corestore that we use; it ships no types. */
declare module 'corestore' {
  import type Hypercore from 'hypercore'

  namespace Corestore {
    interface Options {
      /** Opens a folder that was copied; the lock is then RocksDB's own. */
      readonly allowBackup?: boolean
    }

    interface GetOptions {
      readonly name?: string
      readonly manifest?: Hypercore.Manifest
      readonly discoveryKey?: Uint8Array
      readonly active?: boolean
      readonly createIfMissing?: boolean
      /** `false`: never takes over a truncated or rewritten log of its owner. */
      readonly allowFork?: boolean
      /** Milliseconds a channel that nobody reads from stays open. */
      readonly notDownloadingLinger?: number
      /** Blocks asked for at once from one peer, at first and at most. */
      readonly inflightRange?: readonly [number, number]
    }
  }

  class Corestore {
    constructor(folder: string, options?: Corestore.Options)
    readonly storage: { hasCore(discoveryKey: Uint8Array): Promise<boolean>; close(): Promise<void> }
    ready(): Promise<void>
    get(options: Corestore.GetOptions): Hypercore
    close(): Promise<void>
  }

  export = Corestore
}
