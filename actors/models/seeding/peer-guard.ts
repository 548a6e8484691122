import type Hypercore from 'hypercore'

/** Requests of one peer that wait for their block. Hypercore itself asks for at most 512 at once. */
const requestsMax = 1_024

/** What the guard uses of Hypercore's own record of a connection, and Hypercore does not tell. */
interface GuardedPeer extends Hypercore.Peer {
  readonly remoteRequests: ReadonlyMap<number, unknown>
  onrequest(message: object): Promise<void>
}

/**
 * Every static core speaks to strangers. Hypercore sets a bit for each block that a peer claims to have, and keeps every
 * request until it is answered; the file has so many blocks and no more, and nobody needs a thousand at once.
 */
export function guardPeer(peer: Hypercore.Peer, blocks: number): void {
  const guarded = peer as GuardedPeer
  const onRange = peer.onrange.bind(peer)
  const onBitfield = peer.onbitfield.bind(peer)
  const onRequest = guarded.onrequest.bind(peer)
  peer.onrange = async (message) => {
    const left = blocks - message.start
    if (left > 0) await onRange({ ...message, length: Math.min(message.length, left) })
  }
  peer.onbitfield = (message) => {
    const left = blocks - message.start
    if (left > 0)
      onBitfield({ ...message, bitfield: message.bitfield.subarray(0, Math.ceil(left / 32) || 1) })
  }
  guarded.onrequest = async (message) => {
    if (guarded.remoteRequests.size >= requestsMax) peer.channel.close()
    else await onRequest(message)
  }
}
