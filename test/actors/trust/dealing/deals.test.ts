import { describe, expect, it } from 'vitest'
import { Deals, type Funds } from '../../../../actors/trust/dealing/deals.ts'
import { Earnings, type EarningsPorts } from '../../../../actors/trust/dealing/earnings.ts'
import { genesisParams as params, toPrice } from '../../../../machines/trust/index.ts'
import { type Finish, type Prompt, promptSchema, toOpaqueHash } from '../../../../protocol/index.ts'
import {
  checkReceipt,
  offerFormat,
  type PaidEntry,
  type Receipt,
  resultFormat,
  toOutputCommit,
  toReceiptId,
} from '../../../../protocol/trust/index.ts'
import { client, networkId, signerOf, worker } from '../../../protocol/trust/samples.ts'

/** In another network. */
const stranger = signerOf(8)
const modelHash = '0d'.repeat(32)
const startMs = 1_700_000_000_000

const promptOf = (requestNumber: number, given: Partial<Prompt> = {}): Prompt =>
  promptSchema.parse({
    type: 'prompt',
    requestId: requestNumber.toString(16).padStart(32, '0'),
    modelId: 'tiny',
    modelHash,
    messages: [{ role: 'user', content: 'Hello' }],
    sampling: { temperature: 0 },
    maxTokens: 200,
    ...given,
  })

/** A client's book and a worker's, and the wall clock of each. */
function createRig(
  funds: Partial<Funds> = {},
  looks: Pick<EarningsPorts, 'contradictionOf' | 'isSpent'> = {},
) {
  const clocks = { client: startMs, worker: startMs }
  const filed: Receipt[] = []
  const paid: PaidEntry[] = []
  const wrong: string[] = []
  const deals = new Deals({
    signer: client,
    params,
    wallMs: () => clocks.client,
    funds: () => ({
      balance: 0,
      line: 20_000,
      headLength: 0,
      headHash: '00'.repeat(16),
      spentSeq: 0,
      ...funds,
    }),
    isPeer: (workerId) => workerId !== stranger.id,
    log: (entry) => paid.push(entry),
    onWrongResult: (_worker, _request, detail) => wrong.push(detail),
  })
  const earnings = new Earnings({
    signer: worker,
    params,
    wallMs: () => clocks.worker,
    isFiled: (receiptId) => filed.some(({ offer }) => toReceiptId(offer, networkId) === receiptId),
    file: (receipt) => filed.push(receipt),
    execProfile: () => 0,
    ...looks,
  })
  const open = (prompt: Prompt) => {
    const deal = deals.begin(worker.id, prompt)
    if (!deal) throw new Error('a client with funds makes an offer')
    const earning = earnings.begin(client.id, { ...prompt, evidence: deal.evidence })
    if (!earning) throw new Error('an offer is taken')
    const send = (tokens: readonly number[]): void => {
      earning.sent(tokens)
      deal.took(tokens)
    }
    const sign = (evidence: string | undefined) => earnings.acked(client.id, prompt.requestId, evidence ?? '')
    deal.admitted(10)
    return { deal, earning, send, sign }
  }
  return { clocks, filed, paid, wrong, deals, earnings, open }
}

/** One answer under way, with its books. */
function openWith(given: Partial<Prompt>) {
  const rig = createRig()
  return { ...rig, ...rig.open(promptOf(1, given)) }
}

const tokensOf = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

const finishOf = (tokens: number, evidence: string): Finish => ({
  reason: 'stop',
  promptTokens: 10,
  cachedTokens: 0,
  completionTokens: tokens,
  queuedMs: 0,
  firstTokenMs: 1,
  totalMs: 2,
  evidence,
})

const resultOf = (tokens: number) => ({
  reason: 'stop' as const,
  promptTokens: 10,
  cachedTokens: 0,
  completionTokens: tokens,
  firstTokenMs: 1,
  totalMs: 2,
})

