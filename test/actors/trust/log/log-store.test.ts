import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type Hypercore from 'hypercore'
import Protomux from 'protomux'
import { describe, expect, it } from 'vitest'
import { LogStore } from '../../../../actors/trust/log/log-store.ts'
import { closeStore, openStore } from '../../../../actors/trust/log/open-store.ts'
import {
  connect,
  entriesOf,
  makeConnection,
  makeFolder,
  makeKeyPair,
  makeStore,
  MemoryCounter,
  readAll,
} from './log-rig.ts'
import { eventually } from '../../../support/eventually.ts'

const randomKey = (): string => makeKeyPair().publicKey.toString('hex')

describe('LogStore', () => {
  it('lets one process at a time into a folder', async () => {
    const store = await makeStore()
    await expect(LogStore.open(store.folder)).rejects.toMatchObject({
      code: 'QM_LOG_DAMAGED',
      message: expect.stringContaining(store.folder),
    })
    await store.close()
    await (await LogStore.open(store.folder)).close()
  })

  it.each(['CURRENT', 'MANIFEST'])('says which folder is damaged when its %s is garbage', async (name) => {
    const store = await makeStore()
    await (await store.own(makeKeyPair(), new MemoryCounter())).append(entriesOf(0, 3))
    await store.close()
    const db = join(store.folder, 'db')
    const file = (await readdir(db)).find((each) => each.startsWith(name)) ?? ''
    await writeFile(join(db, file), Buffer.alloc(100, 7))
    await expect(LogStore.open(store.folder)).rejects.toMatchObject({
      code: 'QM_LOG_DAMAGED',
      message: expect.stringContaining(store.folder),
    })
  })

  it('notices entries that a damaged folder lost', async () => {
    const keyPair = makeKeyPair()
    const counter = new MemoryCounter()
    const store = await makeStore()
    const log = await store.own(keyPair, counter)
    for (let index = 0; index < 5; index++) await log.append(entriesOf(index, index + 1))
    await store.close()
    const db = join(store.folder, 'db')
    const wal = join(db, (await readdir(db)).find((each) => each.endsWith('.log')) ?? '')
    await truncate(wal, (await readFile(wal)).length - 200)
    const damaged = await (await makeStore({ folder: store.folder })).own(keyPair, counter)
    expect(damaged.state).toBe('behind')
    expect(damaged.length).toBeLessThan(5)
    expect(await readAll(damaged)).toEqual(entriesOf(0, damaged.length).map(String))
  })

  it('closes the logs that were not used for longest', async () => {
    const store = await makeStore()
    const own = await store.own(makeKeyPair(), new MemoryCounter())
    const logs = await Promise.all(
      Array.from({ length: 80 }, () => store.own(makeKeyPair(), new MemoryCounter())),
    )
    expect(store.logsOpen).toBe(81)
    const others = await makeStore()
    connect(store, others)
    for (const { logKey } of logs) await others.remote(logKey).pull(0)
    expect(others.logsOpen).toBeLessThanOrEqual(64)
    expect(await own.append(entriesOf(0, 1))).toBe(1)
  })

  it('creates nothing for a reader of a log that is not here', async () => {
    const store = await makeStore()
    const remote = store.remote(randomKey())
    expect(await remote.length()).toBe(0)
    expect(await readAll(remote)).toEqual([])
    expect(await remote.treeHash(0)).toBeUndefined()
    expect(await store.has(remote.logKey)).toBe(false)
    expect(store.logsOpen).toBe(0)
  })

  it('is opened again by itself after a write failed, and serves on over the same connections', async () => {
    const problems: string[] = []
    const store = await makeStore({ onProblem: ({ code }) => problems.push(code) })
    const counter = new MemoryCounter()
    const log = await store.own(makeKeyPair(), counter)
    await log.append(entriesOf(0, 3))
    const reader = await makeStore()
    connect(store, reader)
    expect(await reader.remote(log.logKey).pull(3)).toMatchObject({ kind: 'complete' })
    // What RocksDB says when it could not write, after which it never writes again.
    const error = await store.fail(new Error('Batch was not applied'))
    expect(error.message).toContain(store.folder)
    expect(store.isBroken).toBe(true)
    expect(await log.append(entriesOf(3, 4))).toBe(4)
    expect(store.isBroken).toBe(false)
    expect(problems).toEqual(['QM_LOG_DAMAGED'])
    expect(await reader.remote(log.logKey).pull(4)).toMatchObject({ kind: 'complete', length: 4 })
    // Not at every use: opening takes long, and a full disk stays full for a while.
    await store.fail(new Error('Batch was not applied'))
    await expect(log.append(entriesOf(4, 5))).rejects.toMatchObject({ code: 'QM_LOG_DAMAGED' })
    expect(log.state).toBe('ready')
  })

  it('lets go of its files although a core could not be opened', async () => {
    const folder = join(await makeFolder(), 'logs')
    const store = await openStore(folder)
    const manifest = { version: 1, signers: [{ publicKey: makeKeyPair().publicKey }] } as const
    await expect(store.get({ manifest, createIfMissing: false }).ready()).rejects.toThrow('No Hypercore')
    await closeStore(store)
    await (await LogStore.open(folder)).close()
  })

  it('stops serving a connection when it is detached, and keeps it open', async () => {
    const owner = await makeStore()
    const log = await owner.own(makeKeyPair(), new MemoryCounter())
    await log.append(entriesOf(0, 2))
    const reader = await makeStore()
    const [a, b] = makeConnection()
    const detach = owner.replicate(a)
    reader.replicate(b)
    expect(await reader.remote(log.logKey).pull(2)).toMatchObject({ kind: 'complete' })
    detach()
    detach()
    await log.append(entriesOf(2, 3))
    expect(await reader.remote(log.logKey).pull(3, { timeoutMs: 50 })).toMatchObject({ reason: 'timeout' })
    expect(a.destroying).toBe(false)
  })
})

