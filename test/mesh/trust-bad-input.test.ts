import { describe, expect, it } from 'vitest'
import { Books } from '../../actors/trust/books.ts'
import { Deals } from '../../actors/trust/dealing/deals.ts'
import { Earnings } from '../../actors/trust/dealing/earnings.ts'
import { newcomer } from '../../machines/scheduling/index.ts'
import { toPrice } from '../../machines/trust/index.ts'
import { type Prompt, promptSchema } from '../../protocol/index.ts'
import {
  type Ack,
  ackFormat,
  cardFormat,
  type Head,
  headFormat,
  offerFormat,
  resultFormat,
  scoreStatementFormat,
  toName,
  toOutputCommit,
} from '../../protocol/trust/index.ts'
import { openLedger } from '../support/trust-ledger.ts'
import {
  createAccount,
  makeCard,
  makeReceipt,
  type TestAccount,
  toTestNetworkId,
  toTestParams,
} from '../support/trust-receipts.ts'
import { eventually } from '../support/eventually.ts'

const headOf = ({ signer }: TestAccount, epoch: number, length: number, mark = '11'): Head =>
  headFormat.sign(signer, { accountId: signer.id, epoch, length, treeHash: mark.repeat(32) })

const prompt: Prompt = promptSchema.parse({
  type: 'prompt',
  requestId: '0e'.repeat(16),
  modelId: 'tiny',
  modelHash: '0d'.repeat(32),
  messages: [{ role: 'user', content: 'Hello' }],
  sampling: { temperature: 0 },
  maxTokens: 200,
})

/** What a client with this much credit offers when its clock shows this time. */
function offerAt(wallMs: number, balance = 0) {
  const params = toTestParams(60)
  const networkId = toTestNetworkId(params, 'test')
  const [client, worker] = [createAccount(networkId), createAccount(networkId)]
  const deals = new Deals({
    signer: client.signer,
    params,
    isPeer: () => true,
    wallMs: () => wallMs,
    funds: () => ({ balance, line: 20_000, headLength: 0, headHash: '00'.repeat(16), spentSeq: 0 }),
    log: () => {},
    onWrongResult: () => {},
  })
  const deal = deals.begin(worker.id, prompt)
  if (!deal) throw new Error('an offer is made')
  const takeAt = (workerMs: number) =>
    new Earnings({
      signer: worker.signer,
      params,
      wallMs: () => workerMs,
      isFiled: () => false,
      file: () => {},
      execProfile: () => 255,
    }).begin(client.id, { ...prompt, evidence: deal.evidence })
  const offer = offerFormat.decode(Buffer.from(deal.evidence.offer, 'base64'))
  /** Ends the answer with a result as this worker signs it. */
  const finishAt = (price: number): Ack => {
    const tokens = [7]
    const result = resultFormat.sign(worker.signer, {
      offerHash: offerFormat.toHash(offer, networkId),
      outputCommit: toOutputCommit(Buffer.from(deal.evidence.salt, 'hex'), tokens),
      nIn: 10,
      nOut: 1,
      finish: 'stop',
      firstTokenMs: 1,
      totalMs: 2,
      price,
      execProfile: 255,
      epoch: offer.epoch,
    })
    deal.admitted(10)
    deal.took(tokens)
    const signed = deal.finish({
      reason: 'stop',
      promptTokens: 10,
      cachedTokens: 0,
      completionTokens: 1,
      queuedMs: 0,
      firstTokenMs: 1,
      totalMs: 2,
      evidence: Buffer.from(resultFormat.encode(result)).toString('base64'),
    })
    return ackFormat.decode(Buffer.from(signed ?? '', 'base64'))
  }
  return { offer, takeAt, finishAt }
}

