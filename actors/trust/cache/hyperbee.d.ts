/** The part of hyperbee that we use; it ships no types. */
declare module 'hyperbee' {
  import type Hypercore from 'hypercore'

  namespace Hyperbee {
    interface Entry {
      readonly key: Buffer
      readonly value: Buffer
    }

    interface Range {
      readonly gt?: Uint8Array
      readonly gte?: Uint8Array
      readonly lt?: Uint8Array
      readonly lte?: Uint8Array
      readonly reverse?: boolean
      readonly limit?: number
    }

    interface Batch {
      put(key: Uint8Array, value: Uint8Array): Promise<void>
      del(key: Uint8Array): Promise<void>
      flush(): Promise<void>
      /** Drops what was not flushed. */
      close(): Promise<void>
    }
  }

  class Hyperbee {
    constructor(core: Hypercore, options: { extension: false; alwaysDuplicate: false })
    /** Blocks of the core: one for each write ever made, and a header. */
    readonly version: number
    ready(): Promise<void>
    get(key: Uint8Array): Promise<Hyperbee.Entry | null>
    batch(): Hyperbee.Batch
    snapshot(): Hyperbee
    createReadStream(range?: Hyperbee.Range): AsyncIterable<Hyperbee.Entry>
    close(): Promise<void>
  }

  export = Hyperbee
}