describe('an answer between a client and a worker', () => {
  it('that is complete is filed with both signatures, and paid with its burn', () => {
    const rig = createRig()
    const { deal, earning, send, sign } = rig.open(promptOf(1))
    send(tokensOf(100))
    expect(sign(deal.tick())).toBe('ok')
    send(tokensOf(30))
    const final = deal.finish(finishOf(130, earning.finished(resultOf(130))))
    expect(rig.filed).toEqual([])
    expect(sign(final)).toBe('ok')
    const price = toPrice(10, 130, params)
    expect(rig.filed).toMatchObject([
      { result: { nIn: 10, nOut: 130, price, finish: 'stop' }, ack: { kind: 'final', received: 130 } },
    ])
    expect(rig.filed.map((receipt) => checkReceipt(receipt, networkId))).toEqual([undefined])
    expect(rig.paid).toMatchObject([{ workerId: worker.id, amount: price + price / 20 }])
    expect(rig.deals.reserved).toBe(0)
  })

  it('that the client cancels is paid up to there', () => {
    const rig = createRig()
    const { deal, earning, send, sign } = rig.open(promptOf(1))
    send(tokensOf(70))
    expect(sign(deal.close())).toBe('ok')
    earning.ended(false, 10)
    expect(rig.filed).toMatchObject([
      { result: { finish: 'partial', nOut: 70 }, ack: { kind: 'closing', received: 70 } },
    ])
    expect(rig.paid).toHaveLength(1)
    expect(rig.paid[0]?.amount).toBe(toPrice(10, 70, params) * 1.05)
  })

  it('whose client goes away is filed by half after two epochs, and not before', () => {
    const rig = createRig()
    const { deal, earning, send, sign } = rig.open(promptOf(1))
    send(tokensOf(64))
    sign(deal.tick())
    send(tokensOf(30))
    earning.ended(false, 10)
    rig.clocks.worker += 60_000
    rig.earnings.sweep()
    expect(rig.filed).toEqual([])
    rig.clocks.worker += 60_000
    rig.earnings.sweep()
    expect(rig.filed).toMatchObject([{ result: { nOut: 94 }, ack: { kind: 'tick', received: 64 } }])
    rig.earnings.sweep()
    expect(rig.filed).toHaveLength(1)
  })

  it('that the worker broke off earns what the client signs for, and nothing without its word', () => {
    const rig = createRig()
    const kept = rig.open(promptOf(1))
    kept.send(tokensOf(20))
    kept.earning.ended(true, 10)
    expect(kept.sign(kept.deal.close())).toBe('ok')
    expect(rig.filed).toMatchObject([{ ack: { kind: 'closing', received: 20 } }])
    const silent = rig.open(promptOf(2))
    silent.send(tokensOf(20))
    silent.earning.ended(true, 10)
    rig.earnings.close()
    expect(rig.filed).toHaveLength(1)
  })

  it('that never began costs nothing', () => {
    const rig = createRig()
    const { deal, earning, sign } = rig.open(promptOf(1))
    earning.ended(true, 10)
    expect(sign(deal.close())).toBe('late')
    rig.earnings.close()
    expect([rig.filed, rig.paid]).toEqual([[], []])
    expect(rig.deals.reserved).toBe(0)
  })

  it('that was taken over is paid to each worker for its part', () => {
    const rig = createRig()
    const { deal, earning, send, sign } = rig.open(
      promptOf(1, { resume: { tokens: tokensOf(64), chars: 64 } }),
    )
    send(tokensOf(10))
    sign(deal.finish(finishOf(74, earning.finished(resultOf(74)))))
    expect(rig.filed).toMatchObject([{ offer: { resumed: 64, maxOut: 136 }, result: { nOut: 10 } }])
  })

  it('whose result is another than what came is not signed for as a whole', () => {
    const rig = createRig()
    const { deal, earning, send, sign } = rig.open(promptOf(1))
    send(tokensOf(10))
    earning.sent([11])
    expect(sign(deal.finish(finishOf(10, earning.finished(resultOf(11)))))).toBe('ok')
    expect(rig.wrong).toEqual(['it says 11 tokens, and 10 came'])
    expect(rig.filed).toMatchObject([{ ack: { kind: 'closing', received: 10 } }])
  })

  it.each([-10, 10])('is filed though the clocks differ by %d minutes', (minutes) => {
    const rig = createRig()
    rig.clocks.worker += minutes * 60_000
    const { deal, earning, send, sign } = rig.open(promptOf(1))
    send(tokensOf(3))
    expect(sign(deal.finish(finishOf(3, earning.finished(resultOf(3)))))).toBe('ok')
    expect(rig.filed).toHaveLength(1)
  })
})

