import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type Hypercore from 'hypercore'
import type { LogConflict } from '../../../../actors/trust/log/log-access.ts'
import type { PullOptions, PullOutcome, RemoteLog } from '../../../../actors/trust/log/remote-log.ts'
import { toTreeHash } from '../../../../actors/trust/log/tree-hash.ts'
import { limits } from '../../../../protocol/index.ts'
import {
  claimLength,
  connect,
  entriesOf,
  makeConnection,
  makeKeyPair,
  makeStore,
  MemoryCounter,
  readAll,
} from './log-rig.ts'
import { eventually } from '../../../support/eventually.ts'

/** A log of somebody, and a store that is connected to it. */
async function makePair(count: number) {
  const owner = await makeStore()
  const keyPair = makeKeyPair()
  const own = await owner.own(keyPair, new MemoryCounter())
  await own.append(entriesOf(0, count))
  const reader = await makeStore()
  connect(owner, reader)
  return { owner, own, keyPair, reader, remote: reader.remote(own.logKey) }
}

interface Wire extends Hypercore.Peer {
  onrequest(request: { readonly block: unknown }): Promise<void>
  readonly wireRange: { send(range: Hypercore.Range): void }
}

/** The peers of a core from now on, which are told of its length and asked in vain for its entries. */
function toWires(core: Hypercore): readonly Wire[] {
  const wires: Wire[] = []
  core.on('peer-add', (peer) => {
    const wire = peer as Wire
    const answer = wire.onrequest.bind(wire)
    wire.onrequest = async (request) => (request.block ? undefined : answer(request))
    wires.push(wire)
  })
  return wires
}

describe('RemoteLog', () => {
  it('pulls 1,000 entries, and later only what is new', async () => {
    const { own, remote } = await makePair(1_000)
    expect(await remote.length()).toBe(0)
    const treeHash = await own.treeHash(1_000)
    expect(await remote.pull(1_000)).toEqual({ kind: 'complete', length: 1_000, treeHash })
    expect(await readAll(remote)).toEqual(entriesOf(0, 1_000).map(String))
    expect(await remote.treeHash(400)).toBe(await own.treeHash(400))
    expect(await remote.treeHash(1_001)).toBeUndefined()

    await own.append(entriesOf(1_000, 1_005))
    expect(await remote.pull(1_005)).toMatchObject({ kind: 'complete', length: 1_005 })
    expect(await readAll(remote)).toHaveLength(1_005)
  })

  it('takes no more than it is asked for', async () => {
    const { remote } = await makePair(100)
    expect(await remote.pull(10)).toMatchObject({ kind: 'complete', length: 10 })
    expect(await readAll(remote)).toEqual(entriesOf(0, 10).map(String))
  })

  it('stops at the bytes it may take and goes on there the next time', async () => {
    const { remote } = await makePair(1_000)
    const first = await remote.pull(1_000, { bytesMax: 2_000 })
    expect(first).toMatchObject({ kind: 'partial', reason: 'bytes' })
    expect(await remote.pull(1_000)).toMatchObject({ kind: 'complete', length: 1_000 })
  })

  it('gets the entries from who connects later, and from others than the owner', async () => {
    const { own, remote, reader } = await makePair(20)
    expect(await remote.pull(20)).toMatchObject({ kind: 'complete' })
    const third = await makeStore()
    const pulling = third.remote(own.logKey).pull(20)
    connect(third, reader)
    expect(await pulling).toMatchObject({ kind: 'complete', length: 20 })
  })

  it('pulls thirty logs at once over one connection', async () => {
    const owner = await makeStore()
    const reader = await makeStore()
    const logs = await Promise.all(
      Array.from({ length: 30 }, () => owner.own(makeKeyPair(), new MemoryCounter())),
    )
    await Promise.all(logs.map((log) => log.append(entriesOf(0, 5))))
    connect(owner, reader)
    const outcomes = await Promise.all(logs.map(({ logKey }) => reader.remote(logKey).pull(5)))
    expect(outcomes.map(({ kind }) => kind)).toEqual(logs.map(() => 'complete'))
  })

  it('gives up in time on a peer that never answers, and at once when told to', async () => {
    const store = await makeStore()
    const [mine] = makeConnection()
    store.replicate(mine)
    const remote = store.remote(makeKeyPair().publicKey.toString('hex'))
    expect(await remote.pull(1, { timeoutMs: 30 })).toEqual({ kind: 'partial', reason: 'timeout', length: 0 })
    const stop = new AbortController()
    const pulling = remote.pull(1, { signal: stop.signal })
    stop.abort()
    expect(await pulling).toEqual({ kind: 'partial', reason: 'aborted', length: 0 })
  })

  it('waits its turn, from which on its time counts', async () => {
    const store = await makeStore()
    const stop = new AbortController()
    const settled: string[] = []
    const pull = async (name: string, options: PullOptions): Promise<PullOutcome> => {
      const outcome = await store.remote(makeKeyPair().publicKey.toString('hex')).pull(1, options)
      settled.push(name)
      return outcome
    }
    const hold = new AbortController()
    const first = Array.from({ length: 8 }, () => pull('first', { signal: hold.signal }))
    await eventually(() => expect(store.logsOpen).toBe(8))
    const ninth = pull('ninth', { timeoutMs: 10 })
    const tenth = pull('tenth', { signal: stop.signal })
    stop.abort()
    expect(await tenth).toEqual({ kind: 'partial', reason: 'aborted', length: 0 })
    await once(AbortSignal.timeout(100), 'abort')
    hold.abort()
    await Promise.all(first)
    expect(await ninth).toMatchObject({ kind: 'partial', reason: 'timeout' })
    expect(settled).toEqual(['tenth', ...first.map(() => 'first'), 'ninth'])
  })

  it('ends with `broken` when the store is closed meanwhile', async () => {
    const store = await makeStore()
    const pulling = store.remote(makeKeyPair().publicKey.toString('hex')).pull(1)
    await eventually(() => expect(store.logsOpen).toBe(1))
    await store.close()
    expect(await pulling).toMatchObject({ kind: 'partial', reason: 'broken' })
  })
})