describe('an offer', () => {
  const nowMs = 1_700_000_000_000
  const minuteMs = 60_000

  it('from a clock that is ten minutes off either way is taken', () => {
    for (const offMs of [-10 * minuteMs, 10 * minuteMs]) {
      expect(offerAt(nowMs).takeAt(nowMs + offMs)).toBeDefined()
    }
  })

  it('of long ago or of the future is refused, and the clock is named', () => {
    for (const offMs of [-30 * minuteMs, 30 * minuteMs, 365 * 24 * 60 * minuteMs]) {
      expect(() => offerAt(nowMs).takeAt(nowMs + offMs)).toThrow(
        expect.objectContaining({
          code: 'QM_OFFER_INVALID',
          message: expect.stringMatching(
            /is of epoch \d+, and here it is epoch \d+: set the clock/,
          ) as string,
        }),
      )
    }
  })

  it('promises nothing from a balance beyond the line', () => {
    for (const balance of [-20_000, -50_000, -1_000_000_000]) {
      const { offer } = offerAt(nowMs, balance)
      expect(offer).toMatchObject({ maxPrice: 0, flags: { isGratis: true } })
      expect(offer.balanceAfter).toBeLessThan(0)
    }
    expect(offerAt(nowMs, -10_000).offer.maxPrice).toBeGreaterThan(0)
  })
})

describe('a result', () => {
  it('that costs more than its tokens is not signed for', () => {
    const params = toTestParams(60)
    const price = toPrice(10, 1, params)
    expect(offerAt(1_700_000_000_000).finishAt(price).kind).toBe('final')
    expect(offerAt(1_700_000_000_000).finishAt(price + 1).kind).toBe('closing')
  })
})

