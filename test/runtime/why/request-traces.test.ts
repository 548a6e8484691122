import { describe, expect, it } from 'vitest'
import type { RequestFact } from '../../../machines/request/index.ts'
import { select, type SelectionTrace } from '../../../machines/selection/index.ts'
import { createRequestId } from '../../../protocol/index.ts'
import { requestExplanationSchema, requestSummarySchema } from '../../../runtime/why/request-explanation.ts'
import { RequestTraces, type RequestTracesOptions } from '../../../runtime/why/request-traces.ts'
import { llama, nano, toCandidate, toWorkerId } from '../../machines/selection/support.ts'

const candidates = [
  toCandidate(1),
  toCandidate(2, { healthScore: 60 }),
  toCandidate(3, { accepting: false }),
  toCandidate(4, {}, { models: [nano] }),
]

function createRig(options: Partial<RequestTracesOptions> = {}) {
  const clock = { ms: 1_000 }
  const traces = new RequestTraces({ now: () => clock.ms, ...options })
  const choose = (requestId: string, exclude: readonly number[] = [], known = candidates): SelectionTrace => {
    const { trace } = select(known, { modelId: 'llama', exclude: exclude.map(toWorkerId) }, 7, clock.ms)
    traces.chose({ requestId, modelId: 'llama', localOnly: false }, trace)
    return trace
  }
  return {
    clock,
    traces,
    choose,
    open: (requestId: string, worker: number, exclude: readonly number[] = [], known = candidates) => {
      choose(requestId, exclude, known)
      const choice = { workerId: toWorkerId(worker), model: llama }
      traces.observe(requestId, { type: 'attempt.opened', attempt: 0, choice })
    },
  }
}

const attempt = (worker: number, code: 'QM_DRAINING' | 'QM_WORKER_LOST') => ({
  workerId: toWorkerId(worker),
  modelId: 'llama',
  modelHash: llama.hash,
  contextTokens: llama.contextTokens,
  atMs: 0,
  code,
  message: `it said ${code}`,
})
const finish = { reason: 'stop', completionTokens: 30 } as Extract<
  RequestFact,
  { type: 'request.done' }
>['finish']

