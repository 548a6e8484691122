import { describe, expect, it } from 'vitest'
import type { Account } from '../../../../actors/trust/books.ts'
import { type Broken, LogReader } from '../../../../actors/trust/log/log-reader.ts'
import { type PullBounds, PullQuota } from '../../../../actors/trust/log/pull-quota.ts'
import { createAccountState, genesisParams as params } from '../../../../machines/trust/index.ts'
import { limits } from '../../../../protocol/index.ts'
import { encodeEntry } from '../../../../protocol/trust/index.ts'
import { networkId, sampleCard, sampleHead, worker } from '../../../protocol/trust/samples.ts'
import { connect, makeKeyPair, makeStore, MemoryCounter } from './log-rig.ts'

/** An entry of a later version, which counts for nothing and costs nothing. */
const unknownEntry = Buffer.of(200)

/** Somebody's log with so many entries, and a reader that is connected to it, at an epoch that the test sets. */
async function createRig(count: number, bounds: Partial<PullBounds> = {}) {
  const owner = await makeStore()
  const own = await owner.own(makeKeyPair(), new MemoryCounter())
  const card = sampleCard({ logKey: own.logKey })
  await own.append([encodeEntry({ type: 'card', card })])
  await own.append(Array.from({ length: count - 1 }, () => unknownEntry))
  const store = await makeStore()
  connect(owner, store)
  const clock = { epoch: 1_000 }
  /** How often there is room when it is looked for. */
  const room = { times: Infinity }
  const broken: Broken[] = []
  const quota = new PullQuota(() => clock.epoch, { pullEntriesPerEpochMax: 100, ...bounds })
  const reader = new LogReader({
    params,
    networkId,
    store,
    quota,
    accounts: () => 10,
    hasRoom: () => room.times-- > 0,
    onBroken: (found) => broken.push(found),
    onReceipt: () => {},
    onPaid: () => {},
    onCard: () => {},
  })
  const head = sampleHead({ length: count, treeHash: (await own.treeHash(count)) ?? '' })
  const account: Account = {
    id: worker.id,
    card,
    head,
    state: createAccountState(worker.id),
    treeHash: undefined,
  }
  return { reader, quota, account, clock, room, broken, remote: store.remote(own.logKey) }
}

describe('a log that is too much', () => {
  it('is fetched an epoch’s share at a time, and read when all of it is here', async () => {
    const count = 150
    const { reader, account, clock, broken, remote } = await createRig(count)
    for (let times = 0; times < 3; times++) await reader.read(account)
    expect(await remote.length()).toBe(100)
    expect(account.state.length).toBe(0)
    clock.epoch++
    await reader.read(account)
    expect([account.state.length, broken]).toEqual([count, []])
    await reader.close()
  })

  it('is not fetched at all beyond the longest that is read', async () => {
    const { reader, account, remote } = await createRig(3)
    account.head = sampleHead({ length: limits.pullEntriesMax + 1 })
    await reader.read(account)
    expect(await remote.length()).toBe(0)
    await reader.close()
  })

  it('is read as far as there is room for what comes of it, and on when there is more', async () => {
    const count = 100
    const { reader, account, room, remote } = await createRig(count)
    room.times = 0
    await reader.read(account)
    expect(await remote.length()).toBe(0)
    // Before it is fetched, and after each 32 entries.
    room.times = 2
    await reader.read(account)
    expect([account.state.length, account.treeHash]).toEqual([64, undefined])
    room.times = Infinity
    await reader.read(account)
    expect([account.state.length, account.treeHash]).toEqual([count, account.head?.treeHash])
    await reader.close()
  })

  it('is not fetched when it says that it has more bytes than are kept', async () => {
    const { remote } = await createRig(3)
    const outcome = await remote.pull(3, { logBytesMax: 100 })
    expect(outcome).toMatchObject({ kind: 'partial', reason: 'bytes' })
    expect(await remote.length()).toBe(0)
  })

  it('gets an equal share of the room once all logs together are at their bound', async () => {
    const count = 60
    // A tenth of the room, which is more than sixty entries and a card take with what the store adds, and less.
    for (const [logsBytesMax, length] of [
      [100_000, count],
      [77_000, 0],
    ] as const) {
      const { reader, quota, account, remote, broken } = await createRig(count, { logsBytesMax })
      quota.measured(logsBytesMax)
      await reader.read(account)
      expect([account.state.length, await remote.length(), broken]).toEqual([length, length, []])
      await reader.close()
    }
  })
})

describe('what may be fetched of one log', () => {
  it('is all there may be while there is room, then an equal share, and nothing at twice the bound', () => {
    const quota = new PullQuota(() => 7, { logsBytesMax: 10_000 })
    expect(quota.logBytesMax(4, 10)).toBe(limits.pullBytesMax)
    quota.used('a', 0, 6_000)
    quota.used('b', 0, 4_000)
    expect(quota.logBytesMax(4, 0)).toBe(2_500)
    expect(quota.logBytesMax(0, 0)).toBe(10_000)
    quota.measured(9_999)
    expect(quota.logBytesMax(4, 10)).toBe(limits.pullBytesMax)
    quota.measured(19_999)
    expect(quota.logBytesMax(4, 0)).toBe(2_500)
    expect(quota.allow('a', 0, 1)).toBeDefined()
    quota.used('a', 0, 1)
    expect([quota.logBytesMax(4, 0), quota.isFull, quota.allow('a', 0, 1)]).toEqual([0, true, undefined])
  })

  it('counts what the store adds to each entry, or entries of a byte would take a hundred times the room', () => {
    const quota = new PullQuota(() => 7, { logsBytesMax: 10_000 })
    quota.used('a', 79, 79)
    // 79 bytes of entries take more than that.
    expect(quota.logBytesMax(4, 0)).toBe(2_500)
    expect(quota.logBytesMax(4, 10)).toBe(2_500 - 1_280)
    expect(quota.logBytesMax(4, 20)).toBe(0)
  })

  it('is bounded in bytes, too, for each account, and anew in each epoch', () => {
    const clock = { epoch: 7 }
    const quota = new PullQuota(() => clock.epoch)
    const bytes = limits.pullBytesPerEpochMax
    expect(quota.allow('a', 0, 10)).toEqual({ toLength: 10, bytes })
    quota.used('a', 10, bytes)
    expect(quota.allow('a', 10, 20)).toBeUndefined()
    expect(quota.allow('b', 0, 20)).toEqual({ toLength: 20, bytes })
    clock.epoch++
    expect(quota.allow('a', 10, 20)).toEqual({ toLength: 20, bytes })
    expect(quota.allow('a', 10, limits.pullEntriesMax)).toMatchObject({
      toLength: 10 + limits.pullEntriesPerEpochMax,
    })
    expect(quota.allow('a', 10, limits.pullEntriesMax + 1)).toBeUndefined()
  })
})
