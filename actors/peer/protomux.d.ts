/** The part of protomux that we use; it ships no types. */
declare module 'protomux' {
  import type { NoiseStream } from 'hyperswarm'
  import type { Encoding } from 'compact-encoding'

  namespace Protomux {
    interface Message {
      /** `false`: the stream's buffer is over its mark; `ondrain` follows. */
      send(bytes: Uint8Array): boolean
    }

    interface Channel {
      readonly opened: boolean
      readonly closed: boolean
      readonly drained: boolean
      open(): void
      close(): void
      addMessage(options: { encoding: Encoding<Buffer>; onmessage: (bytes: Buffer) => void }): Message
    }

    interface ChannelOptions {
      readonly protocol: string
      readonly onopen?: () => void
      readonly onclose?: () => void
      readonly ondrain?: () => void
    }
  }

  class Protomux {
    static from(stream: NoiseStream): Protomux
    /** Private to protomux: one entry for each channel the peer ever asked for, reused once closed. */
    readonly _remote: readonly unknown[]
    /** `null` when the stream is gone or the channel is already open. */
    createChannel(options: Protomux.ChannelOptions): Protomux.Channel | null
  }

  export = Protomux
}

declare module 'compact-encoding' {
  export interface Encoding<T> {
    preencode(state: object, value: T): void
    encode(state: object, value: T): void
    decode(state: object): T
  }
  /** The bytes as they are, to the end of the message. */
  export const raw: Encoding<Buffer>
}
