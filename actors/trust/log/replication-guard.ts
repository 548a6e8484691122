import type Hypercore from 'hypercore'
import type Protomux from 'protomux'
import { limits } from '../../../protocol/index.ts'

/** Name of the Protomux channels that carry logs. */
export const logProtocol = 'hypercore/alpha'

/** Entries beyond the end that we know of which a peer may speak about: it may be ahead of us. */
const aheadMax = 65_536

/** What Protomux can do and our own declaration of it leaves out. */
export interface LogMux extends Protomux {
  pair(channel: { protocol: string }, onAsked: (id: Buffer | null) => Promise<void>): void
  unpair(channel: { protocol: string }): void
  readonly stream: { readonly opened: Promise<boolean> }
  /** Open channels. */
  [Symbol.iterator](): Iterator<{ readonly protocol: string; readonly closed: boolean }>
}

/**
 * Every core of ours speaks to strangers. Hypercore sets a bit for each entry that a peer says it has, so one message
 * of twenty bytes ("I have entries 1 to 2^50") would keep this process busy and eat its memory for ever. What is said
 * about entries far beyond the end is left out; an honest peer says it again once we know of them. The end itself is
 * the word of the log's owner, who may have signed for any number: what nobody reads counts only as far as it is here.
 */
export function guardPeers(core: Hypercore): void {
  core.on('peer-add', (peer) => {
    const onRange = peer.onrange.bind(peer)
    const onBitfield = peer.onbitfield.bind(peer)
    const toEnd = (): number =>
      Math.max(core.contiguousLength, Math.min(core.length, limits.pullEntriesMax)) + aheadMax
    peer.onrange = async (message) => {
      // From the first entry on it is a plain number to Hypercore, and how an honest peer says that it has all.
      const isCount = message.start === 0 && !message.drop
      const left = toEnd() - message.start
      if (isCount) await onRange(message)
      else if (left > 0) await onRange({ ...message, length: Math.min(message.length, left) })
    }
    peer.onbitfield = (message) => {
      const left = toEnd() - message.start
      if (left > 0) onBitfield({ ...message, bitfield: message.bitfield.subarray(0, Math.ceil(left / 32)) })
    }
  })
}

export const countLogChannels = (mux: LogMux): number => {
  let count = 0
  for (const channel of mux) if (!channel.closed && channel.protocol === logProtocol) count++
  return count
}
