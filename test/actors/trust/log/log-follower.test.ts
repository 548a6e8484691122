import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { PullQuota } from '../../../../actors/trust/log/pull-quota.ts'
import { RemoteLog } from '../../../../actors/trust/log/remote-log.ts'
import {
  decodeEntry,
  encodeEntry,
  type FraudProof,
  headFormat,
  type IdentityCard,
} from '../../../../protocol/trust/index.ts'
import { type LedgerRig, openLedger } from '../../../support/trust-ledger.ts'
import { makeCard, type TestAccount } from '../../../support/trust-receipts.ts'
import { connect, makeStore, MemoryCounter } from './log-rig.ts'
import { eventually } from '../../../support/eventually.ts'

const payment = (spendSeq: number) =>
  ({
    type: 'paid',
    epoch: 0,
    workerId: '0b'.repeat(32),
    requestId: spendSeq.toString(16).padStart(32, '0'),
    spendSeq,
    amount: 1_050,
  }) as const

/** Signs against itself: a proof that anybody can make of an account of his own. */
const toProof = ({ signer, id }: TestAccount, epoch: number): FraudProof => {
  const sign = (treeHash: string) => headFormat.sign(signer, { accountId: id, epoch, length: 3, treeHash })
  return { kind: 'fork', a: sign('11'.repeat(32)), b: sign('22'.repeat(32)) }
}

/** An account whose card says that somebody else's log is its own, and that gets itself banned. */
async function condemnThief({ ledger, stranger }: LedgerRig, { logKey }: Pick<IdentityCard, 'logKey'>) {
  const thief = stranger()
  expect(await ledger.learnCard(makeCard(thief, ledger.epoch, { logKey }))).toBe('new')
  expect(ledger.learnProof(toProof(thief, ledger.epoch))).toBe('new')
  expect(ledger.books.isBanned(thief.id)).toBe(true)
}

describe('the entries of a banned account that claimed another’s log', () => {
  it('stay where the log is this node’s own', async () => {
    const rig = await openLedger()
    const { ledger, options } = rig
    ledger.checked()
    for (const spendSeq of [1, 2]) ledger.append(payment(spendSeq))
    await eventually(() => expect(ledger.headOf(ledger.ownId)?.length).toBe(3))
    await condemnThief(rig, { logKey: options.keys.log })
    // What deletes them has its turn before the next entry is on the disk.
    ledger.append(payment(3))
    await eventually(() => expect(ledger.headOf(ledger.ownId)?.length).toBe(4))
    const kept: string[] = []
    for await (const slice of options.log.read(0, 4)) kept.push(...slice.map((one) => decodeEntry(one).type))
    expect(kept).toEqual(['card', 'paid', 'paid', 'paid'])
  })

  it('stay where the log is that of an account in good standing, and go with the last that has it', async () => {
    const rig = await openLedger()
    const { ledger, store, stranger } = rig
    const victim = stranger()
    const theirs = await makeStore()
    const log = await theirs.own(victim.identity.logKeyPair(victim.signer.networkId), new MemoryCounter())
    connect(theirs, store)
    const card = makeCard(victim, ledger.epoch)
    await ledger.learnCard(card)
    await log.append([encodeEntry({ type: 'card', card }), encodeEntry(payment(1))])
    const [length, treeHash] = [log.length, (await log.treeHash(log.length)) ?? '']
    ledger.learnHead(
      headFormat.sign(victim.signer, { accountId: victim.id, epoch: ledger.epoch, length, treeHash }),
    )
    await ledger.catchUp()
    await eventually(() => expect(ledger.books.get(victim.id)?.state.length).toBe(2))
    const forget = vi.spyOn(RemoteLog.prototype, 'forget')
    onTestFinished(() => forget.mockRestore())
    await condemnThief(rig, card)
    const ownLog = makeCard(stranger(), 0)
    await condemnThief(rig, ownLog)
    await eventually(() =>
      expect(forget.mock.contexts.map((log) => (log as RemoteLog).logKey)).toEqual([ownLog.logKey]),
    )
    const remote = store.remote(card.logKey)
    expect(await remote.length()).toBe(2)
    expect(ledger.learnProof(toProof(victim, ledger.epoch))).toBe('new')
    await expect.poll(() => remote.length()).toBe(0)
  })
})

it('deletes what it has of the log of an account that the books forgot', async () => {
  const { ledger, store, stranger } = await openLedger()
  const one = stranger()
  const theirs = await makeStore()
  const log = await theirs.own(one.identity.logKeyPair(one.signer.networkId), new MemoryCounter())
  connect(theirs, store)
  const card = makeCard(one, ledger.epoch)
  await ledger.learnCard(card)
  await log.append([encodeEntry({ type: 'card', card }), encodeEntry(payment(1))])
  // A part that was fetched and not read: the books know of nothing that the account did.
  const remote = store.remote(card.logKey)
  expect(await remote.pull(2)).toMatchObject({ kind: 'complete' })
  for (let n = 0; ledger.books.get(one.id); n++) ledger.books.open(n.toString(16).padStart(64, '0'))
  await expect.poll(() => remote.length()).toBe(0)
})

it('looks how much room all logs take: at the start, and once an epoch', async () => {
  const measured = vi.spyOn(PullQuota.prototype, 'measured')
  onTestFinished(() => measured.mockRestore())
  const { ledger } = await openLedger()
  await eventually(() => expect(measured).toHaveBeenCalledTimes(1))
  ledger.sweep()
  await eventually(() => expect(measured).toHaveBeenCalledTimes(2))
  expect(measured.mock.lastCall?.[0]).toBeGreaterThan(0)
})

it('says once that there is no more room for logs, and that there is some again', async () => {
  const measured = vi.spyOn(PullQuota.prototype, 'measured')
  const isFull = vi.spyOn(PullQuota.prototype, 'isFull', 'get').mockReturnValue(true)
  onTestFinished(() => {
    measured.mockRestore()
    isFull.mockRestore()
  })
  const told: boolean[] = []
  const { ledger } = await openLedger({ onRoom: (isFull) => told.push(isFull) })
  await eventually(() => expect(told).toEqual([true]))
  for (const times of [2, 3]) {
    ledger.sweep()
    await eventually(() => expect(measured).toHaveBeenCalledTimes(times))
  }
  isFull.mockReturnValue(false)
  ledger.sweep()
  await eventually(() => expect(told).toEqual([true, false]))
})
