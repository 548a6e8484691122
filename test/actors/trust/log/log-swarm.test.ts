import Hyperswarm from 'hyperswarm'
import DHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import { expect, it, onTestFinished } from 'vitest'
import type { LogStore } from '../../../../actors/trust/log/log-store.ts'
import { entriesOf, makeKeyPair, makeStore, MemoryCounter, readAll } from './log-rig.ts'

const topic = Buffer.alloc(32, 5)

it('logs travel over real connections of a swarm, from a node that was restored to one that is new', async () => {
  const testnet = await createTestnet(3)
  onTestFinished(() => testnet.destroy())
  const join = async (store: LogStore): Promise<void> => {
    const dht = new DHT({ bootstrap: testnet.bootstrap, host: '127.0.0.1' })
    const swarm = new Hyperswarm({ dht, keyPair: DHT.keyPair() })
    onTestFinished(() => swarm.destroy())
    swarm.on('connection', (stream) => {
      stream.on('error', () => undefined)
      store.replicate(stream)
    })
    await swarm.join(topic).flushed()
  }
  const owner = await makeStore()
  const keyPair = makeKeyPair()
  const counter = new MemoryCounter()
  const log = await owner.own(keyPair, counter)
  await log.append(entriesOf(0, 1_000))
  const peer = await makeStore()
  await join(owner)
  await join(peer)
  expect(await peer.remote(log.logKey).pull(1_000)).toMatchObject({ kind: 'complete', length: 1_000 })
  await owner.close()

  const restored = await makeStore()
  await join(restored)
  const again = await restored.own(keyPair, counter)
  expect(again.state).toBe('behind')
  const head = counter.mark
  if (!head) throw new Error('no mark was written')
  expect(await again.catchUp(head)).toEqual({ kind: 'current', length: 1_000 })
  expect(await again.append(entriesOf(1_000, 1_001))).toBe(1_001)
  expect(await peer.remote(log.logKey).pull(1_001)).toMatchObject({ kind: 'complete', length: 1_001 })
  expect(await readAll(peer.remote(log.logKey))).toEqual(entriesOf(0, 1_001).map(String))
})
