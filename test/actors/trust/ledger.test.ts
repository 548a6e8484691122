import { describe, expect, it, onTestFinished } from 'vitest'
import { AccountCache } from '../../../actors/trust/cache/account-cache.ts'
import { IndexStore } from '../../../actors/trust/cache/index-store.ts'
import type { AccountLog } from '../../../actors/trust/log/account-log.ts'
import { Ledger } from '../../../actors/trust/ledger.ts'
import type { UnwrittenFile } from '../../../actors/trust/log/unwritten.ts'
import { toAmount } from '../../../machines/trust/index.ts'
import {
  decodeEntry,
  encodeEntry,
  type Head,
  headFormat,
  type LogEntry,
} from '../../../protocol/trust/index.ts'
import { openLedger, type LedgerRig } from '../../support/trust-ledger.ts'
import { makeCard, makeReceipt, type TestAccount } from '../../support/trust-receipts.ts'
import { connect, makeFolder, makeStore, MemoryCounter } from './log/log-rig.ts'
import { eventually } from '../../support/eventually.ts'

const payment = (spendSeq: number, amount = 1_050) =>
  ({
    type: 'paid',
    epoch: 0,
    workerId: '0b'.repeat(32),
    requestId: spendSeq.toString(16).padStart(32, '0'),
    spendSeq,
    amount,
  }) as const

/** A file in memory, and all that was ever written to it. */
function createFile(entries: readonly Uint8Array[] = []) {
  const file = { entries, writes: 0, refused: 0, isFull: false }
  const port: UnwrittenFile = {
    read: () => Promise.resolve(file.entries),
    write: (written) => {
      if (file.isFull) {
        file.refused++
        return Promise.resolve(false)
      }
      file.entries = written
      file.writes++
      return Promise.resolve(true)
    },
  }
  return { file, port }
}

type Entry = Exclude<LogEntry, { type: 'unknown' }>

/** Another account with a log of its own, over a real connection. */
async function meet({ ledger, store, stranger }: LedgerRig) {
  const other = stranger()
  const theirs = await makeStore()
  const log = await theirs.own(other.identity.logKeyPair(other.signer.networkId), new MemoryCounter())
  connect(theirs, store)
  expect(await ledger.learnCard(makeCard(other, ledger.epoch))).toBe('new')
  const write = async (...entries: readonly Entry[]): Promise<void> => {
    await log.append(entries.map(encodeEntry))
    expect(ledger.learnHead(await headOf(other, log, ledger.epoch))).toBe('new')
    await ledger.catchUp()
    await eventually(() => expect(ledger.books.get(other.id)?.state.length).toBe(log.length))
  }
  await write({ type: 'card', card: makeCard(other, ledger.epoch) })
  return { other, write, remote: store.remote(log.logKey) }
}

async function headOf({ signer, id }: TestAccount, log: AccountLog, epoch: number): Promise<Head> {
  const treeHash = (await log.treeHash(log.length)) ?? ''
  return headFormat.sign(signer, { accountId: id, epoch, length: log.length, treeHash })
}

describe('what a node may spend', () => {
  it('is less what it has not written down yet, and its numbers go on behind that', async () => {
    const { ledger } = await openLedger()
    ledger.append(payment(2_000_000_000_000, 700))
    ledger.append(payment(5, 300))
    expect(ledger.funds()).toMatchObject({ balance: -1_000, spentSeq: 2_000_000_000_000 })
    ledger.checked()
    await eventually(() => expect(ledger.headOf(ledger.ownId)?.length).toBe(3))
    expect(ledger.funds()).toMatchObject({ balance: -1_000, spentSeq: 2_000_000_000_000 })
  })
})

describe('what the log has not taken', () => {
  it('is all in the file after a stop', async () => {
    const { file, port } = createFile()
    const { ledger } = await openLedger({ unwritten: port })
    for (let seq = 1; seq <= 2_000; seq++) ledger.append(payment(seq))
    await ledger.close()
    expect(file.entries.map(decodeEntry)).toHaveLength(2_000)
  })

  it('is written again where the disk was full', async () => {
    const { file, port } = createFile()
    const { ledger } = await openLedger({ unwritten: port })
    ledger.append(payment(1))
    file.isFull = true
    ledger.sweep()
    await eventually(() => expect(file.refused).toBe(1))
    file.isFull = false
    await ledger.close()
    expect(file.entries.map(decodeEntry)).toEqual([payment(1)])
  })

  it('leaves the file only when it is in the log', async () => {
    const { file, port } = createFile([
      encodeEntry(payment(1)),
      Buffer.from('damaged'),
      encodeEntry(payment(2)),
    ])
    const { ledger } = await openLedger({ unwritten: port })
    expect([file.writes, ledger.funds().balance]).toEqual([0, -2_100])
    ledger.checked()
    await eventually(() => expect(file.entries).toEqual([]))
    expect(ledger.headOf(ledger.ownId)?.length).toBe(3)
    await ledger.close()
    expect(file.writes).toBe(1)
  })

  it('is kept once an epoch, too: a process may be killed', async () => {
    const { file, port } = createFile()
    const { ledger } = await openLedger({ unwritten: port })
    ledger.append(payment(1))
    ledger.sweep()
    await eventually(() => expect(file.entries).toHaveLength(1))
    ledger.sweep()
    await ledger.close()
    expect(file.writes).toBe(1)
  })
})

