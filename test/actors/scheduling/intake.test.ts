import { describe, expect, it } from 'vitest'
import type {
  EngineHost,
  Generation,
  GenerationResult,
  TokenChunk,
} from '../../../actors/inference/engine.port.ts'
import type { ClientWire, Reception } from '../../../actors/peer/wire.ts'
import { Intake, type JobReport } from '../../../actors/scheduling/intake.ts'
import type { EarningsPort } from '../../../actors/scheduling/earnings.port.ts'
import type { Job } from '../../../actors/scheduling/job.ts'
import type { ServeTracer } from '../../../actors/scheduling/serve-tracer.port.ts'
import { newcomer, type Precedence } from '../../../machines/scheduling/index.ts'
import {
  defaultSampling,
  type ErrorCode,
  limits,
  type Prompt,
  QMeshError,
  type WorkerMessage,
} from '../../../protocol/index.ts'

import { withResolvers } from '../../support/with-resolvers.ts'

const modelHash = 'a'.repeat(64)
const result: GenerationResult = {
  reason: 'stop',
  promptTokens: 3,
  cachedTokens: 0,
  completionTokens: 2,
  firstTokenMs: 1,
  totalMs: 2,
}

const prompt = (requestId: number, over: Partial<Prompt> = {}): Prompt => ({
  type: 'prompt',
  requestId: requestId.toString(16).padStart(32, '0'),
  modelId: 'tiny',
  prompt: 'hi',
  sampling: defaultSampling,
  maxTokens: 8,
  stop: [],
  ...over,
})

/** An engine whose every answer the test decides, and an intake before it. */
interface RigOptions {
  readonly closedBecause?: ErrorCode
  readonly retryAfterMs?: number
  readonly embeddingSize?: number
  readonly admitted?: { readonly precedence: Precedence; readonly isEarned: boolean }
  readonly earnings?: EarningsPort
  readonly onDefect?: (error: unknown) => void
}

function createRig({
  closedBecause,
  retryAfterMs = 0,
  embeddingSize,
  admitted,
  earnings,
  onDefect,
}: RigOptions = {}) {
  const prepared = withResolvers<{ promptTokens: number }>()
  const finished = withResolvers<GenerationResult>()
  const calls = { released: [] as string[], cancelled: 0, acknowledged: [] as number[] }
  let onChunk: (chunk: TokenChunk) => void = () => {}
  const generation: Generation = {
    cancel: () => {
      calls.cancelled++
      finished.reject(new QMeshError('QM_CANCELLED'))
    },
    acknowledge: (tokens) => calls.acknowledged.push(tokens),
    finished: finished.promise,
  }
  const host: EngineHost = {
    model: {
      id: 'tiny',
      hash: modelHash,
      contextTokens: 512,
      slots: 1,
      backend: 'cpu',
      threads: 1,
      memoryMb: 1,
      embeddingSize,
    },
    prepare: () => prepared.promise,
    release: (jobId) => calls.released.push(jobId),
    generate: (_jobId, listener) => {
      onChunk = listener
      return generation
    },
    lost: new Promise(() => {}),
    close: () => Promise.resolve(),
  }
  const story: unknown[] = []
  const tracer: ServeTracer = {
    begin: ({ traceparent }, client) => {
      story.push([traceparent, client.tier])
      return {
        started: (queuedMs) => story.push(['started', queuedMs]),
        firstToken: () => story.push('firstToken'),
        ended: ({ tokens, code = 'answered' }) => story.push([code, tokens]),
      }
    },
  }
  const submitted: Job[] = []
  const withdrawn: string[] = []
  const intake = new Intake({
    hosts: new Map([['tiny', host]]),
    queue: { submit: (job) => submitted.push(job), cancel: (jobId) => withdrawn.push(jobId) },
    closedBecause: () => closedBecause,
    admit: () => ({ precedence: newcomer, retryAfterMs, ...admitted }),
    earnings,
    tracer,
    onDefect,
    stopSlot: () => generation.cancel(),
    now: () => 0,
  })
  const sent: WorkerMessage[] = []
  const wire: ClientWire = { peerId: 'c'.repeat(64), send: (message) => sent.push(message) }
  const reports: string[] = []
  const results: GenerationResult[] = []
  const report: JobReport = {
    firstToken: () => reports.push('firstToken'),
    finished: (finished) => {
      reports.push('finished')
      results.push(finished)
    },
    failed: ({ code }) => reports.push(code),
  }
  const settled = () => new Promise<void>((resolve) => void setImmediate(resolve))
  /** Brings one request as far as a slot. */
  const run = async (over: Partial<Prompt> = {}, from = wire) => {
    intake.received(from, prompt(1, over))
    prepared.resolve({ promptTokens: 3 })
    await settled()
    const [job] = submitted
    if (!job) throw new Error('nothing was submitted')
    intake.assigned(job.id, 'tiny/0', 12.4)
    intake.run(job.id, report)
    return job
  }
  return {
    intake,
    wire,
    sent,
    story,
    submitted,
    withdrawn,
    calls,
    prepared,
    finished,
    reports,
    results,
    run,
    settled,
    chunk: (c: TokenChunk) => onChunk(c),
  }
}

