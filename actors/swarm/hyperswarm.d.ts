/** The part of hyperswarm that we use; it ships no types. */
declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'
  import type DHT from 'hyperdht'

  namespace Hyperswarm {
    interface KeyPair {
      readonly publicKey: Buffer
      readonly secretKey: Buffer
    }

    /** An encrypted connection: a stream whose chunks arrive as they were written. */
    interface NoiseStream extends Duplex {
      readonly publicKey: Buffer
      readonly remotePublicKey: Buffer
      /** Equal on both sides and unique to this connection. */
      readonly handshakeHash: Buffer
      readonly isInitiator: boolean
      readonly destroying: boolean
      /** streamx keeps it here: bytes that were written and not yet handed to the socket. */
      readonly _writableState: { readonly buffered: number }
    }

    interface PeerInfo {
      readonly publicKey: Buffer
      ban(isBanned: boolean): void
    }

    interface Discovery {
      refresh(options?: { client?: boolean; server?: boolean }): Promise<boolean>
      flushed(): Promise<boolean>
      destroy(): Promise<void>
    }

    interface Options {
      readonly dht: DHT
      readonly keyPair: KeyPair
      readonly maxPeers?: number
      /** Dials at a time. */
      readonly maxParallel?: number
      /** `true` refuses the peer; without a handshake it is one that is about to be dialled. */
      readonly firewall?: (publicKey: Buffer, handshake: object | null) => boolean
      /** Milliseconds before reconnecting: after a good connection, then three growing ones. */
      readonly backoffs?: readonly number[]
      readonly jitter?: number
    }
  }

  class Hyperswarm extends EventEmitter<{
    connection: [Hyperswarm.NoiseStream, Hyperswarm.PeerInfo]
    ban: [Hyperswarm.PeerInfo, Error]
    update: []
  }> {
    constructor(options: Hyperswarm.Options)
    readonly dht: DHT
    readonly keyPair: Hyperswarm.KeyPair
    readonly peers: Map<string, Hyperswarm.PeerInfo>
    join(topic: Buffer, options?: { client?: boolean; server?: boolean }): Hyperswarm.Discovery
    leave(topic: Buffer): Promise<void>
    listen(): Promise<void>
    /** Leaves every topic. */
    clear(): Promise<unknown>
    destroy(options?: { force?: boolean }): Promise<void>
  }

  export = Hyperswarm
}
