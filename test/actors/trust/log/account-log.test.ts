import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { limits } from '../../../../protocol/index.ts'
import { connect, entriesOf, makeFolder, makeKeyPair, makeStore, MemoryCounter, readAll } from './log-rig.ts'
import { eventually } from '../../../support/eventually.ts'

describe('AccountLog', () => {
  it('keeps 1,000 entries in the order in which they were appended', async () => {
    const folder = join(await makeFolder(), 'logs')
    const keyPair = makeKeyPair()
    const counter = new MemoryCounter()
    const store = await makeStore({ folder })
    const log = await store.own(keyPair, counter)
    const lengths = await Promise.all(entriesOf(0, 1_000).map((entry) => log.append([entry])))
    expect(lengths).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1))
    expect(log.length).toBe(1_000)
    await store.close()
    await store.close()
    expect(counter.mark?.length).toBe(1_000)
    expect(counter.writes).toBeLessThan(100)

    const again = await (await makeStore({ folder })).own(keyPair, counter)
    expect(again.state).toBe('ready')
    expect(await readAll(again)).toEqual(entriesOf(0, 1_000).map(String))
    expect(await again.treeHash(1_000)).toBe(counter.mark?.treeHash)
    expect(await again.treeHash(1_001)).toBeUndefined()
  })

  it('reads a part in bounded slices', async () => {
    const log = await (await makeStore()).own(makeKeyPair(), new MemoryCounter())
    await log.append(entriesOf(0, 200))
    const slices: Uint8Array[][] = []
    for await (const slice of log.read(50, 180)) slices.push(slice)
    expect(slices.map((slice) => slice.length)).toEqual([64, 64, 2])
    expect(slices.flat().map(String)).toEqual(entriesOf(50, 180).map(String))
  })

  it('refuses entries out of bounds and takes the next one', async () => {
    const log = await (await makeStore()).own(makeKeyPair(), new MemoryCounter())
    for (const length of [0, limits.logEntryBytesMax + 1]) {
      await expect(log.append([Buffer.alloc(length)])).rejects.toMatchObject({ code: 'QM_EVIDENCE_INVALID' })
    }
    expect(await log.append([Buffer.alloc(limits.logEntryBytesMax)])).toBe(1)
  })

  it('writes what was asked for before it is closed, and refuses what is asked for after', async () => {
    const store = await makeStore()
    const log = await store.own(makeKeyPair(), new MemoryCounter())
    const asked = log.append(entriesOf(0, 3))
    const closing = store.close()
    expect(await asked).toBe(3)
    await closing
    await expect(log.append(entriesOf(3, 4))).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  })

  it('stores no secret key', async () => {
    const store = await makeStore()
    const keyPair = makeKeyPair()
    const log = await store.own(keyPair, new MemoryCounter())
    await log.append([Buffer.from('an entry that is to be found')])
    await store.close()
    const db = join(store.folder, 'db')
    const files = await Promise.all((await readdir(db)).map((file) => readFile(join(db, file))))
    expect(files.some((bytes) => bytes.includes('an entry that is to be found'))).toBe(true)
    expect(files.some((bytes) => bytes.includes(keyPair.secretKey.subarray(0, 32)))).toBe(false)
  })
})