describe('a hostile peer', () => {
  it('makes us open and store nothing by asking for hundreds of unknown logs', async () => {
    const store = await makeStore()
    await (await store.own(makeKeyPair(), new MemoryCounter())).append(entriesOf(0, 1))
    const [mine, theirs] = makeConnection()
    store.replicate(mine)
    const mux = Protomux.from(theirs)
    let refused = 0
    for (let index = 0; index < 300; index++) {
      const id = makeKeyPair().publicKey
      const options = { protocol: 'hypercore/alpha', id, onclose: () => refused++ }
      const channel = mux.createChannel(options)
      // Whatever the handshake, it is not even looked at.
      channel?.open()
    }
    await eventually(() => expect(refused).toBe(300))
    expect(store.logsOpen).toBe(1)
    const storage = await store.use('00'.repeat(32), async (core) => core as unknown as StoredCore)
    const stored = []
    for await (const each of storage.core.db.createDiscoveryKeyStream()) stored.push(each)
    // Ours, and the one that this look has just created.
    expect(stored).toHaveLength(2)
  })

  it('gets a bounded number of logs over one connection at a time', async () => {
    const owner = await makeStore()
    const logs = await Promise.all(
      Array.from({ length: 40 }, () => owner.own(makeKeyPair(), new MemoryCounter())),
    )
    const hostile = await makeStore()
    const [mine, theirs] = makeConnection()
    owner.replicate(mine)
    const mux = Protomux.from(theirs)
    const cores = await Promise.all(logs.map(({ logKey }) => hostile.use(logKey, async (core) => core)))
    for (const core of cores) {
      core.replicate(mux)
      core.setActive(true)
    }
    const opened = (): number => cores.filter(({ peers }) => peers.length > 0).length
    await eventually(() => expect(opened()).toBe(24))
    const { length } = mux._remote
    expect(length).toBe(24)
    // The last one asked for was refused, so all were looked at.
    const last = logs.at(-1)
    await last?.append(entriesOf(0, 1))
    expect(await hostile.remote(last?.logKey ?? '').pull(1, { timeoutMs: 50 })).toMatchObject({
      reason: 'timeout',
    })
    expect(opened()).toBe(24)
  })

  it('cannot keep us busy by saying that it has 2^50 entries', async () => {
    const owner = await makeStore()
    const log = await owner.own(makeKeyPair(), new MemoryCounter())
    await log.append(entriesOf(0, 10))
    const hostile = await makeStore()
    connect(owner, hostile)
    const remote = hostile.remote(log.logKey)
    expect(await remote.pull(10)).toMatchObject({ kind: 'complete' })
    const stop = new AbortController()
    const pulling = remote.pull(11, { signal: stop.signal })
    const core = await hostile.use(log.logKey, async (each) => each)
    await eventually(() => expect(core.peers).toHaveLength(1))
    const [peer] = core.peers as unknown as Wire[]
    for (const start of [1, 11, 2 ** 49]) peer?.wireRange.send({ drop: false, start, length: 2 ** 50 })
    peer?.wireRange.send({ drop: false, start: 2 ** 50, length: 1 })
    peer?.wireBitfield.send({ start: 2 ** 40, bitfield: new Uint32Array(1_024).fill(0xffff_ffff) })
    // The connection is in order, so when this has come, the rest has been looked at.
    await log.append(entriesOf(10, 11))
    expect(await pulling).toMatchObject({ kind: 'complete', length: 11 })
    stop.abort()
  })
})

/** How one core speaks to another one. */
interface Wire {
  readonly wireRange: { send(message: Hypercore.Range): void }
  readonly wireBitfield: { send(message: Hypercore.Bitfield): void }
}

interface StoredCore {
  readonly core: { readonly db: { createDiscoveryKeyStream(): AsyncIterable<Buffer> } }
}