describe('a worker refuses an offer', () => {
  const prompt = promptOf(1)
  const offerOf = (given: { rig?: ReturnType<typeof createRig>; to?: string; for?: Prompt } = {}) => {
    const { rig = createRig(), to = worker.id, for: offered = prompt } = given
    const evidence = rig.deals.begin(to, offered)?.evidence
    return { rig, evidence }
  }
  const late = createRig()
  late.clocks.client -= 21 * 60_000

  it.each([
    ['to another worker', offerOf({ to: signerOf(9).id }), 'was made to another worker'],
    ['for another request', offerOf({ for: promptOf(2) }), 'is for another request'],
    [
      'for another model',
      offerOf({ for: promptOf(1, { modelHash: '0e'.repeat(32) }) }),
      'is for another model',
    ],
    ['for another length', offerOf({ for: promptOf(1, { maxTokens: 201 }) }), 'is for another length'],
    [
      'for another prompt',
      offerOf({ for: promptOf(1, { messages: [{ role: 'user', content: 'Hi' }] }) }),
      'is for another prompt',
    ],
    ['of another time', offerOf({ rig: late }), 'set the clock'],
  ])('%s', (_, { rig, evidence }, reason) => {
    expect(() => rig.earnings.begin(client.id, { ...prompt, ...(evidence && { evidence }) })).toThrow(
      expect.objectContaining({
        code: 'QM_OFFER_INVALID',
        message: expect.stringContaining(reason) as string,
      }) as Error,
    )
  })

  it('of somebody else', () => {
    const { rig, evidence } = offerOf()
    expect(() => rig.earnings.begin(signerOf(9).id, { ...prompt, ...(evidence && { evidence }) })).toThrow(
      /another client/,
    )
  })

  it('that was made before, also after its answer was filed', () => {
    const { rig, evidence } = offerOf()
    const again = () => rig.earnings.begin(client.id, { ...prompt, ...(evidence && { evidence }) })
    again()?.ended(true, 10)
    expect(again).toThrow(/was made before/)
    rig.clocks.worker += 10 * 60_000
    rig.earnings.sweep()
    expect(again).toThrow(/was made before/)
  })

  it('that its client’s log contradicts', () => {
    const rig = createRig({}, { contradictionOf: ({ balanceAfter }) => `claims ${balanceAfter}` })
    expect(() => rig.open(prompt)).toThrow(/the offer claims -/)
  })

  it('in nothing but its rank when the client has spent what it hides', () => {
    expect(createRig({ balance: 1_000_000 }, { isSpent: () => true }).open(prompt).earning.isGratis).toBe(
      true,
    )
    expect(createRig({ balance: 1_000_000 }, { isSpent: () => false }).open(prompt).earning.isGratis).toBe(
      false,
    )
  })

  it('that is no offer', () => {
    const { rig } = offerOf()
    const evidence = { offer: Buffer.from('nonsense').toString('base64'), salt: '00'.repeat(16) }
    expect(() => rig.earnings.begin(client.id, { ...prompt, evidence })).toThrow(
      expect.objectContaining({ code: 'QM_EVIDENCE_INVALID' }) as Error,
    )
  })

  it('and serves a client that makes none', () => {
    expect(createRig().earnings.begin(client.id, prompt)).toBeUndefined()
  })
})

describe('a worker takes no acknowledgement', () => {
  it('that is forged, shrinks, or goes beyond what was sent', () => {
    const rig = createRig()
    const one = rig.open(promptOf(1))
    const other = rig.open(promptOf(2))
    one.send(tokensOf(10))
    other.send(tokensOf(10))
    const early = one.deal.tick()
    one.send(tokensOf(10))
    expect(one.sign(one.deal.tick())).toBe('ok')
    expect(one.sign(early)).toBe('violation')
    expect(one.sign(other.deal.tick())).toBe('violation')
    expect(one.sign(Buffer.from('nonsense').toString('base64'))).toBe('violation')
    one.deal.took([1])
    expect(one.sign(one.deal.tick())).toBe('violation')
    expect(rig.earnings.acked(signerOf(9).id, promptOf(1).requestId, early ?? '')).toBe('late')
  })
})

