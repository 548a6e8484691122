import { describe, expect, test } from 'vitest'
import { UnreachablePeers } from '../../../actors/swarm/unreachable-peers.ts'
import { limits } from '../../../protocol/index.ts'

const toId = (number: number): string => number.toString(16).padStart(64, '0')
const peer = toId(1)

/** Seconds at which a peer is dialled that is asked for every second and never answers. */
function dialsWithin(peers: UnreachablePeers, seconds: number): number[] {
  return Array.from({ length: seconds }, (_, second) => second).filter((second) =>
    peers.mayDial(peer, second * 1_000),
  )
}

describe('peers that do not answer', () => {
  test('a stranger waits 5 s, then twice as long each time, ten minutes at most', () => {
    expect(dialsWithin(new UnreachablePeers(), 2_500)).toEqual([
      0, 5, 15, 35, 75, 155, 315, 635, 1_235, 1_835, 2_435,
    ])
  })

  test('one that was connected before is tried again after a second', () => {
    const peers = new UnreachablePeers()
    peers.reached(peer, 0)
    expect(dialsWithin(peers, 20)).toEqual([0, 1, 3, 7, 15])
  })

  test('one that was connected before is missed for a minute at most, however long it was away', () => {
    const peers = new UnreachablePeers()
    peers.reached(peer, 0)
    const dials = dialsWithin(peers, 1_200)
    const waits = dials.slice(1).map((second, index) => second - (dials[index] ?? 0))
    expect(Math.max(...waits)).toBe(60)
  })

  test('a connection makes up for what failed', () => {
    const peers = new UnreachablePeers()
    dialsWithin(peers, 1_000)
    peers.reached(peer, 1_000_000)
    expect(peers.mayDial(peer, 1_000_001)).toBe(true)
  })

  test('one that answered and closed is dialled again after a second', () => {
    const peers = new UnreachablePeers()
    peers.mayDial(peer, 0)
    peers.answered(peer)
    expect([999, 1_000].map((atMs) => peers.mayDial(peer, atMs))).toEqual([false, true])
  })

  test('one does not stand for another', () => {
    const peers = new UnreachablePeers()
    peers.mayDial(peer, 0)
    expect(peers.mayDial(toId(2), 0)).toBe(true)
  })

  test('no more are remembered than the limit says, the oldest is forgotten first', () => {
    const peers = new UnreachablePeers()
    for (let number = 0; number <= limits.unreachablePeersMax; number++) peers.mayDial(toId(number), 0)
    expect(peers.mayDial(toId(1), 1)).toBe(false)
    expect(peers.mayDial(toId(0), 1)).toBe(true)
  })
})
