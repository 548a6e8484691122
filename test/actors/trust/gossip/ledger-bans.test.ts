import { describe, expect, it } from 'vitest'
import { Holdings } from '../../../../actors/trust/gossip/holdings.ts'
import { applyEntry, toScore } from '../../../../machines/trust/index.ts'
import { type FraudProof, headFormat } from '../../../../protocol/trust/index.ts'
import { openLedger } from '../../../support/trust-ledger.ts'
import { makeCard, makeReceipt, type TestAccount } from '../../../support/trust-receipts.ts'

const twoHeads = ({ signer }: TestAccount, epoch: number): FraudProof => {
  const sign = (treeHash: string) =>
    headFormat.sign(signer, { accountId: signer.id, epoch, length: 3, treeHash })
  return { kind: 'fork', a: sign('11'.repeat(32)), b: sign('22'.repeat(32)) }
}

describe('a proof against an account', () => {
  it('is left for later until the account was introduced, which costs a stamp', async () => {
    const { ledger, stranger, banned } = await openLedger()
    for (let count = 0; count < 50; count++) {
      expect(ledger.learnProof(twoHeads(stranger(), ledger.epoch))).toBe('later')
    }
    expect([banned.length, ledger.banned().size]).toEqual([0, 0])
    const thief = stranger()
    const proof = twoHeads(thief, ledger.epoch)
    expect(ledger.learnProof(proof)).toBe('later')
    expect(await ledger.learnCard(makeCard(thief, ledger.epoch))).toBe('new')
    expect(ledger.learnProof(proof)).toBe('new')
    expect(banned.map(({ accountId }) => accountId)).toEqual([thief.id])
    // Of an account that nobody knows, a false one is an offence all the same.
    const other = twoHeads(stranger(), ledger.epoch)
    expect(ledger.learnProof({ ...other, b: other.a } as FraudProof)).toBe('invalid')
  })

  it('that the cheat dated back to 1970 leaves what honest workers earned with it', async () => {
    const { ledger, stranger, params, account, advance } = await openLedger()
    const [client, worker] = [stranger(), stranger()]
    for (const one of [client, worker]) await ledger.learnCard(makeCard(one, ledger.epoch))
    const books = ledger.books.get(worker.id)
    if (!books) throw new Error('the worker is known')
    const { epoch } = ledger
    const context = { params, networkId: account.signer.networkId }
    applyEntry(books.state, { type: 'card', card: makeCard(worker, epoch) }, context)
    for (let count = 0; count < 4; count++) {
      const receipt = makeReceipt({ client: client.signer, worker: worker.signer, epoch })
      applyEntry(books.state, { type: 'receipt', epoch, receipt }, context)
    }
    advance(params.finalityEpochs + 1)
    const before = toScore(books.state, ledger.epoch, { bans: ledger.books.bans, params })
    expect(before.breakdown.receipts.counted).toBe(4)
    expect(ledger.learnProof(twoHeads(client, 0))).toBe('new')
    expect(ledger.books.isBanned(client.id)).toBe(true)
    expect(ledger.books.score(books).s).toBe(before.s)
    expect(ledger.books.score(books).breakdown.receipts).toEqual(before.breakdown.receipts)
  })

  it('means the same to all who hold one, whatever its date', async () => {
    const [one, other] = [await openLedger(), await openLedger()]
    const thief = one.stranger()
    for (const [{ ledger }, epoch] of [
      [one, 7],
      [other, 9_000_000],
    ] as const) {
      await ledger.learnCard(makeCard(thief, ledger.epoch))
      ledger.learnProof(twoHeads(thief, epoch))
    }
    expect(one.ledger.books.bans.root).toBe(other.ledger.books.bans.root)
    const digests = [one, other].map(({ ledger }) => new Holdings(ledger).digest().bans)
    expect(digests[0]).toBe(digests[1])
  })

  it('that is its log itself is in what nodes compare, too, and no longer log of it is taken', async () => {
    const { ledger, stranger } = await openLedger()
    const forger = stranger()
    await ledger.learnCard(makeCard(forger, ledger.epoch))
    const head = headFormat.sign(forger.signer, {
      accountId: forger.id,
      epoch: ledger.epoch,
      length: 2,
      treeHash: '33'.repeat(32),
    })
    expect(ledger.learnHead(head)).toBe('new')
    const empty = new Holdings(ledger).digest().bans
    ledger.books.ban({ accountId: forger.id, reason: 'Entry 1 of its log: forged.', epoch: ledger.epoch })
    const holdings = new Holdings(ledger)
    expect(holdings.digest().bans).not.toBe(empty)
    expect(holdings.compare({ type: 'score-heads', ranges: [], held: [], bans: [] }).bans).toEqual([
      forger.id,
    ])
    const { signature: _, ...fields } = head
    const longer = headFormat.sign(forger.signer, { ...fields, length: 3 })
    expect(ledger.learnHead(longer)).toBe('known')
    expect(ledger.headOf(forger.id)).toEqual(head)
  })

  it('found in logs is nothing on which two nodes could differ until the account is introduced', async () => {
    const [one, other] = [await openLedger(), await openLedger()]
    const [client, worker] = [one.stranger(), one.stranger()]
    const { epoch } = one.ledger
    const promises = [1, 2].map(() =>
      makeReceipt({ client: client.signer, worker: worker.signer, epoch, offer: { spendSeq: 5 } }),
    )
    for (const receipt of promises) one.ledger.spending.received(receipt)
    // The other one was started again in between, and has nothing to compare with.
    for (const receipt of promises.slice(1)) other.ledger.spending.received(receipt)
    expect(one.ledger.books.isBanned(client.id)).toBe(true)
    const roots = () => [one, other].map(({ ledger }) => ledger.books.bans.root)
    expect(new Set(roots()).size).toBe(1)
    expect(one.ledger.banned().size).toBe(0)
    for (const { ledger } of [one, other]) await ledger.learnCard(makeCard(client, epoch))
    const [proof] = one.ledger.proofs()
    if (!proof) throw new Error('it is for all to hear now')
    expect(other.ledger.learnProof(proof)).toBe('new')
    expect(new Set(roots()).size).toBe(1)
    expect([one, other].map(({ ledger }) => [...ledger.banned().keys()])).toEqual([[client.id], [client.id]])
  })

  it('is not compared when only this node has fallen out with the account', async () => {
    const { ledger, stranger } = await openLedger()
    const empty = new Holdings(ledger).digest().bans
    ledger.books.ban({ accountId: stranger().id, reason: 'It lied here.', epoch: 1, isLocal: true })
    expect(new Holdings(ledger).digest().bans).toBe(empty)
  })
})
