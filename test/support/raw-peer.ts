import { once } from 'node:events'
import { raw } from 'compact-encoding'
import DHT from 'hyperdht'
import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import { type DecodedFrame, FrameDecoder } from '../../protocol/index.ts'
import { inferenceProtocol } from '../../actors/peer/inference-channel.ts'
import type { NodeAddress } from '../../actors/swarm/index.ts'

/** A peer that is not QMesh: it connects by key and says whatever a test wants. */
export interface RawPeer {
  readonly id: string
  readonly stream: NoiseStream
  /** Absent on a peer that does not even open the multiplexer. */
  readonly mux: Protomux | undefined
  /** What came back, decoded. */
  readonly frames: readonly DecodedFrame[]
  readonly closed: Promise<unknown>
  write(bytes: Uint8Array): void
  stop(): Promise<void>
}

export async function connectRaw(
  bootstrap: readonly NodeAddress[],
  remoteId: string,
  options: { readonly dht?: DHT; readonly openChannel?: boolean } = {},
): Promise<RawPeer> {
  const dht = options.dht ?? new DHT({ bootstrap, host: '127.0.0.1' })
  const stream = dht.connect(Buffer.from(remoteId, 'hex'))
  stream.on('error', () => {})
  const closed = new Promise((resolve) => stream.once('close', resolve))
  await Promise.race([once(stream, 'open'), closed])
  const mux = options.openChannel === false ? undefined : Protomux.from(stream)
  const frames: DecodedFrame[] = []
  const decoder = new FrameDecoder()
  const channel = mux?.createChannel({ protocol: inferenceProtocol })
  const message = channel?.addMessage({
    encoding: raw,
    onmessage: (bytes) => frames.push(...decoder.push(bytes)),
  })
  channel?.open()
  return {
    id: stream.publicKey.toString('hex'),
    stream,
    mux,
    frames,
    closed,
    write: (bytes) => message?.send(bytes),
    stop: async () => {
      stream.destroy()
      await dht.destroy()
    },
  }
}