describe('a restored backup', () => {
  /** A log of 30 entries of which a peer holds all, and a copy of its folder that has only the first 10. */
  async function restore() {
    const root = await makeFolder()
    const keyPair = makeKeyPair()
    const counter = new MemoryCounter()
    const first = await makeStore({ folder: join(root, 'a') })
    const log = await first.own(keyPair, counter)
    await log.append(entriesOf(0, 10))
    await first.close()
    const oldMark = counter.mark
    await cp(join(root, 'a'), join(root, 'old'), { recursive: true })

    const second = await makeStore({ folder: join(root, 'a') })
    const longer = await second.own(keyPair, counter)
    await longer.append(entriesOf(10, 30))
    const peer = await makeStore()
    const ends = connect(second, peer)
    const outcome = await peer.remote(longer.logKey).pull(30)
    expect(outcome).toMatchObject({ kind: 'complete', length: 30, treeHash: counter.mark?.treeHash })
    for (const end of ends) end.destroy()
    await second.close()
    const head = counter.mark
    if (!head || !oldMark) throw new Error('no mark was written')
    return { folder: join(root, 'old'), keyPair, counter, oldMark, head, peer }
  }

  it('is noticed by the counter, refuses to append, and gets its entries back from a peer', async () => {
    const { folder, keyPair, counter, head, peer } = await restore()
    const conflicts: unknown[] = []
    const store = await makeStore({ folder, onConflict: (conflict) => conflicts.push(conflict) })
    const log = await store.own(keyPair, counter)
    expect(log.state).toBe('behind')
    expect(log.length).toBe(10)
    await expect(log.append(entriesOf(10, 11))).rejects.toMatchObject({ code: 'QM_LOG_FORKED' })

    connect(store, peer)
    expect(await log.catchUp(head)).toEqual({ kind: 'current', length: 30 })
    expect(log.state).toBe('ready')
    expect(await log.append(entriesOf(30, 31))).toBe(31)
    expect(await readAll(log)).toEqual(entriesOf(0, 31).map(String))
    expect(await peer.remote(log.logKey).pull(31)).toMatchObject({ kind: 'complete' })
    expect(await peer.remote(log.logKey).treeHash(31)).toBe(await log.treeHash(31))
    expect(await store.use(log.logKey, async (core) => core.fork)).toBe(0)
    expect(conflicts).toEqual([])
  })

  it('does not wait for logs of others that nobody has', async () => {
    const { folder, keyPair, counter, head, peer } = await restore()
    const store = await makeStore({ folder })
    const log = await store.own(keyPair, counter)
    const stop = new AbortController()
    const pulls = Array.from({ length: 8 }, () =>
      store
        .remote(makeKeyPair().publicKey.toString('hex'))
        .pull(1, { signal: stop.signal, timeoutMs: 300_000 }),
    )
    await eventually(() => expect(store.logsOpen).toBe(9))
    connect(store, peer)
    expect(await log.catchUp(head)).toEqual({ kind: 'current', length: 30 })
    stop.abort()
    await Promise.all(pulls)
  })

  it('with its counter is found out by the head that peers hold', async () => {
    const { folder, keyPair, counter, oldMark, head, peer } = await restore()
    counter.mark = oldMark
    const store = await makeStore({ folder })
    const log = await store.own(keyPair, counter)
    expect(log.state).toBe('ready')
    connect(store, peer)
    const catching = log.catchUp(head)
    // Appending waits for the catching up instead of forking the log.
    const appended = log.append(entriesOf(30, 31))
    expect(await catching).toEqual({ kind: 'current', length: 30 })
    expect(await appended).toBe(31)
    expect(counter.mark?.length).toBe(31)
  })

  it('that was appended to is reported as forked with both heads, and appends no more', async () => {
    const { folder, keyPair, counter, oldMark, head, peer } = await restore()
    counter.mark = oldMark
    const store = await makeStore({ folder })
    const log = await store.own(keyPair, counter)
    await log.append([Buffer.from('another history')])
    const ours = await log.treeHash(11)
    connect(store, peer)
    const outcome = await log.catchUp(head)
    expect(outcome).toMatchObject({ kind: 'forked', ours })
    expect(log.state).toBe('forked')
    expect(log.fork?.theirs).toMatch(/^[0-9a-f]{64}$/)
    expect(log.fork?.theirs).not.toBe(ours)
    await expect(log.append(entriesOf(0, 1))).rejects.toMatchObject({ code: 'QM_LOG_FORKED' })
    await expect(log.adopt()).rejects.toMatchObject({ code: 'QM_LOG_FORKED' })
  })

  it('forked at equal length is found by the hash of the head', async () => {
    const { folder, keyPair, counter, oldMark } = await restore()
    counter.mark = oldMark
    const log = await (await makeStore({ folder })).own(keyPair, counter)
    const head = { length: 10, treeHash: 'ab'.repeat(32) }
    expect(await log.catchUp(head)).toEqual({
      kind: 'forked',
      length: 10,
      ours: oldMark.treeHash,
      theirs: head.treeHash,
    })
  })

  it('that nobody has more of goes on only when it is adopted', async () => {
    const { folder, keyPair, counter, head } = await restore()
    const store = await makeStore({ folder })
    const log = await store.own(keyPair, counter)
    expect(await log.catchUp(head, { timeoutMs: 50 })).toEqual({
      kind: 'partial',
      reason: 'timeout',
      length: 10,
    })
    expect(log.state).toBe('behind')
    await log.adopt()
    expect(await log.append(entriesOf(10, 11))).toBe(11)
    await store.close()
    expect(counter.mark?.length).toBe(11)
  })

  it('whose content is another one than was acknowledged is forked', async () => {
    const keyPair = makeKeyPair()
    const counter = new MemoryCounter()
    const store = await makeStore()
    await (await store.own(keyPair, counter)).append(entriesOf(0, 3))
    await store.close()
    const other = await makeStore()
    await (await other.own(keyPair, new MemoryCounter())).append(entriesOf(0, 5, 'other'))
    await other.close()
    const log = await (await makeStore({ folder: other.folder })).own(keyPair, counter)
    expect(log.state).toBe('forked')
    expect(log.fork?.theirs).toBe(counter.mark?.treeHash)
  })
})