describe('a client', () => {
  it('promises no more than it has, and asks for nothing in return for nothing when that is used up', () => {
    const rig = createRig({ balance: -12_000 })
    const flags: boolean[] = []
    for (let request = 0; request < 4; request++) {
      flags.push(rig.open(promptOf(request, { maxTokens: 256 })).earning.isGratis)
    }
    expect(flags).toEqual([false, true, true, true])
    expect(rig.deals.reserved).toBeLessThanOrEqual(8_000)
  })

  it('never makes the same promise twice, even when its clock is set back', () => {
    const rig = createRig({ balance: 1_000_000 })
    const numbers = [0, -3_600_000, 0, 5].map((changeMs, request) => {
      rig.clocks.client += changeMs
      rig.clocks.worker = rig.clocks.client
      const { earning, sign, deal, send } = rig.open(promptOf(request))
      send([1])
      sign(deal.finish(finishOf(1, earning.finished(resultOf(1)))))
      return rig.filed.at(-1)?.offer.spendSeq ?? 0
    })
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(new Set(numbers).size).toBe(4)
  })

  it('goes on behind the last number that its log holds, though the clock was set back over a restart', () => {
    const rig = createRig({ spentSeq: startMs + 5_000 })
    const { earning, sign, deal, send } = rig.open(promptOf(1))
    send([1])
    sign(deal.finish(finishOf(1, earning.finished(resultOf(1)))))
    expect(rig.filed[0]?.offer.spendSeq).toBe(startMs + 5_001)
  })

  it.each([
    ['greedy', { temperature: 0 }, { isAuditable: true, isPrivate: false }],
    ['seeded', { temperature: 1, seed: 7 }, { isAuditable: true, isPrivate: false }],
    ['drawn by chance', { temperature: 1 }, { isAuditable: false, isPrivate: false }],
  ])('lets an answer be audited that can be done again: %s', (_, sampling, flags) => {
    const { earning, sign, deal, send, ...rig } = openWith({
      sampling: { ...promptOf(1).sampling, ...sampling },
    })
    send([1])
    sign(deal.finish(finishOf(1, earning.finished(resultOf(1)))))
    expect(rig.filed[0]?.offer.flags).toMatchObject(flags)
  })

  it('says of an answer of an opaque model that it cannot be audited', () => {
    const { earning, sign, deal, send, ...rig } = openWith({ modelHash: toOpaqueHash('openai', 'x') })
    send([1])
    sign(deal.finish(finishOf(1, earning.finished(resultOf(1)))))
    expect(rig.filed[0]?.offer.flags).toMatchObject({ isAuditable: false })
  })

  it('signs for no more tokens of a prompt than its text can give', () => {
    const prompt = promptOf(1)
    const most = 'Hello'.length + 64 + 16
    const honest = openWith({})
    honest.deal.admitted(5_000)
    honest.send([1])
    const result = honest.earning.finished({ ...resultOf(1), promptTokens: 5_000 })
    honest.sign(honest.deal.finish({ ...finishOf(1, result), promptTokens: 5_000 }))
    expect(honest.wrong).toEqual([])
    expect(honest.filed).toMatchObject([{ result: { nIn: most }, ack: { kind: 'final' } }])
    expect(honest.paid).toMatchObject([{ amount: toPrice(most, 1, params) * 1.05 }])

    const greedy = createRig()
    const { deal, send } = greedy.open(prompt)
    deal.admitted(5_000)
    send([1])
    const offer = offerFormat.decode(Buffer.from(deal.evidence.offer, 'base64'))
    const stated = resultFormat.sign(worker, {
      offerHash: offerFormat.toHash(offer, networkId),
      outputCommit: toOutputCommit(Buffer.from(deal.evidence.salt, 'hex'), [1]),
      nIn: 5_000,
      nOut: 1,
      finish: 'stop',
      firstTokenMs: 1,
      totalMs: 2,
      price: toPrice(10, 1, params),
      execProfile: 0,
      epoch: offer.epoch,
    })
    const evidence = Buffer.from(resultFormat.encode(stated)).toString('base64')
    deal.finish({ ...finishOf(1, evidence), promptTokens: 5_000 })
    expect(greedy.wrong).toEqual(['it counts the prompt in another way than the answer'])
    expect(greedy.paid).toMatchObject([{ amount: toPrice(most, 1, params) * 1.05 }])
  })

  it('makes no offer to itself, nor to a worker that keeps books by other rules', () => {
    const { deals } = createRig()
    expect(deals.begin(client.id, promptOf(1))).toBeUndefined()
    expect(deals.begin(stranger.id, promptOf(1))).toBeUndefined()
    // Nothing is written that a receipt could count.
    expect(deals.begin(worker.id, promptOf(1, { messages: undefined, embed: ['a'] }))).toBeUndefined()
  })
})
