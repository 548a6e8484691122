import { performance } from 'node:perf_hooks'
import { EffortSolver } from '../../actors/request/effort-solver.ts'
import { EffortGate } from '../../actors/scheduling/effort-gate.ts'
import { Deals } from '../../actors/trust/dealing/deals.ts'
import { Earnings } from '../../actors/trust/dealing/earnings.ts'
import {
  applyEntry,
  BanSet,
  createAccountState,
  genesisParams as params,
  toScore,
} from '../../machines/trust/index.ts'
import { EffortHash, type Finish, inferenceNetwork, promptSchema, toTopic } from '../../protocol/index.ts'
import { encodeEntry, headFormat, isHeadValid, type Receipt } from '../../protocol/trust/index.ts'
import {
  createCard,
  createReceipt,
  epoch0,
  filed,
  networkId,
  workerId,
} from '../machines/trust/receipt-rig.ts'
import { client, networkId as sampleNetwork, sampleHead, worker } from '../protocol/trust/samples.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

const answers = 300
const answerTokens = 200
const receiptsMax = 100_000

/** One answer of 200 tokens as both books see it: offer, three ticks, result, last acknowledgement, receipt. */
function benchReceipts(): BenchRow[] {
  const filedReceipts: Receipt[] = []
  const deals = new Deals({
    signer: client,
    params,
    wallMs: Date.now,
    funds: () => ({ balance: 1e9, line: 0, headLength: 0, headHash: '00'.repeat(16), spentSeq: 0 }),
    isPeer: () => true,
    log: () => {},
    onWrongResult: (_worker, _request, detail) => {
      throw new Error(detail)
    },
  })
  const earnings = new Earnings({
    signer: worker,
    params,
    wallMs: Date.now,
    isFiled: () => false,
    file: (receipt) => filedReceipts.push(receipt),
    execProfile: () => 0,
  })
  const tokens = Array.from({ length: answerTokens }, (_, index) => index)
  const times: { readonly before: number; readonly all: number }[] = []
  const sizes: number[] = []
  for (let answer = 0; answer < answers; answer++) {
    const prompt = promptSchema.parse({
      type: 'prompt',
      requestId: answer.toString(16).padStart(32, '0'),
      modelId: 'tiny',
      modelHash: '0d'.repeat(32),
      messages: [{ role: 'user', content: 'What is the capital of France?' }],
      sampling: {},
      maxTokens: answerTokens,
    })
    const wire: string[] = []
    const keep = (evidence: string | undefined): string => {
      wire.push(evidence ?? '')
      return evidence ?? ''
    }
    const startMs = performance.now()
    const deal = deals.begin(worker.id, prompt)
    if (!deal) throw new Error('a client with funds makes an offer')
    const earning = earnings.begin(client.id, { ...prompt, evidence: deal.evidence })
    const offeredMs = performance.now()
    keep(deal.evidence.offer + deal.evidence.salt)
    for (let at = 0; at < answerTokens; at += 64) {
      const part = tokens.slice(at, at + 64)
      earning?.sent(part)
      deal.took(part)
      if (at + 64 < answerTokens) earnings.acked(client.id, prompt.requestId, keep(deal.tick()))
    }
    const result = {
      reason: 'stop' as const,
      promptTokens: 12,
      cachedTokens: 0,
      completionTokens: answerTokens,
      firstTokenMs: 1,
      totalMs: 2,
    }
    const evidence = keep(earning?.finished(result))
    const finish: Finish = { ...result, queuedMs: 0, evidence }
    earnings.acked(client.id, prompt.requestId, keep(deal.finish(finish)))
    times.push({ before: offeredMs - startMs, all: performance.now() - startMs })
    sizes.push(wire.reduce((sum, text) => sum + text.length, 0))
  }
  const [receipt] = filedReceipts
  if (filedReceipts.length !== answers || !receipt) throw new Error('an answer was not filed')
  const stored = encodeEntry({ type: 'receipt', epoch: receipt.result.epoch, receipt }).length
  return [
    {
      what: 'evidence of one answer of 200 tokens, both sides together',
      ours: median(times.map(({ all }) => all)),
      unit: 'ms',
      target: '≤ 1 ms',
      note: `${median(sizes)} bytes on the wire, ${stored} in the log; no message before the first token`,
    },
    {
      what: 'of that before the first token: an offer made and checked',
      ours: median(times.map(({ before }) => before)),
      unit: 'ms',
    },
  ]
}

