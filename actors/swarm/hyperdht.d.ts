/** The part of hyperdht that we use; it ships no types. */
declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events'
  import type { KeyPair, NoiseStream } from 'hyperswarm'
  import type NoiseWrap from 'hyperdht/lib/noise-wrap.js'

  namespace DHT {
    interface ConnectOptions {
      readonly keyPair?: KeyPair
      readonly createHandshake?: (keyPair: KeyPair, remotePublicKey: Buffer) => NoiseWrap
    }

    interface ServerOptions {
      readonly createHandshake?: (keyPair: KeyPair) => NoiseWrap
    }

    interface NodeAddress {
      readonly host: string
      readonly port: number
    }

    interface Query {
      on(event: 'data', listener: () => void): Query
      finished(): Promise<void>
      destroy(): void
    }

    interface Question {
      readonly target: Buffer
      readonly command: number
      readonly value: Buffer | null
    }

    interface QueryOptions {
      /** Tries after the first, for each node that is asked. */
      readonly retries?: number
    }

    interface Options {
      readonly bootstrap?: readonly NodeAddress[]
      readonly nodes?: readonly NodeAddress[]
      readonly host?: string
      readonly port?: number
      /** `false`: a port that is taken is an error instead of a reason to pick another one. */
      readonly anyPort?: boolean
      /** `false`: stores records for others as soon as the node knows its own address. */
      readonly ephemeral?: boolean
      /** `false`: the owner vouches that the port can be reached. */
      readonly firewalled?: boolean
      /** Milliseconds to wait for an answer. */
      readonly adaptiveTimeout?: {
        /** Of a node that was never heard, try after try; the last one holds for more. */
        readonly fallback: readonly number[]
        readonly min: number
        readonly max: number
        readonly jitter: number
      }
    }
  }

  class DHT extends EventEmitter {
    constructor(options?: DHT.Options)
    static keyPair(seed?: Uint8Array): KeyPair
    /** A node that others start from: it believes that it can be reached at `host:port`. */
    static bootstrapper(port: number, host: string, options?: DHT.Options): DHT
    readonly destroyed: boolean
    readonly bootstrapped: boolean
    readonly bootstrapNodes: readonly DHT.NodeAddress[]
    /** The sockets; private to dht-rpc, but the only way to close what a failed bind leaves behind. */
    readonly io: {
      readonly serverSocket: { address(): DHT.NodeAddress } | null
      readonly networkInterfaces: { destroy(): unknown }
    }
    fullyBootstrapped(): Promise<void>
    addNode(node: DHT.NodeAddress): void
    /** Entries of the routing table. */
    readonly nodes: { readonly length: number }
    readonly table: { readonly id: Buffer }
    findNode(target: Buffer, options?: DHT.QueryOptions): DHT.Query
    query(question: DHT.Question, options?: DHT.QueryOptions): DHT.Query
    announce(target: Uint8Array, keyPair: KeyPair): DHT.Query
    toArray(options?: { limit?: number }): DHT.NodeAddress[]
    createServer(onConnection?: ((stream: NoiseStream) => void) | DHT.ServerOptions): {
      listen(keyPair: KeyPair): Promise<unknown>
    }
    connect(publicKey: Uint8Array, options?: DHT.ConnectOptions): NoiseStream
    destroy(options?: { force?: boolean }): Promise<void>
  }

  export = DHT
}

declare module 'hyperdht/lib/noise-wrap.js' {
  import type { KeyPair } from 'hyperswarm'

  /** One side of a Noise handshake. */
  class NoiseWrap {
    /** @param remotePublicKey null for the side that answers */
    constructor(keyPair: KeyPair, remotePublicKey: Buffer | null)
    /** What the other side says; throws when it was somebody else. */
    recv(message: Buffer): unknown
    final(): unknown
  }

  export = NoiseWrap
}

declare module 'hyperdht/testnet.js' {
  import type DHT from 'hyperdht'

  interface Testnet {
    readonly nodes: DHT[]
    readonly bootstrap: { readonly host: string; readonly port: number }[]
    destroy(): Promise<void>
  }

  function createTestnet(size?: number): Promise<Testnet>
  export = createTestnet
}