describe('a banned account', () => {
  it('leaves nothing of its log on the disk when two signatures prove its fault', async () => {
    const rig = await openLedger()
    const { other, remote } = await meet(rig)
    expect(await remote.length()).toBe(1)
    const head = (mark: string): Head =>
      headFormat.sign(other.signer, {
        accountId: other.id,
        epoch: rig.ledger.epoch,
        length: 9,
        treeHash: mark.repeat(32),
      })
    expect(rig.ledger.learnProof({ kind: 'fork', a: head('11'), b: head('22') })).toBe('new')
    await eventually(async () => expect(await remote.length()).toBe(0))
  })

  it('keeps the log there that is the evidence itself', async () => {
    const rig = await openLedger()
    const { other, write, remote } = await meet(rig)
    const receipt = makeReceipt({
      client: rig.stranger().signer,
      worker: other.signer,
      epoch: rig.ledger.epoch,
    })
    const entry = { type: 'receipt', epoch: rig.ledger.epoch, receipt } as const
    await write(entry, entry)
    await eventually(() => expect(rig.banned).toMatchObject([{ accountId: other.id }]))
    expect(await remote.length()).toBe(3)
  })
})

describe('a payment that is missing in a client’s log', () => {
  const windowOf = ({ params }: LedgerRig): number =>
    params.filingEpochs + params.clockSkewEpochs + params.finalityEpochs + 1

  it('makes it a newcomer without credit', async () => {
    const rig = await openLedger()
    const client = rig.stranger()
    const { other, write } = await meet(rig)
    const { epoch } = rig.ledger
    const receipts = Array.from({ length: 3 }, (_, at) =>
      makeReceipt({ client: client.signer, worker: other.signer, epoch, offer: { spendSeq: at + 1 } }),
    )
    await write(...receipts.map((receipt) => ({ type: 'receipt', epoch, receipt }) as const))
    const next = (balanceAfter: number) =>
      makeReceipt({ client: client.signer, worker: other.signer, epoch, offer: { balanceAfter } }).offer
    rig.advance(windowOf(rig) - 1)
    rig.ledger.sweep()
    expect(rig.ledger.spending.isSpent(next(-14_000))).toBe(false)
    rig.advance(1)
    rig.ledger.sweep()
    expect(rig.ledger.spending.overdueOf(client.id)).toBe(3 * 2_100)
    expect(rig.ledger.spending.isSpent(next(-14_000))).toBe(true)
    expect(rig.ledger.spending.isSpent(next(-13_000))).toBe(false)
  })

  it('is not missed for a restart: what the cache knows of is compared first', async () => {
    const index = await IndexStore.open(await makeFolder())
    onTestFinished(() => index.close())
    const rig = await openLedger({ cache: new AccountCache(index, '00'.repeat(32)) })
    const { other: client, write } = await meet(rig)
    const { epoch } = rig.ledger
    const receipt = makeReceipt({
      client: client.signer,
      worker: rig.account.signer,
      epoch,
      offer: { spendSeq: 1 },
    })
    rig.ledger.checked()
    rig.ledger.file(receipt)
    await write({ ...payment(1, toAmount(receipt, rig.params)), epoch })
    await eventually(() => expect(rig.ledger.headOf(rig.ledger.ownId)?.length).toBe(2))
    await new AccountCache(index, rig.ledger.ownId).save(rig.ledger.books)
    const again = await Ledger.open({ ...rig.options, cache: new AccountCache(index, rig.ledger.ownId) })
    expect(again.books.get(client.id)?.state.payments).toBe(1)
    rig.advance(windowOf(rig))
    again.sweep()
    expect(again.spending.overdueOf(client.id)).toBe(0)
  })

  it('is written down late when the client is this node itself', async () => {
    const rig = await openLedger()
    const { other, write } = await meet(rig)
    const { epoch } = rig.ledger
    const [paid, lost] = [1, 2].map((spendSeq) =>
      makeReceipt({ client: rig.account.signer, worker: other.signer, epoch, offer: { spendSeq } }),
    )
    if (!paid || !lost) throw new Error('there are two')
    rig.ledger.checked()
    rig.ledger.append(payment(1, toAmount(paid, rig.params)))
    await eventually(() => expect(rig.ledger.headOf(rig.ledger.ownId)?.length).toBe(2))
    await write({ type: 'receipt', epoch, receipt: paid }, { type: 'receipt', epoch, receipt: lost })
    rig.advance(windowOf(rig))
    for (let times = 0; times < 3; times++) rig.ledger.sweep()
    await eventually(() => expect(rig.ledger.headOf(rig.ledger.ownId)?.length).toBe(3))
    const own = rig.ledger.books.get(rig.ledger.ownId)
    expect(own?.state).toMatchObject({ payments: 2, paid: 4_200, faultCount: 0 })
    expect(rig.ledger.spending.overdueOf(rig.ledger.ownId)).toBe(0)
  })
})

describe('books that cannot be opened', () => {
  it('let go of their index', async () => {
    const folder = await makeFolder()
    const rig = await openLedger()
    const cache = new AccountCache(await IndexStore.open(folder), rig.account.id)
    await rig.store.close()
    const log = {
      length: 1,
      read: () => {
        throw new Error('the disk is gone')
      },
    } as unknown as AccountLog
    await expect(Ledger.open({ ...rig.options, log, cache })).rejects.toThrow('the disk is gone')
    await (await IndexStore.open(folder)).close()
  })
})