function benchSignatures(): BenchRow[] {
  const rounds = 2_000
  const head = sampleHead()
  const { signature: _, ...body } = head
  const perSecond = (step: () => void): number => {
    const runs = Array.from({ length: 5 }, () => {
      const startMs = performance.now()
      for (let round = 0; round < rounds; round++) step()
      return (1_000 * rounds) / (performance.now() - startMs)
    })
    return median(runs)
  }
  return [
    { what: 'signatures made', ours: perSecond(() => headFormat.sign(worker, body)), unit: '/s' },
    { what: 'signatures checked', ours: perSecond(() => isHeadValid(head, sampleNetwork)), unit: '/s' },
  ]
}

function benchScore(): BenchRow[] {
  const context = { params, networkId }
  const entries = Array.from({ length: receiptsMax + 200 }, (_, index) =>
    filed(
      createReceipt({
        request: index + 1,
        client: 1 + (index % 50),
        epoch: epoch0 + Math.floor((index * 30 * 1_440) / receiptsMax),
      }),
    ),
  )
  const state = createAccountState(workerId)
  applyEntry(state, createCard(), context)
  const options = { params, bans: BanSet.empty }
  const scoreAt = (index: number): number => {
    const entry = entries[index]
    return toScore(state, entry?.type === 'receipt' ? entry.epoch + 1 : epoch0, options).s
  }
  const startMs = performance.now()
  for (const entry of entries.slice(0, receiptsMax)) applyEntry(state, entry, context)
  scoreAt(receiptsMax - 1)
  const coldMs = performance.now() - startMs
  const more = entries.slice(receiptsMax).map((entry, index) => {
    const beginMs = performance.now()
    applyEntry(state, entry, context)
    scoreAt(receiptsMax + index)
    return performance.now() - beginMs
  })
  return [
    {
      what: 'score of an account with 100,000 receipts, from nothing',
      ours: coldMs,
      unit: 'ms',
      target: '≤ 1,000 ms',
    },
    { what: 'the same after one more receipt', ours: median(more), unit: 'ms', target: '≤ 1 ms' },
  ]
}

/** What a full worker asks for, and what it costs both sides. */
async function benchEffort(): Promise<BenchRow[]> {
  const rounds = 200_000
  const network = toTopic({ network: inferenceNetwork })
  const hash = new EffortHash({
    network,
    workerId: worker.id,
    clientId: client.id,
    requestId: '0'.repeat(32),
    seed: '1'.repeat(32),
  })
  const hashUs = Array.from({ length: 5 }, () => {
    const startMs = performance.now()
    for (let nonce = 0; nonce < rounds; nonce++) hash.of(nonce)
    return (1_000 * (performance.now() - startMs)) / rounds
  })
  const gate = new EffortGate({
    workerId: worker.id,
    network,
    now: () => performance.now(),
    onChanged: () => {},
    graceMs: 0,
  })
  gate.ask(16)
  const solver = new EffortSolver(network, client.id)
  const times: number[] = []
  for (let round = 0; round < 100; round++) {
    const requestId = round.toString(16).padStart(32, '0')
    const startMs = performance.now()
    const effortNonce = await new Promise<string | undefined>((done) => {
      solver.search({ workerId: worker.id, requestId, asked: () => gate.asked, done })
    })
    times.push(performance.now() - startMs)
    if (gate.check(client.id, { requestId, effortNonce }) !== 'enough') throw new Error('the work is wrong')
  }
  const checks = 20_000
  const checkUs = Array.from({ length: 5 }, () => {
    const startMs = performance.now()
    for (let check = 0; check < checks; check++) {
      gate.check(client.id, { requestId: check.toString(16).padStart(32, '0'), effortNonce: 'f'.repeat(16) })
    }
    return (1_000 * (performance.now() - startMs)) / checks
  })
  return [
    { what: 'effort: one hash', ours: median(hashUs), unit: 'µs' },
    {
      what: 'effort: work for 16 bits, a client’s',
      ours: times.reduce((sum, ms) => sum + ms, 0) / times.length,
      unit: 'ms',
      note: 'mean of 100, the event loop turning',
    },
    { what: 'effort: a prompt that lacks it turned down, a worker’s', ours: median(checkUs), unit: 'µs' },
  ]
}

export const run = async (): Promise<BenchRow[]> => [
  ...benchReceipts(),
  ...benchSignatures(),
  ...benchScore(),
  ...(await benchEffort()),
]
