import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import DHT from 'hyperdht'
import NoiseWrap from 'hyperdht/lib/noise-wrap.js'
import createTestnet from 'hyperdht/testnet.js'
import type { KeyPair } from 'hyperswarm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { MeshDht } from '../../../actors/swarm/mesh-dht.ts'

const [lesser, greater] = [1, 2]
  .map(() => DHT.keyPair(randomBytes(32)))
  .toSorted((one, other) => one.publicKey.compare(other.publicKey)) as [KeyPair, KeyPair]

async function createDialer() {
  const testnet = await createTestnet(2)
  const { bootstrap } = testnet
  const clock = { nowMs: 0 }
  const onRefused = vi.fn<(peerId: string) => void>()
  const dht = new MeshDht(
    { bootstrap, host: '127.0.0.1' },
    { isSmall: true, onRefused, now: () => clock.nowMs },
  )
  const other = new DHT({ bootstrap, host: '127.0.0.1' })
  onTestFinished(async () => {
    await Promise.all([dht, other].map((node) => node.destroy({ force: true })))
    await testnet.destroy()
  })
  return { dht, other, clock, onRefused }
}

const toId = ({ publicKey }: KeyPair): string => publicKey.toString('hex')

/** What becomes of a dial that nobody answers, `ms` after its begin, when the peer dials this node. */
async function dialInVain({ self, peer, ms }: { self: KeyPair; peer: KeyPair; ms: number }) {
  const { dht, other, clock } = await createDialer()
  await other.createServer().listen(peer)
  await other.destroy({ force: true })
  const stream = dht.connect(peer.publicKey, { keyPair: self })
  stream.on('error', () => {})
  clock.nowMs += ms
  dht.giveWay(toId(peer))
  return stream.destroying
}

test.each([
  { whose: 'greater', self: greater, peer: lesser, ms: 1_999, givesWay: false },
  { whose: 'greater', self: greater, peer: lesser, ms: 2_000, givesWay: true },
  { whose: 'lesser', self: lesser, peer: greater, ms: 60_000, givesWay: false },
])('a dial of the $whose key gives way after $ms ms: $givesWay', async ({ givesWay, ...dial }) => {
  expect(await dialInVain(dial)).toBe(givesWay)
})

test('a dial that the peer answered gets the time that two NATs take', async () => {
  const { dht, other, clock } = await createDialer()
  const read = vi.spyOn(NoiseWrap.prototype, 'recv')
  onTestFinished(() => read.mockRestore())
  const createHandshake = (keyPair: KeyPair): NoiseWrap => {
    const handshake = new NoiseWrap(keyPair, null)
    const final = handshake.final.bind(handshake)
    // Its answer goes out, and nothing comes through after it.
    handshake.final = () => {
      setImmediate(() => void other.destroy({ force: true }))
      return final()
    }
    return handshake
  }
  await other.createServer({ createHandshake }).listen(lesser)
  const stream = dht.connect(lesser.publicKey, { keyPair: greater })
  stream.on('error', () => {})
  await expect.poll(() => read.mock.results.map(({ type }) => type)).toEqual(['return', 'return'])
  const givesWayAt = (ms: number): boolean => {
    clock.nowMs = ms
    dht.giveWay(toId(lesser))
    return stream.destroying
  }
  expect([2_000, 9_999, 10_000].map(givesWayAt)).toEqual([false, false, true])
})

test('a connection is not a dial any more', async () => {
  const { dht, other, clock } = await createDialer()
  await other.createServer().listen(lesser)
  const stream = dht.connect(lesser.publicKey, { keyPair: greater })
  await new Promise((resolve) => stream.once('open', resolve))
  clock.nowMs += 60_000
  dht.giveWay(toId(lesser))
  expect(stream.destroying).toBe(false)
})

test.each([
  { code: 'ECONNRESET', isThere: true },
  { code: 'PEER_CONNECTION_FAILED', isThere: false },
])('a peer whose dial ends with $code is there: $isThere', async ({ code, isThere }) => {
  const { dht, onRefused } = await createDialer()
  const stream = dht.connect(lesser.publicKey, { keyPair: greater })
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.destroy(Object.assign(new Error(code), { code }))
  await closed
  expect(onRefused.mock.calls).toEqual(isThere ? [[toId(lesser)]] : [])
})

test('in a small mesh a node that is silent is given up after three tries', async () => {
  const testnet = await createTestnet(1)
  const dht = new MeshDht(
    { bootstrap: testnet.bootstrap, host: '127.0.0.1' },
    { isSmall: true, onRefused: () => {} },
  )
  const silent = createSocket('udp4')
  onTestFinished(async () => {
    silent.close()
    await dht.destroy({ force: true })
    await testnet.destroy()
  })
  await dht.fullyBootstrapped()
  let heard = 0
  silent.on('message', () => heard++).bind(0, '127.0.0.1')
  await once(silent, 'listening')
  dht.addNode({ host: '127.0.0.1', port: silent.address().port })
  await dht.findNode(dht.table.id).finished()
  expect(heard).toBe(3)
})