describe('the books', () => {
  it('take one new card of an account an epoch, and no second log', async () => {
    const { ledger, stranger, advance, banned } = await openLedger()
    const other = stranger()
    const { epoch } = ledger
    const card = (seq: number) => makeCard(other, epoch, { seq, name: `name ${seq}` })
    expect(await ledger.learnCard(card(0))).toBe('new')
    expect(await ledger.learnCard(card(0))).toBe('known')
    expect(await ledger.learnCard(card(1))).toBe('new')
    for (let seq = 2; seq < 50; seq++) expect(await ledger.learnCard(card(seq))).toBe('later')
    expect(ledger.cardOf(other.id)?.seq).toBe(1)
    advance(1)
    expect(await ledger.learnCard(card(50))).toBe('new')
    expect(banned).toEqual([])

    const { vrfKey } = card(0)
    expect(await ledger.learnCard(makeCard(other, epoch, { seq: 51, logKey: vrfKey }))).toBe('new')
    expect(banned).toMatchObject([{ accountId: other.id, proof: { kind: 'two-cards' } }])
  })

  it('find two cards with one number', async () => {
    const { ledger, stranger, banned } = await openLedger()
    const other = stranger()
    await ledger.learnCard(makeCard(other, ledger.epoch, { name: 'one' }))
    expect(await ledger.learnCard(makeCard(other, ledger.epoch, { name: 'two' }))).toBe('new')
    expect(banned).toMatchObject([{ accountId: other.id, proof: { kind: 'two-cards' } }])
  })

  it('have no place for what is dated in the future', async () => {
    const { ledger, stranger, params, banned } = await openLedger()
    const [other, early] = [stranger(), stranger()]
    const tooFar = ledger.epoch + params.clockSkewEpochs + 1
    expect(await ledger.learnCard(makeCard(early, tooFar))).toBe('later')
    expect(ledger.cardOf(early.id)).toBeUndefined()
    await ledger.learnCard(makeCard(other, ledger.epoch))
    expect(ledger.learnHead(headOf(other, tooFar, 5))).toBe('later')
    expect(ledger.learnHead(headOf(other, 2 ** 32 - 1, 5))).toBe('later')
    expect(ledger.headOf(other.id)).toBeUndefined()
    expect(ledger.learnHead(headOf(other, tooFar - 1, 5))).toBe('new')
    expect(banned).toEqual([])
  })

  it('stay bounded however many cards come, and keep who did something', async () => {
    const { ledger, stranger } = await openLedger()
    const busy = stranger()
    await ledger.learnCard(makeCard(busy, ledger.epoch))
    ledger.learnHead(headOf(busy, ledger.epoch, 1))
    for (let count = 0; count < 1_200; count++) {
      expect(await ledger.learnCard(makeCard(stranger(), ledger.epoch))).toBe('new')
    }
    expect([...ledger.books.accounts()].length).toBeLessThanOrEqual(1_024)
    expect(ledger.headOf(busy.id)?.length).toBe(1)
    expect(ledger.books.get(ledger.ownId)).toBeDefined()
  })

  it('remember a bounded number of strangers as banned', () => {
    const books = new Books(toTestParams(60), () => 100)
    const idOf = (count: number) => count.toString(16).padStart(64, '0')
    for (let count = 0; count < 4_200; count++) {
      books.ban({ accountId: idOf(count), reason: 'It lied.', epoch: 1, isLocal: true })
    }
    expect(books.banRecords).toHaveLength(4_096)
    books.open(idOf(5_000))
    expect(books.ban({ accountId: idOf(5_000), reason: 'It lied.', epoch: 1 })).toBe(true)
  })

  it('ban for a false score, but no score depends on what only some have heard', async () => {
    const { ledger, account, stranger, banned } = await openLedger()
    const [client, liar] = [stranger(), stranger()]
    ledger.checked()
    ledger.file(makeReceipt({ client: client.signer, worker: account.signer, epoch: ledger.epoch }))
    expect(ledger.books.bans.size).toBe(0)
    const own = await eventually(() => {
      const statement = ledger.statementOf(ledger.ownId, ledger.epoch)
      if (!statement) throw new Error('not written yet')
      return statement
    })
    const { root } = ledger.books.bans
    const { signature: _, ...body } = own
    const state = (values: readonly number[]) =>
      scoreStatementFormat.sign(liar.signer, { ...body, values, signerId: liar.id })
    expect(ledger.learnStatement(state(own.values))).toBe('known')
    expect(ledger.learnStatement(state([1, 2, 3, 4, 5]))).toBe('new')
    expect(ledger.learnStatement(state([1, 2, 3, 4, 6]))).toBe('known')
    expect(banned).toMatchObject([{ accountId: liar.id, isLocal: true }])
    expect(ledger.books.isBanned(liar.id)).toBe(true)
    expect(ledger.precedenceOf(liar.id)).toEqual(newcomer)
    expect(ledger.books.bans.root).toBe(root)
  })

  it('find a promise that was made twice to this very node', async () => {
    const { ledger, account, stranger, banned } = await openLedger()
    const client = stranger().signer
    const receipt = (spendSeq: number) =>
      makeReceipt({ client, worker: account.signer, epoch: ledger.epoch, offer: { spendSeq } })
    ledger.checked()
    for (const spendSeq of [5, 6, 7]) ledger.file(receipt(spendSeq))
    await eventually(() => expect(ledger.headOf(ledger.ownId)?.length).toBe(4))
    expect(banned).toEqual([])
    ledger.file(receipt(6))
    await eventually(() => expect(banned).toMatchObject([{ accountId: client.id }]))
    expect(banned[0]?.proof?.kind).toBe('double-spend')
  })

  it('tell the owner once of a proof against this node itself, and do not ban it', async () => {
    const { ledger, account, accused, banned } = await openLedger()
    const { epoch } = ledger
    const fork = { kind: 'fork', a: headOf(account, epoch, 7), b: headOf(account, epoch, 7, '22') } as const
    expect(ledger.learnProof(fork)).toBe('known')
    expect(ledger.learnProof(fork)).toBe('known')
    expect(accused).toEqual([fork])
    expect(banned).toEqual([])
  })
})

describe('a name', () => {
  it('with terminal escapes is no evidence, and is cleaned where its owner means well', () => {
    const params = toTestParams(60)
    const account = createAccount(toTestNetworkId(params, 'test'))
    for (const name of ['\u001b[31mred', 'a\u0007b', 'gnp\u202eexe', 'two\nlines', '\u009b2J']) {
      expect(() => makeCard(account, 1, { name })).toThrow(
        expect.objectContaining({ code: 'QM_EVIDENCE_INVALID' }),
      )
      const honest = cardFormat.encode(makeCard(account, 1, { name: 'x'.repeat(Buffer.byteLength(name)) }))
      const forged = Buffer.from(honest)
      forged.write(name, forged.indexOf('x'.repeat(Buffer.byteLength(name))))
      expect(() => cardFormat.decode(forged)).toThrow(
        expect.objectContaining({ code: 'QM_EVIDENCE_INVALID' }),
      )
      // oxlint-disable-next-line no-control-regex
      expect(toName(name)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
    }
  })
})
