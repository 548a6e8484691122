/** The part of hypercore that we use; it ships no types. */
declare module 'hypercore' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'
  import type { NoiseStream } from 'hyperswarm'
  import type Protomux from 'protomux'

  namespace Hypercore {
    interface KeyPair {
      readonly publicKey: Buffer
      readonly secretKey: Buffer
    }

    /** Who may sign a core; its hash is the key of the core. */
    interface Manifest {
      readonly version: 1
      readonly signers: readonly [{ readonly publicKey: Uint8Array }]
    }

    interface Download {
      /** Settles when all is here; rejects when the session closes. Never settles after `destroy`. */
      done(): Promise<unknown>
      destroy(): void
    }

    interface Range {
      readonly drop: boolean
      readonly start: number
      readonly length: number
    }

    interface Bitfield {
      readonly start: number
      readonly bitfield: Uint32Array
    }

    /** One connection on which a core is replicated; private to hypercore. */
    interface Peer {
      readonly protomux: Protomux
      readonly channel: { close(): void }
      /** What the other side says of itself, unproven. */
      readonly remoteFork: number
      onrange(message: Range): Promise<void>
      onbitfield(message: Bitfield): void
    }

    interface TreeNode {
      readonly index: number
      readonly size: number
      readonly hash: Buffer
    }

    interface ConflictProof {
      readonly upgrade: { readonly length: number; readonly nodes: readonly TreeNode[] }
    }

    interface Events {
      append: []
      close: []
      /** The roots of two trees that the owner signed for the same length differ; all sessions close. */
      conflict: [length: number, fork: number, proof: ConflictProof]
      download: [index: number, byteLength: number]
      'peer-add': [Peer]
      'peer-remove': [Peer]
      'verification-error': [Error]
    }
  }

  class Hypercore extends EventEmitter<Hypercore.Events> {
    /** The key of the core that one signer writes. */
    static key(publicKey: Uint8Array): Buffer
    static discoveryKey(key: Uint8Array): Buffer
    /** One end of an encrypted pipe; pipe it into another one and back. */
    static createProtocolStream(isInitiator: boolean): Duplex & { readonly noiseStream: NoiseStream }
    readonly key: Buffer
    readonly manifest: Hypercore.Manifest | null
    readonly length: number
    readonly byteLength: number
    /** Blocks from the first one on that are all here. */
    readonly contiguousLength: number
    readonly fork: number
    readonly peers: readonly Hypercore.Peer[]
    /** Private to hypercore. */
    readonly replicator: { attached(mux: Protomux): boolean; detachFrom(mux: Protomux): void }
    ready(): Promise<void>
    append(
      blocks: readonly Uint8Array[],
      options?: { keyPair?: Hypercore.KeyPair },
    ): Promise<{ readonly length: number }>
    get(index: number, options: { wait: boolean }): Promise<Buffer | null>
    clear(start: number, end: number): Promise<unknown>
    treeHash(length?: number): Promise<Buffer>
    download(range: { start: number; end: number; linear: boolean }): Hypercore.Download
    /** An active session asks every attached peer for more. */
    setActive(isActive: boolean): void
    replicate(mux: Protomux): Protomux
    close(): Promise<void>
  }

  export = Hypercore
}