describe('request traces', () => {
  it('tell every attempt: who was chosen among whom, what it gave, and why it ended', () => {
    const { clock, traces, open } = createRig()
    const id = createRequestId()
    open(id, 1)
    traces.observe(id, { type: 'attempt.solving', bits: 12, etaMs: 2 })
    expect(traces.why(id).attempts[0]?.effort).toEqual({ bits: 12 })
    traces.observe(id, { type: 'attempt.solved', ms: 3 })
    traces.observe(id, { type: 'attempt.queued', position: 2, etaMs: 300, promptTokens: 9 })
    traces.observe(id, { type: 'attempt.queued', position: 0, etaMs: 0, promptTokens: 9 })
    clock.ms += 100
    traces.delivered(id, 4)
    clock.ms += 50
    traces.delivered(id, 6)
    clock.ms += 500
    traces.observe(id, { type: 'attempt.failed', attempt: attempt(1, 'QM_DRAINING') })
    open(id, 2, [1])
    clock.ms += 200
    traces.delivered(id, 20)
    clock.ms += 10
    traces.observe(id, { type: 'request.done', finish, attempts: [] })

    const why = traces.why(id)
    expect(requestExplanationSchema.parse(structuredClone(why))).toEqual(why)
    expect(why).toMatchObject({
      requestId: id,
      state: 'answered',
      model: 'llama',
      tries: 2,
      handovers: 1,
      tokens: 30,
      totalMs: 860,
      attempts: [
        {
          workerId: toWorkerId(1),
          atMs: 0,
          tokens: 10,
          effort: { bits: 12, ms: 3 },
          queued: { position: 2, etaMs: 300 },
          firstTokenMs: 100,
          totalMs: 650,
          code: 'QM_DRAINING',
          message: 'it said QM_DRAINING',
        },
        {
          workerId: toWorkerId(2),
          atMs: 650,
          tokens: 20,
          firstTokenMs: 200,
          totalMs: 210,
          handover: { afterTokens: 10, gapMs: 700 },
        },
      ],
    })
    expect(why.attempts[1]?.code).toBeUndefined()
    expect(why.search).toBeUndefined()
    expect(why.attempts[0]?.choice).toMatchObject({
      workerId: toWorkerId(1),
      manner: 'best',
      seed: 7,
      known: 4,
      reasons: [
        { workerId: toWorkerId(1), standing: 'chosen' },
        { workerId: toWorkerId(2), standing: 'below-band' },
        { workerId: toWorkerId(3), rejected: 'not-accepting' },
        { workerId: toWorkerId(4), rejected: 'model' },
      ],
    })
    expect(why.attempts[1]?.choice?.reasons.at(1)).toMatchObject({ rejected: 'excluded' })
  })

  it('replay a choice when asked to, and say whether it comes out the same', () => {
    const { clock, traces, open } = createRig()
    const id = createRequestId()
    open(id, 1)
    expect(traces.why(id).attempts[0]?.choice?.isReproduced).toBeUndefined()
    clock.ms += 60_000
    expect(traces.why(id, { replay: true }).attempts[0]?.choice?.isReproduced).toBe(true)
    const forged = createRequestId()
    const { trace } = select(candidates, { exclude: [] }, 7, 0)
    traces.chose({ requestId: forged, localOnly: false }, { ...trace, workerId: toWorkerId(2) })
    expect(traces.why(forged, { replay: true }).search?.isReproduced).toBe(false)
  })

  it('tell why nobody was found, the last look only', () => {
    const { clock, traces, choose } = createRig()
    const id = createRequestId()
    for (let look = 0; look < 10; look++) {
      clock.ms += 250
      choose(id, [1, 2])
    }
    expect(traces.why(id)).toMatchObject({
      state: 'open',
      tries: 0,
      search: { workerId: null, manner: null },
    })
    traces.observe(id, {
      type: 'request.failed',
      failure: { code: 'QM_OVERLOADED', message: 'all busy' },
      attempts: [],
    })
    expect(traces.why(id)).toMatchObject({ state: 'failed', code: 'QM_OVERLOADED', message: 'all busy' })
    expect(traces.why(id).search?.reasons).toContainEqual({
      workerId: toWorkerId(3),
      rejected: 'not-accepting',
    })
  })

  it('find a request by the beginning of its id, and the latest without one', () => {
    const { traces, choose } = createRig()
    expect(() => traces.why()).toThrow(expect.objectContaining({ code: 'QM_REQUEST_UNKNOWN' }))
    const ids = ['aa11', 'aa22', 'bb33'].map((start) => start.padEnd(32, '0'))
    for (const id of ids) choose(id)
    expect(traces.why().requestId).toBe(ids[2])
    expect(traces.why(' AA2').requestId).toBe(ids[1])
    expect(() => traces.why('aa')).toThrow(/2 requests .*give more/)
    expect(() => traces.why('cc')).toThrow(/remembers no request .*"cc"/)
    const list = traces.list()
    expect(list.map(({ requestId }) => requestId)).toEqual(ids.toReversed())
    for (const summary of list) expect(requestSummarySchema.parse(summary)).toEqual(summary)
  })

  it('keep no more requests, attempts, candidates and models than they may', () => {
    const { traces, open } = createRig({ requestsMax: 3, attemptsMax: 2 })
    const ids = Array.from({ length: 5 }, () => createRequestId())
    for (const id of ids) for (const worker of [1, 2, 3]) open(id, worker)
    expect(traces.list().map(({ requestId }) => requestId)).toEqual(ids.slice(2).toReversed())
    const why = traces.why(ids[4])
    expect(why.tries).toBe(3)
    expect(why.attempts.map(({ workerId }) => workerId)).toEqual([2, 3].map(toWorkerId))
    // What came of a forgotten request is no news.
    traces.observe(ids[0] ?? '', { type: 'request.done', finish, attempts: [] })
    traces.delivered(ids[0] ?? '', 1)

    const heavy = createRig({ weightMax: 16 })
    for (const id of ids) heavy.open(id, 1)
    expect(heavy.traces.list().map(({ requestId }) => requestId)).toEqual(ids.slice(3).toReversed())
    const huge = Array.from({ length: 50 }, (_, name) => toCandidate(name))
    heavy.open('ff'.repeat(16), 1, [], huge)
    expect(heavy.traces.list()).toHaveLength(1)
    heavy.open('ee'.repeat(16), 1)
    expect(heavy.traces.list().map(({ requestId }) => requestId)).toEqual(['ee'.repeat(16)])
  })

  it('do not tell the second half of a story whose first half was forgotten', () => {
    const { traces, open, choose } = createRig({ requestsMax: 2 })
    const ids = Array.from({ length: 3 }, () => createRequestId())
    const [long = '', ...others] = ids
    for (const id of ids) open(id, 1)
    const known = () => traces.list().map(({ requestId }) => requestId)
    expect(known()).toEqual(others.toReversed())
    // It goes on elsewhere, and is not taken for a new one that pushes another out.
    traces.observe(long, { type: 'attempt.failed', attempt: attempt(1, 'QM_WORKER_LOST') })
    choose(long, [1])
    open(long, 2, [1])
    traces.delivered(long, 5)
    expect(known()).toEqual(others.toReversed())
    expect(() => traces.why(long)).toThrow(expect.objectContaining({ code: 'QM_REQUEST_UNKNOWN' }))
    // With its end the last trace of it is gone, and so with the end of whoever would have told it.
    traces.observe(long, { type: 'request.done', finish, attempts: [] })
    choose(long)
    expect(known()).toEqual([long, ids[2]])
    traces.lost()
    choose(ids[1] ?? '')
    expect(known()).toEqual([ids[1], long])
  })

  it('end what nobody will end any more', () => {
    const { traces, open } = createRig()
    const id = createRequestId()
    open(id, 1)
    traces.lost()
    expect(traces.why(id)).toMatchObject({ state: 'failed', code: 'QM_NODE_STOPPED' })
    traces.observe(id, { type: 'request.failed', failure: { code: 'QM_CANCELLED' }, attempts: [] })
    expect(traces.why(id).code).toBe('QM_NODE_STOPPED')
  })

  it('tell a request for embeddings from one for an answer', () => {
    const { traces, choose } = createRig()
    const [vectors, answer] = [createRequestId(), createRequestId()]
    const { trace } = select(candidates, { modelId: 'llama', embedding: 'any', exclude: [] }, 7, 0)
    traces.chose({ requestId: vectors, modelId: undefined, embedding: 'any', localOnly: false }, trace)
    choose(answer)
    traces.observe(vectors, { type: 'request.failed', failure: { code: 'QM_NO_WORKERS' }, attempts: [] })
    expect(traces.list().map(({ embedding }) => embedding)).toEqual([undefined, true])
    expect(requestExplanationSchema.parse(traces.why(vectors))).toMatchObject({
      embedding: true,
      state: 'failed',
    })
  })
})