type Rig = ReturnType<typeof createRig>

const codesOf = (sent: readonly WorkerMessage[]) =>
  sent.map((message) => (message.type === 'inference_error' ? message.code : message.type))

describe('the precedence of a request', () => {
  const offering = (isGratis: boolean): EarningsPort => ({
    begin: () => ({ isGratis, sent: () => {}, finished: () => '', ended: () => {} }),
    acked: () => 'ok',
  })
  it.each([
    ['that its client pays for is the one it earned', offering(false), true, 4_100],
    ['for nothing is that of newcomers', offering(true), true, 5_000],
    ['without an offer is that of newcomers', undefined, true, 5_000],
    ['that the owner of the worker gave it stays', undefined, false, 4_100],
  ])('%s', async (_, earnings, isEarned, waitMs) => {
    const precedence = { tier: 'bronze', waitMs: 4_100 } as const
    const rig = createRig({ admitted: { precedence, isEarned }, ...(earnings && { earnings }) })
    expect((await rig.run()).precedence).toEqual({ tier: 'bronze', waitMs })
  })

  it('is not asked for an offer that is wrong: the client is told, and only nonsense is an offence', () => {
    const refusing = (code: ErrorCode): EarningsPort => ({
      begin: () => {
        throw new QMeshError(code)
      },
      acked: () => 'ok',
    })
    const late = createRig({ earnings: refusing('QM_OFFER_INVALID') })
    expect(late.intake.received(late.wire, prompt(1))).toBe('refused')
    const nonsense = createRig({ earnings: refusing('QM_EVIDENCE_INVALID') })
    expect(nonsense.intake.received(nonsense.wire, prompt(1))).toBe('violation')
    expect([...codesOf(late.sent), ...codesOf(nonsense.sent)]).toEqual([
      'QM_OFFER_INVALID',
      'QM_EVIDENCE_INVALID',
    ])
  })
})