describe('a hostile owner', () => {
  it.each([
    { name: 'whose entries are all too long', entries: [Buffer.alloc(limits.logEntryBytesMax + 1)] },
    {
      name: 'who hides one long entry among short ones',
      entries: [...entriesOf(0, 50), Buffer.alloc(limits.logEntryBytesMax * 2), ...entriesOf(0, 50)],
    },
  ])('$name is refused and nothing of it is kept', async ({ entries }) => {
    const { owner, own, keyPair, remote } = await makePair(3)
    expect(await remote.pull(3)).toMatchObject({ kind: 'complete' })
    await owner.use(own.logKey, async (core) => core.append(entries, { keyPair }))
    const refused = { kind: 'refused', reason: 'oversized', length: 0 }
    expect(await remote.pull(3 + entries.length)).toEqual(refused)
    expect(await readAll(remote)).toEqual([])
    expect(await remote.pull(1)).toEqual(refused)
  })

  it.each([
    { name: 'few bytes', byteLength: 1_000, outcome: { kind: 'partial', reason: 'aborted', length: 0 } },
    {
      name: 'more bytes than they can have',
      byteLength: Number.MAX_SAFE_INTEGER,
      outcome: { kind: 'refused', reason: 'oversized', length: 0 },
    },
  ])('who signs for 2^40 entries of $name keeps nobody busy', async ({ byteLength, outcome }) => {
    const length = 2 ** 40
    const { owner, own, keyPair, reader, remote } = await makePair(1)
    await claimLength(owner, keyPair, length, byteLength)
    const wires = await owner.use(own.logKey, async (core) => toWires(core))
    const stop = new AbortController()
    const pulling = remote.pull(3, { signal: stop.signal })
    const core = await reader.use(own.logKey, async (each) => each)
    await eventually(() => expect(core.length).toBe(length))
    for (const { wireRange } of wires) wireRange.send({ drop: false, start: 1, length })
    // What comes behind it over this connection has to wait until it was looked at.
    const other = await owner.own(makeKeyPair(), new MemoryCounter())
    await other.append(entriesOf(0, 1))
    expect(await reader.remote(other.logKey).pull(1)).toMatchObject({ kind: 'complete' })
    stop.abort()
    expect(await pulling).toEqual(outcome)
    await remote.forget()
    expect(await readAll(remote)).toEqual([])
  })

  it('cannot take back what it once signed', async () => {
    const { owner, own, keyPair, reader, remote } = await makePair(10)
    expect(await remote.pull(10)).toMatchObject({ kind: 'complete' })
    await owner.use(own.logKey, async (core) => {
      const truncatable = core as Hypercore & { truncate(length: number, options: object): Promise<void> }
      await truncatable.truncate(5, { keyPair })
      await core.append(entriesOf(0, 20, 'rewritten'), { keyPair })
    })
    const pull = (log: RemoteLog, length: number) =>
      eventually(async () => {
        const outcome = await log.pull(25, { timeoutMs: 200 })
        // What a peer says of the log has to come within that time.
        expect(outcome).toEqual({ kind: 'refused', reason: 'fork', length })
      })
    await pull(remote, 10)
    expect(await readAll(remote)).toEqual(entriesOf(0, 10).map(String))
    expect(await reader.use(own.logKey, async (core) => core.fork)).toBe(0)

    const newcomer = await makeStore()
    connect(newcomer, owner)
    await pull(newcomer.remote(own.logKey), 0)
    // Who still holds the old one serves it, although the owner is connected, too.
    connect(newcomer, reader)
    expect(await newcomer.remote(own.logKey).pull(10)).toMatchObject({ kind: 'complete', length: 10 })
  })

  it('who signed two histories is found out with both of them', async () => {
    const conflicts: LogConflict[] = []
    const keyPair = makeKeyPair()
    const one = await makeStore()
    const ownOne = await one.own(keyPair, new MemoryCounter())
    await ownOne.append(entriesOf(0, 5))
    const two = await makeStore()
    const ownTwo = await two.own(keyPair, new MemoryCounter())
    await ownTwo.append(entriesOf(0, 8, 'other'))
    const reader = await makeStore({ onConflict: (conflict) => conflicts.push(conflict) })
    const remote = reader.remote(ownOne.logKey)
    connect(reader, one)
    expect(await remote.pull(5)).toMatchObject({ kind: 'complete' })
    connect(reader, two)
    expect(await remote.pull(8)).toMatchObject({ kind: 'refused', reason: 'conflict' })
    await eventually(() => expect(conflicts).toHaveLength(1))
    const [conflict] = conflicts
    const length = conflict?.length ?? 0
    const hashes = await Promise.all([ownOne, ownTwo].map((log) => log.treeHash(length)))
    expect(hashes).toContain(conflict?.ours)
    expect(hashes.includes(conflict?.theirs) || length > 5).toBe(true)
    expect(remote.conflict).toEqual(conflict)
    expect(await remote.pull(5)).toMatchObject({ kind: 'refused', reason: 'conflict' })
    expect(await readAll(remote)).toEqual(entriesOf(0, 5).map(String))
  })
})

describe('toTreeHash', () => {
  it('is what Hypercore signs', async () => {
    const { owner, own } = await makePair(7)
    const [roots, expected] = await owner.use(own.logKey, async (core) => {
      const { state } = core as unknown as { state: { roots: Parameters<typeof toTreeHash>[0] } }
      return [state.roots, await core.treeHash()]
    })
    expect(roots.length).toBeGreaterThan(1)
    expect(toTreeHash(roots)).toBe(expected.toString('hex'))
  })
})
