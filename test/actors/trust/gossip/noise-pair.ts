import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import type { NoiseStream } from 'hyperswarm'

interface KeyPair {
  readonly publicKey: Buffer
  readonly secretKey: Buffer
}

/** The stream that HyperDHT hands out, here without its sockets: the two raw ends are piped into each other. */
type SecretStreamClass = new (
  isInitiator: boolean,
  rawStream?: undefined,
  options?: { readonly keyPair: KeyPair },
) => SecretStream

export type SecretStream = NoiseStream & { readonly rawStream: Duplex; readonly rawBytesWritten: number }

// It is a dependency of hyperdht's, not of ours: asked for where hyperdht would find it.
const ofHyperdht = createRequire(createRequire(import.meta.url).resolve('hyperdht'))
const SecretStream = ofHyperdht('@hyperswarm/secret-stream') as SecretStreamClass

export interface NoisePair {
  readonly a: SecretStream
  readonly b: SecretStream
  /** From now on A reads nothing: what B writes stays with B. */
  stopReading(): void
  destroy(): void
}

/** One encrypted connection inside this process. */
export async function createNoisePair(aKeys: KeyPair, bKeys: KeyPair): Promise<NoisePair> {
  const a = new SecretStream(true, undefined, { keyPair: aKeys })
  const b = new SecretStream(false, undefined, { keyPair: bKeys })
  for (const stream of [a, b, a.rawStream, b.rawStream]) stream.on('error', () => {})
  wire(a.rawStream, b.rawStream)
  const stopReading = wire(b.rawStream, a.rawStream)
  await Promise.all([once(a, 'connect'), once(b, 'connect')])
  return {
    a,
    b,
    stopReading,
    destroy: () => {
      a.destroy()
      b.destroy()
    },
  }
}

/** A pipe that can be shut. @returns what shuts it */
function wire(from: Duplex, to: Duplex): () => void {
  let isShut = false
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => {
    if (!isShut) from.resume()
  })
  from.on('end', () => to.end())
  from.on('close', () => to.destroy())
  return () => {
    isShut = true
    from.pause()
  }
}
