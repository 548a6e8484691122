import { describe, expect, it } from 'vitest'
import { Books } from '../../../../actors/trust/books.ts'
import { OwnLog } from '../../../../actors/trust/log/own-log.ts'
import { genesisParams } from '../../../../machines/trust/index.ts'
import { QMeshError } from '../../../../protocol/index.ts'
import { createSigner, type Head, headFormat, type PaidEntry } from '../../../../protocol/trust/index.ts'
import { networkId, sampleCard, worker } from '../../../protocol/trust/samples.ts'
import { makeKeyPair, makeStore, MemoryCounter } from './log-rig.ts'
import { eventually } from '../../../support/eventually.ts'

const epoch = 1_000
const params = { ...genesisParams, stampBits: 0 }

const payment = (spendSeq: number): PaidEntry => ({
  type: 'paid',
  epoch,
  workerId: worker.id,
  requestId: spendSeq.toString(16).padStart(32, '0'),
  spendSeq,
  amount: 1_050,
})

/** A real log; `fail` makes an append be heard of as failed although its entries arrived. */
async function createRig({ onSettled = (_own: OwnLog): void => {} } = {}) {
  const keyPair = makeKeyPair()
  const signer = createSigner(networkId, keyPair)
  const store = await makeStore()
  const real = await store.own(makeKeyPair(), new MemoryCounter())
  let failures = 0
  let catchUps = 0
  const log = new Proxy(real, {
    get: (target, name) => {
      if (name === 'append') {
        return async (entries: readonly Uint8Array[]) => {
          const length = await target.append(entries)
          if (entries.length > 0 && failures > 0) {
            failures--
            throw new QMeshError('QM_LOG_DAMAGED', 'the disk is full')
          }
          return length
        }
      }
      if (name === 'catchUp') catchUps++
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const books = new Books(params, () => epoch)
  const account = books.open(signer.id)
  if (!account) throw new Error('an empty book has room')
  const heads: Head[] = []
  const problems: string[] = []
  const own: OwnLog = new OwnLog(log, account, {
    signer,
    params,
    epochNow: () => epoch,
    makeCard: () => Promise.resolve(sampleCard({}, signer)),
    onGrown: (head) => heads.push(head),
    onReceipt: () => {},
    onRestored: () => {},
    onProblem: ({ message }) => problems.push(message),
    onSettled: () => onSettled(own),
  })
  await own.open()
  return {
    own,
    account,
    signer,
    heads,
    problems,
    fail: (times: number) => (failures = times),
    catchUps: () => catchUps,
  }
}

describe('the own log', () => {
  it('takes nothing before it is sure that nobody holds more of it, and everything then, in order', async () => {
    const { own, account, heads } = await createRig()
    own.append(payment(1))
    own.append(payment(2))
    expect(account.state.length).toBe(0)
    own.checked()
    own.append(payment(3))
    await eventually(() => expect(heads.at(-1)?.length).toBe(4))
    expect(account.state).toMatchObject({ length: 4, payments: 3, faultCount: 0 })
    expect(own.waiting).toEqual([])
  })

  it.each([1, 2, 3])('holds every entry once, whatever is said of %d writes', async (times) => {
    const { own, account, problems, fail } = await createRig()
    own.checked()
    fail(times)
    for (const spendSeq of [1, 2, 3]) own.append(payment(spendSeq))
    await eventually(() => {
      own.retry()
      expect(account.state.payments).toBe(3)
      expect(own.waiting).toEqual([])
    })
    expect(account.state).toMatchObject({ length: 4, faultCount: 0, paid: 3_150 })
    expect(problems).toEqual(['the disk is full'])
  })

  it('does not take a payment twice, or a receipt of yesterday', async () => {
    const { own, account } = await createRig()
    own.checked()
    own.append(payment(1))
    own.append(payment(1))
    own.append(payment(2))
    await eventually(() => expect(account.state.payments).toBe(2))
    own.append(payment(1))
    own.append(payment(3))
    await eventually(() => expect(account.state.payments).toBe(3))
    expect(account.state.faultCount).toBe(0)
  })

  it('is closed only when it has written what came while it wrote', async () => {
    let late = 3
    const { own, account } = await createRig({
      onSettled: (log) => {
        if (late > 0) log.append(payment(100 + late--))
      },
    })
    own.append(payment(1))
    own.checked()
    await own.close()
    expect(own.waiting).toEqual([])
    expect(account.state.payments).toBe(4)
  })

  it('counts a payment as owed until it is in the log, and no longer', async () => {
    const { own, account, fail } = await createRig()
    own.append(payment(1))
    expect([own.owed, own.spentSeq]).toEqual([1_050, 1])
    fail(2)
    own.checked()
    await eventually(() => {
      own.retry()
      expect(own.waiting).toEqual([])
    })
    expect([own.owed, own.spentSeq, account.state.paid]).toEqual([0, 1, 1_050])
  })

  it('looks for more of it once for each head and a few at a time, however often peers say so', async () => {
    const { own, signer, catchUps } = await createRig()
    const toHead = (length: number): Head =>
      headFormat.sign(signer, { accountId: signer.id, epoch, length, treeHash: '33'.repeat(32) })
    const again = Array.from({ length: 50 }, () => own.heard(toHead(7)))
    expect(catchUps()).toBe(1)
    const others = Array.from({ length: 50 }, (_, at) => own.heard(toHead(8 + at)))
    expect(catchUps()).toBe(16)
    await own.close()
    await Promise.all([...again, ...others])
  })

  it('says what it has not written when it is closed', async () => {
    const { own } = await createRig()
    own.append(payment(1))
    await own.close()
    expect(own.waiting).toEqual([payment(1)])
  })
})