describe('a defect in the books', () => {
  const fail = (): never => {
    throw new TypeError('the books are broken')
  }
  const sound = { isGratis: false, sent: () => {}, finished: () => 'AAAA', ended: () => {} }
  it.each<[string, EarningsPort]>([
    ['offers', { begin: fail, acked: () => 'ok' }],
    ['tokens', { begin: () => ({ ...sound, sent: fail }), acked: () => 'ok' }],
    ['results', { begin: () => ({ ...sound, finished: fail }), acked: () => 'ok' }],
    ['ends', { begin: () => ({ ...sound, ended: fail }), acked: () => 'ok' }],
    ['signatures', { begin: () => sound, acked: fail }],
  ])('about %s does not touch the answer, and is told once', async (_, earnings) => {
    const defects: unknown[] = []
    const rig = createRig({ earnings, onDefect: (error) => defects.push(error) })
    const job = await rig.run()
    rig.chunk({ tokens: [1, 2], text: 'ab' })
    rig.chunk({ tokens: [3], text: 'c' })
    const ack = { type: 'ack', requestId: job.prompt.requestId, received: 3, evidence: 'AAAA' } as const
    expect(rig.intake.received(rig.wire, ack)).toBe('ok')
    expect(rig.intake.received(rig.wire, ack)).toBe('ok')
    rig.finished.resolve(result)
    await rig.settled()
    expect(rig.sent.flatMap((message) => (message.type === 'response' ? message.tokens : []))).toEqual([
      1, 2, 3,
    ])
    expect(rig.sent.at(-1)).toMatchObject({ finish: { reason: 'stop' } })
    expect([rig.reports, rig.intake.size, defects.length]).toEqual([['firstToken', 'finished'], 0, 1])
  })

  it('in the middle of an answer leaves nothing signed for: some tokens would be missing', async () => {
    const calls: string[] = []
    const earning = {
      ...sound,
      sent: ([first]: readonly number[]) => (first === 1 ? fail() : void calls.push('sent')),
      finished: () => 'AAAA',
      ended: (isOwnFault: boolean) => void calls.push(`ended ${isOwnFault}`),
    }
    const rig = createRig({ earnings: { begin: () => earning, acked: () => 'ok' } })
    await rig.run()
    rig.chunk({ tokens: [1], text: 'a' })
    rig.chunk({ tokens: [2], text: 'b' })
    rig.finished.resolve(result)
    await rig.settled()
    const last = rig.sent.at(-1)
    expect(last?.type === 'response' && last.finish).toMatchObject({ reason: 'stop' })
    expect(last?.type === 'response' && last.finish?.evidence).toBeUndefined()
    expect(calls).toEqual(['ended true'])
  })

  it('that is found with a lost answer lets the slot go', async () => {
    const rig = createRig({ earnings: { begin: () => ({ ...sound, ended: fail }), acked: () => 'ok' } })
    await rig.run()
    rig.finished.reject(new QMeshError('QM_INFERENCE_FAILED'))
    await rig.settled()
    expect([rig.reports, rig.intake.size]).toEqual([['QM_INFERENCE_FAILED'], 0])
  })
})

describe('the trace of a request', () => {
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
  const resume = { tokens: [7, 8], chars: 2 }
  const begun = [[traceparent, 'bronze'], ['started', 12.4], 'firstToken']

  it('goes from its arrival over the slot to its end, and counts what was given here', async () => {
    const rig = createRig()
    await rig.run({ traceparent, modelHash, resume })
    rig.chunk({ tokens: [1, 2, 3], text: 'abc' })
    rig.finished.resolve({ ...result, completionTokens: 5 })
    await rig.settled()
    expect(rig.story.slice(0, 4)).toEqual([...begun, ['answered', 3]])
  })

  it.each([
    ['its client leaves', 'QM_CANCELLED', (rig: Rig) => rig.intake.closed(rig.wire)],
    ['the worker stops', 'QM_DRAINING', (rig: Rig) => rig.intake.refuseAll('QM_DRAINING')],
    [
      'the engine fails',
      'QM_ENGINE_HUNG',
      (rig: Rig) => rig.finished.reject(new QMeshError('QM_ENGINE_HUNG')),
    ],
  ])('ends with the reason when %s: %s', async (_, code, end) => {
    const rig = createRig()
    await rig.run({ traceparent })
    rig.chunk({ tokens: [1], text: 'a' })
    end(rig)
    await rig.settled()
    // What comes after the first end says nothing.
    expect(rig.story.slice(0, 4)).toEqual([...begun, [code, 1]])
  })

  it.each(['refused', 'not prepared'])('ends with the reason when it is %s', async (how) => {
    const rig = createRig()
    rig.intake.received(rig.wire, prompt(1))
    if (how === 'refused') rig.prepared.resolve({ promptTokens: 3 })
    else rig.prepared.reject(new QMeshError('QM_CONTEXT_EXCEEDED'))
    await rig.settled()
    if (how === 'refused') rig.intake.refused(rig.submitted[0]?.id ?? '', 'QM_QUEUE_FULL')
    const code = how === 'refused' ? 'QM_QUEUE_FULL' : 'QM_CONTEXT_EXCEEDED'
    expect(rig.story.slice(0, 2)).toEqual([
      [undefined, 'bronze'],
      [code, 0],
    ])
  })
})

