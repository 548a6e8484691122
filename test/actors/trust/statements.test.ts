import { describe, expect, it } from 'vitest'
import { Books } from '../../../actors/trust/books.ts'
import { Statements } from '../../../actors/trust/statements.ts'
import { applyEntry } from '../../../machines/trust/index.ts'
import { encodeEntry, headFormat, type LogEntry } from '../../../protocol/trust/index.ts'
import { type LedgerRig, openLedger } from '../../support/trust-ledger.ts'
import {
  createAccount,
  makeCard,
  makeReceipt,
  type TestAccount,
  toTestNetworkId,
  toTestParams,
} from '../../support/trust-receipts.ts'
import { connect, makeStore, MemoryCounter } from './log/log-rig.ts'
import { eventually } from '../../support/eventually.ts'

const params = toTestParams(60)
const networkId = toTestNetworkId(params, 'test')

/** One of two logs that an account keeps with the same keys, and a node that reads it. */
async function showLog(rig: LedgerRig, { identity, signer, id }: TestAccount) {
  const { ledger, store } = rig
  const theirs = await makeStore()
  const log = await theirs.own(identity.logKeyPair(networkId), new MemoryCounter())
  connect(theirs, store)
  return async (...entries: readonly (Exclude<LogEntry, { type: 'unknown' }> | 'garbage')[]) => {
    await log.append(entries.map((entry) => (entry === 'garbage' ? Buffer.of(1) : encodeEntry(entry))))
    const { length } = log
    const treeHash = (await log.treeHash(length)) ?? ''
    const head = headFormat.sign(signer, { accountId: id, epoch: ledger.epoch, length, treeHash })
    expect(ledger.learnHead(head)).toBe('new')
    await ledger.catchUp()
  }
}

describe('what a node states about scores', () => {
  it('is of the epoch that it names, although the clock goes on meanwhile', () => {
    const { signer } = createAccount(networkId)
    const [worker, client] = [createAccount(networkId), createAccount(networkId)]
    const filed = 28_000_000
    const final = filed + params.finalityEpochs
    const clock: number[] = []
    const books = new Books(params, () => clock.shift() ?? final)
    const account = books.open(worker.id)
    if (!account) throw new Error('an empty book has room')
    const receipt = makeReceipt({ client: client.signer, worker: worker.signer, epoch: filed })
    applyEntry(account.state, { type: 'card', card: makeCard(worker, filed) }, { params, networkId })
    applyEntry(account.state, { type: 'receipt', epoch: filed, receipt }, { params, networkId })
    account.treeHash = '11'.repeat(32)
    const statements = new Statements({ signer, books, ban: () => true, onLie: () => {} })
    clock.push(final - 1, final - 1, final - 1)
    const before = statements.of(worker.id, final - 1)
    for (let looks = 1; looks <= 3; looks++) {
      clock.length = 0
      clock.push(...Array.from({ length: looks }, () => final - 1))
      expect(statements.of(worker.id, final - 1)?.values).toEqual(before?.values)
    }
    clock.length = 0
    expect(statements.of(worker.id, final)?.values).not.toEqual(before?.values)
  })

  it('is nothing of a log whose reading broke off, or a fork would make two honest nodes liars to each other', async () => {
    const [one, other] = [await openLedger(), await openLedger()]
    const [forker, client] = [createAccount(networkId), createAccount(networkId)]
    const { epoch } = one.ledger
    const card = makeCard(forker, epoch)
    const receipt = makeReceipt({ client: client.signer, worker: forker.signer, epoch })
    const payment = {
      type: 'paid',
      epoch,
      workerId: client.id,
      requestId: '07'.repeat(16),
      spendSeq: 7,
      amount: 1_050,
    } as const
    for (const [rig, entry] of [
      [one, { type: 'receipt', epoch, receipt }],
      [other, payment],
    ] as const) {
      for (const account of [one.account, other.account, forker])
        await rig.ledger.learnCard(makeCard(account, epoch))
      const write = await showLog(rig, forker)
      const books = () => rig.ledger.books.get(forker.id)
      await write({ type: 'card', card })
      await eventually(() => expect(books()?.treeHash).toBeDefined())
      await write(entry, 'garbage')
      await eventually(() => expect(rig.ledger.books.isBanned(forker.id)).toBe(true))
      expect(books()?.state.length).toBe(2)
      rig.advance(params.finalityEpochs)
    }
    expect(one.ledger.books.bans.root).toBe(other.ledger.books.bans.root)
    const statement = one.ledger.statementOf(forker.id, one.ledger.epoch)
    if (statement) other.ledger.learnStatement(statement)
    expect(other.banned.map(({ accountId }) => accountId)).toEqual([forker.id])
    expect(statement).toBeUndefined()
  })
})
