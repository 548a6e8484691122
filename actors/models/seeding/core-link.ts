import { isIP } from 'node:net'
import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import type { PeerId } from '../../../protocol/index.ts'

/** What Protomux can do and our own declaration of it leaves out. */
export interface CoreMux extends Protomux {
  pair(
    channel: { protocol: string; id: Buffer },
    onAsked: (id: Buffer | null) => Promise<void> | undefined,
  ): void
  unpair(channel: { protocol: string; id: Buffer }): void
  readonly stream: NoiseStream & { readonly opened: Promise<boolean> }
}

/** A connection that has greeted, as far as models go. */
export interface CoreLink {
  readonly peerId: PeerId
  readonly mux: CoreMux
  /** On this machine or in this house: its bandwidth costs nobody anything. */
  readonly isNear: boolean
}

export function toCoreLink(peerId: PeerId, stream: NoiseStream): CoreLink {
  const { rawStream } = stream as NoiseStream & { readonly rawStream?: { readonly remoteHost?: string } }
  return { peerId, mux: Protomux.from(stream) as CoreMux, isNear: isNear(rawStream?.remoteHost ?? '') }
}

/** Whether an address is one that no router passes on: this machine, or a local network. */
export function isNear(host: string): boolean {
  if (isIP(host) === 6) {
    const mapped = /^::ffff:([\d.]+)$/i.exec(host)?.[1]
    if (mapped !== undefined) return isNear(mapped)
    return host === '::1' || /^(f[cd]|fe[89ab])/i.test(host)
  }
  if (isIP(host) !== 4) return false
  const [a = 0, b = 0] = host.split('.').map(Number)
  if (a === 127 || a === 10) return true
  if (a === 172) return b >= 16 && b < 32
  return (a === 192 && b === 168) || (a === 169 && b === 254)
}