describe('the intake', () => {
  it('carries a request from prompt to finish, tokens numbered without a gap', async () => {
    const rig = createRig()
    const job = await rig.run()
    rig.intake.moved(job.id, 0, 5)
    rig.chunk({ tokens: [1, 2], text: 'ab' })
    rig.chunk({ tokens: [3], text: 'c' })
    rig.finished.resolve(result)
    await rig.settled()
    expect(rig.sent).toMatchObject([
      { type: 'queue-status', position: 0, promptTokens: 3 },
      { type: 'response', seq: 0, tokens: [1, 2], text: 'ab' },
      { type: 'response', seq: 2, tokens: [3], text: 'c' },
      { type: 'response', seq: 3, tokens: [], finish: { reason: 'stop', queuedMs: 12 } },
    ])
    expect(rig.reports).toEqual(['firstToken', 'finished'])
    expect(rig.intake.size).toBe(0)
  })

  it('splits what is too much for one frame', async () => {
    const rig = createRig()
    await rig.run()
    const tokens = Array.from({ length: limits.responseTokensMax * 2 + 1 }, (_, index) => index)
    rig.chunk({ tokens, text: 'x'.repeat(limits.responseCharsMax + 5) })
    const frames = rig.sent.filter((message) => message.type === 'response')
    expect(frames.flatMap((frame) => frame.tokens)).toEqual(tokens)
    expect(frames.map(({ text }) => text).join('')).toHaveLength(limits.responseCharsMax + 5)
    expect(frames.map(({ seq }) => seq)).toEqual([0, limits.responseTokensMax, limits.responseTokensMax * 2])
  })

  it.each([
    ['a model it does not hold', {}, { modelId: 'other' }, 'QM_MODEL_UNKNOWN'],
    ['other weights of that name', {}, { modelHash: 'b'.repeat(64) }, 'QM_MODEL_UNKNOWN'],
    [
      'to go on with an answer of other weights',
      {},
      { modelHash: 'b'.repeat(64), resume: { tokens: [1], chars: 1 } },
      'QM_MODEL_UNKNOWN',
    ],
    ['anything while overloaded', { closedBecause: 'QM_OVERLOADED' as const }, {}, 'QM_OVERLOADED'],
    ['more than the rate', { retryAfterMs: 250 }, {}, 'QM_RATE_LIMITED'],
  ])('refuses %s with a code', (_, options, over, code) => {
    const rig = createRig(options)
    expect(rig.intake.received(rig.wire, prompt(1, over))).toBe('refused')
    expect(codesOf(rig.sent)).toEqual([code])
    expect(rig.intake.size).toBe(0)
  })

  it('counts the same request id twice, and an acknowledgement ahead of what was sent, as violations', async () => {
    const rig = createRig()
    const { prompt: sent } = await rig.run()
    expect(rig.intake.received(rig.wire, sent)).toBe('violation')
    rig.chunk({ tokens: [1], text: 'a' })
    const ack = (received: number) =>
      rig.intake.received(rig.wire, { type: 'ack', requestId: sent.requestId, received })
    expect(ack(2)).toBe('violation')
    expect(ack(1)).toBe('ok')
    expect(rig.calls.acknowledged).toEqual([1])
  })

  it('goes on numbering a resumed answer, and counts an acknowledgement ahead of it as a violation', async () => {
    const rig = createRig()
    const resume = { tokens: [7, 8, 9], chars: 3 }
    const { prompt: sent } = await rig.run({ modelHash, resume })
    const ack = (received: number) =>
      rig.intake.received(rig.wire, { type: 'ack', requestId: sent.requestId, received })
    expect(ack(4)).toBe('violation')
    expect(ack(3)).toBe('ok')
    rig.chunk({ tokens: [1], text: 'a' })
    expect(ack(4)).toBe('ok')
    expect(rig.sent.at(-1)).toMatchObject({ type: 'response', seq: 3, tokens: [1] })
  })

  it('lets a message for a request that has ended pass as a crossing', () => {
    const rig = createRig()
    const { requestId } = prompt(9)
    expect(rig.intake.received(rig.wire, { type: 'ack', requestId, received: 1 })).toBe('late')
    expect(rig.intake.received(rig.wire, { type: 'cancel', requestId })).toBe('late')
    expect(rig.sent).toEqual([])
  })

  it('bounds what one client may have open', () => {
    const rig = createRig()
    const receptions = Array.from({ length: limits.requestsPerPeerMax + 1 }, (_, index) =>
      rig.intake.received(rig.wire, prompt(index)),
    )
    expect(receptions.filter((reception) => reception === 'ok')).toHaveLength(limits.requestsPerPeerMax)
    expect(receptions.at(-1)).toBe('refused')
    expect(codesOf(rig.sent)).toEqual(['QM_RATE_LIMITED'])
    expect(rig.intake.size).toBe(limits.requestsPerPeerMax)
  })

  describe('for a client that has open as many as it may', () => {
    const fill = async (onResponse: () => void = () => {}) => {
      const rig = createRig()
      const open = (index: number): Reception => rig.intake.received(wire, prompt(index))
      const wire: ClientWire = {
        ...rig.wire,
        send: (message) => void (message.type === 'response' && onResponse()),
      }
      await rig.run({}, wire)
      for (let index = 2; index <= limits.requestsPerPeerMax; index++) expect(open(index)).toBe('ok')
      expect(open(65)).toBe('refused')
      return { rig, wire, open }
    }

    it('has room as soon as one is cancelled, while its slot has yet to stop', async () => {
      const { rig, wire, open } = await fill()
      rig.intake.received(wire, { type: 'cancel', requestId: prompt(1).requestId })
      expect(rig.reports).toEqual([])
      expect([open(65), open(66)]).toEqual(['ok', 'refused'])
    })

    it('has room when the end of an answer reaches it, even one that asks again in the same breath', async () => {
      const receptions: Reception[] = []
      const { rig, open } = await fill(() => receptions.push(open(65), open(66)))
      rig.finished.resolve({ ...result, completionTokens: 0 })
      await rig.settled()
      expect(receptions).toEqual(['ok', 'refused'])
    })
  })

  it('holds nothing against a client whose request finds the queue full', async () => {
    const rig = createRig()
    expect(rig.intake.received(rig.wire, prompt(1))).toBe('ok')
    rig.prepared.resolve({ promptTokens: 3 })
    await rig.settled()
    rig.intake.refused(rig.submitted[0]?.id ?? '', 'QM_QUEUE_FULL')
    expect(codesOf(rig.sent)).toEqual(['QM_QUEUE_FULL'])
  })

  it.each([
    ['fast', 'is booked as read with the prompt', { promptTokens: 6, completionTokens: 2 }],
    ['exact', 'is booked as written, for it took as long', { promptTokens: 3, completionTokens: 5 }],
  ] as const)('what a resume, %s, takes up %s', async (resumeMode, _, booked) => {
    const rig = createRig()
    await rig.run({ modelHash, resume: { tokens: [7, 8, 9], chars: 3 } })
    rig.finished.resolve({ ...result, completionTokens: 5, resumeMode })
    await rig.settled()
    expect(rig.results).toMatchObject([booked])
  })

  it('answers a failed preparation and forgets the request', async () => {
    const rig = createRig()
    rig.intake.received(rig.wire, prompt(1))
    rig.prepared.reject(new QMeshError('QM_CONTEXT_EXCEEDED', '600 tokens do not fit 512'))
    await rig.settled()
    expect(rig.sent).toMatchObject([{ code: 'QM_CONTEXT_EXCEEDED', message: '600 tokens do not fit 512' }])
    expect(rig.intake.size).toBe(0)
  })

  it.each([
    ['while it is prepared', 'preparing'],
    ['while it waits', 'waiting'],
    ['while it runs', 'running'],
  ])('gives up a request whose client goes away %s', async (_, phase) => {
    const rig = createRig()
    if (phase === 'running') await rig.run()
    else rig.intake.received(rig.wire, prompt(1))
    if (phase === 'waiting') {
      rig.prepared.resolve({ promptTokens: 3 })
      await rig.settled()
    }
    rig.intake.closed(rig.wire)
    rig.prepared.resolve({ promptTokens: 3 })
    await rig.settled()
    expect(rig.intake.size).toBe(0)
    expect(rig.sent).toEqual([])
    expect(rig.withdrawn).toHaveLength(phase === 'waiting' ? 1 : 0)
    expect(rig.calls.released).toHaveLength(phase === 'running' ? 0 : 1)
    expect(rig.calls.cancelled).toBe(phase === 'running' ? 1 : 0)
    expect(rig.submitted).toHaveLength(phase === 'preparing' ? 0 : 1)
  })

  it('refuses a request for another kind of model, and says what would do', () => {
    const chat = createRig()
    const { prompt: _, ...texts } = prompt(1, { embed: ['hi'] })
    expect(chat.intake.received(chat.wire, texts)).toBe('refused')
    expect(chat.sent).toMatchObject([
      { code: 'QM_MODEL_KIND', message: expect.stringContaining('makes no embeddings') },
    ])
    const embedder = createRig({ embeddingSize: 4 })
    expect(embedder.intake.received(embedder.wire, prompt(1))).toBe('refused')
    expect(embedder.sent).toMatchObject([
      { code: 'QM_MODEL_KIND', message: expect.stringContaining('/v1/embeddings') },
    ])
    expect([chat.intake.size, embedder.intake.size]).toEqual([0, 0])
  })

  it('sends embeddings to the client, and to nobody else', async () => {
    const rig = createRig({ embeddingSize: 4 })
    const { prompt: _, ...texts } = prompt(1, { embed: ['hi'] })
    await rig.run(texts)
    rig.finished.resolve({ ...result, completionTokens: 0, embeddings: 'AAAA' })
    await rig.settled()
    expect(rig.sent).toMatchObject([
      { type: 'response', tokens: [], finish: { embeddings: 'AAAA', queuedMs: 12 } },
    ])
    expect(rig.reports).toEqual(['finished'])
    expect(rig.results[0]).not.toHaveProperty('embeddings')
  })

  it("keeps the operator's troubles from peers", async () => {
    const rig = createRig()
    await rig.run()
    rig.finished.reject(new QMeshError('QM_INTERNAL', 'a path of this machine: /somewhere'))
    await rig.settled()
    expect(rig.sent).toMatchObject([
      { code: 'QM_INFERENCE_FAILED', message: 'The inference engine reported an error.' },
    ])
    expect(rig.reports).toEqual(['QM_INTERNAL'])
  })

  it('leaves alone what came over a newer wire of the same peer', () => {
    const rig = createRig()
    const newer: ClientWire = { peerId: rig.wire.peerId, send: () => {} }
    rig.intake.received(rig.wire, prompt(1))
    rig.intake.received(newer, prompt(2))
    rig.intake.closed(rig.wire)
    expect(rig.intake.size).toBe(1)
  })

  it('refuses once, and for good, what is still being prepared when the worker stops', async () => {
    const rig = createRig()
    rig.intake.received(rig.wire, prompt(1))
    rig.intake.refuseAll('QM_DRAINING')
    rig.prepared.resolve({ promptTokens: 3 })
    await rig.settled()
    expect(codesOf(rig.sent)).toEqual(['QM_DRAINING'])
    expect(rig.submitted).toEqual([])
    expect(rig.calls.released).toHaveLength(1)
  })

  it.each([
    [
      'that it refused',
      (rig: ReturnType<typeof createRig>) => rig.intake.refuseAll('QM_DRAINING'),
      ['QM_DRAINING'],
    ],
    [
      'that its client cancelled',
      (rig: ReturnType<typeof createRig>) =>
        void rig.intake.received(rig.wire, { type: 'cancel', requestId: prompt(1).requestId }),
      [],
    ],
  ])(
    'has the last word on a request %s while the end was on its way from the engine',
    async (_, end, codes) => {
      const rig = createRig()
      await rig.run()
      rig.finished.resolve(result)
      end(rig)
      rig.chunk({ tokens: [1], text: 'a' })
      await rig.settled()
      expect(codesOf(rig.sent)).toEqual(codes)
      expect(rig.intake.size).toBe(0)
      expect(rig.reports.at(-1)).toBe('finished')
    },
  )

  it('ends everything when the worker stops', async () => {
    const rig = createRig()
    await rig.run()
    rig.intake.refuseAll('QM_DRAINING')
    await rig.settled()
    expect(codesOf(rig.sent)).toEqual(['QM_DRAINING'])
    expect(rig.calls.cancelled).toBe(1)
    expect(rig.intake.size).toBe(0)
  })
})
