import { describe, expect, it } from 'vitest'
import { limits } from '../../../protocol/index.ts'
import type { Candidate } from '../../../machines/selection/candidate.ts'
import { explain } from '../../../machines/selection/explain.ts'
import { select, type SelectionQuery } from '../../../machines/selection/select.ts'
import { afterFailure, freshStanding } from '../../../machines/selection/standing.ts'
import { llama, minilm, nano, toCandidate, toWorkerId } from './support.ts'

const query: SelectionQuery = { modelId: 'llama', exclude: [] }

const countsOf = (candidates: readonly Candidate[], asked = query, times = 2_000): Map<string, number> => {
  const counts = new Map<string, number>()
  for (let seed = 0; seed < times; seed++) {
    const { workerId } = select(candidates, asked, seed, 0)
    if (workerId !== null) counts.set(workerId, (counts.get(workerId) ?? 0) + 1)
  }
  return counts
}

describe('select', () => {
  it.each<[string, Partial<Candidate>, Partial<SelectionQuery>]>([
    ['excluded', {}, { exclude: [toWorkerId(1)] }],
    ['protocol', { protocol: 1 }, {}],
    ['model', { models: [nano] }, {}],
    ['model', { models: [] }, { modelId: undefined }],
    ['model-hash', {}, { modelHash: 'ff'.repeat(32) }],
    ['model-kind', { models: [minilm] }, { modelId: 'minilm' }],
    ['model-kind', {}, { embedding: 'any' }],
    ['model-kind', { models: [minilm] }, { modelId: 'minilm', embedding: 512 }],
    ['model', { models: [minilm] }, { modelId: undefined }],
    ['model', { models: [nano, llama] }, { modelId: undefined, embedding: 'any' }],
    ['model', { models: [minilm] }, { modelId: undefined, embedding: 512 }],
    ['context', {}, { contextTokens: 4_097 }],
    ['tools', {}, { tools: true }],
    ['not-accepting', { load: { ...toCandidate(1).load, accepting: false } }, {}],
    ['overloaded', { load: { ...toCandidate(1).load, state: 'overloaded' } }, {}],
    ['queue-full', { load: { ...toCandidate(1).load, queueLength: 20, slotsBusy: 2 } }, {}],
    ['at-limit', { inFlight: limits.requestsPerPeerMax }, {}],
    ['breaker-open', { standing: { ...freshStanding, isOpen: true, openUntilMs: 1 } }, {}],
    ['probe-under-way', { standing: { ...freshStanding, isOpen: true, probeSinceMs: 0 } }, {}],
    ['refused-lately', { standing: { ...freshStanding, pausedUntilMs: 1 } }, {}],
  ])('leaves out a worker and says "%s"', (reason, rest, asked) => {
    const selection = select([toCandidate(1, {}, rest)], { ...query, ...asked }, 1, 0)
    expect(selection.workerId).toBeNull()
    expect(explain(selection.trace).reasons).toEqual([{ workerId: toWorkerId(1), rejected: reason }])
  })

  it('finds a model of the right kind beside others, with a name and without', () => {
    const both = [toCandidate(1, {}, { models: [minilm, llama] }), toCandidate(2, {}, { models: [nano] })]
    const chosen = (asked: Partial<SelectionQuery>) => {
      const selection = select(both, { exclude: [], ...asked }, 1, 0)
      return selection.workerId === null ? null : selection.model.id
    }
    expect(chosen({})).toBe('llama')
    expect(chosen({ embedding: 'any' })).toBe('minilm')
    expect(chosen({ embedding: 384 })).toBe('minilm')
    expect(chosen({ embedding: 384, modelHash: minilm.hash })).toBe('minilm')
    expect(chosen({ modelHash: minilm.hash })).toBeNull()
  })

  it('takes a model that can be offered functions where they are, and any where there are none', () => {
    const able = { ...llama, id: 'able', tools: 'hermes' as const }
    const candidates = [
      toCandidate(1, {}, { models: [llama, able] }),
      toCandidate(2, {}, { models: [llama] }),
    ]
    const asked = { exclude: [], tools: true }
    for (let seed = 0; seed < 50; seed++)
      expect(select(candidates, asked, seed, 0)).toMatchObject({ workerId: toWorkerId(1), model: able })
    expect(countsOf(candidates).size).toBe(2)
  })

  it('takes one with an empty queue, however bad, before the best that has one waiting', () => {
    const candidates = [
      toCandidate(1, { queueLength: 1 }),
      toCandidate(2, { healthScore: 20, state: 'busy', slotsBusy: 2 }),
    ]
    expect(countsOf(candidates)).toEqual(new Map([[toWorkerId(2), 2_000]]))
  })

  it('ranks empty queues by 0.70 health + 0.30 responsiveness', () => {
    const swift = { ...toCandidate(0).speed, responsiveness: 1 }
    const slow = { ...toCandidate(0).speed, responsiveness: 0 }
    // 0.70 · 0.8 + 0.30 = 0.86 against 0.70.
    const candidates = [
      toCandidate(1, { healthScore: 80 }, { speed: swift }),
      toCandidate(2, {}, { speed: slow }),
    ]
    const { trace } = select(candidates, query, 1, 0)
    const scores = explain(trace).reasons.map((row) => ('score' in row ? row.score : 0))
    expect(scores[0]).toBeCloseTo(0.7 * 0.8 + 0.3)
    expect(scores[1]).toBeCloseTo(0.7)
    expect(countsOf(candidates)).toEqual(new Map([[toWorkerId(1), 2_000]]))
  })

  it('ranks busy workers by 0.60 queue availability + 0.30 health + 0.10 performance', () => {
    const candidates = [
      toCandidate(1, { queueLength: 4 }, { speed: { ...toCandidate(0).speed, performance: 0.5 } }),
      toCandidate(2, { queueLength: 10 }, { speed: { ...toCandidate(0).speed, performance: 1 } }),
    ]
    const { trace } = select(candidates, query, 1, 0)
    const scores = explain(trace).reasons.map((row) => ('score' in row ? row.score : 0))
    expect(scores[0]).toBeCloseTo(0.6 * 0.8 + 0.3 + 0.05)
    expect(scores[1]).toBeCloseTo(0.6 * 0.5 + 0.3 + 0.1)
    expect(countsOf(candidates)).toEqual(new Map([[toWorkerId(1), 2_000]]))
  })

  it('spreads over those within 5 % of the best in proportion to their scores, and over no other', () => {
    const counts = countsOf(
      [toCandidate(1), toCandidate(2, { healthScore: 96 }), toCandidate(3, { healthScore: 90 })],
      query,
      20_000,
    )
    expect(counts.has(toWorkerId(3))).toBe(false)
    const ratio = (counts.get(toWorkerId(2)) ?? 0) / (counts.get(toWorkerId(1)) ?? 1)
    expect(ratio).toBeGreaterThan((0.822 / 0.85) * 0.95)
    expect(ratio).toBeLessThan((0.822 / 0.85) * 1.05)
  })

  it('keeps a conversation where it was, within the band and the bound on load', () => {
    const asked = { ...query, affinityWorkerId: toWorkerId(2) }
    const light = [toCandidate(1), toCandidate(2), toCandidate(3)]
    expect(countsOf(light, asked)).toEqual(new Map([[toWorkerId(2), 2_000]]))

    const outOfBand = [toCandidate(1), toCandidate(2, { healthScore: 50 }), toCandidate(3)]
    expect(countsOf(outOfBand, asked).has(toWorkerId(2))).toBe(false)

    const overBound = [toCandidate(1, { slots: 8 }), toCandidate(2, { slots: 8, slotsBusy: 7 })]
    expect((countsOf(overBound, asked).get(toWorkerId(1)) ?? 0) > 500).toBe(true)
  })

  it('prefers any model to the built-in one when none is named, even a busy one', () => {
    const candidates = [
      toCandidate(1, {}, { models: [nano] }),
      toCandidate(2, { queueLength: 3 }, { models: [nano, llama] }),
    ]
    const selection = select(candidates, { exclude: [] }, 1, 0)
    expect(selection).toMatchObject({ workerId: toWorkerId(2), model: { id: 'llama' } })
    const only = select(candidates, { exclude: [toWorkerId(2)] }, 1, 0)
    expect(only).toMatchObject({ workerId: toWorkerId(1), model: { id: 'nano' } })
    // By name it is a model like any other.
    const named = select(candidates, { exclude: [], modelId: 'nano' }, 1, 0)
    expect(named).toMatchObject({ workerId: toWorkerId(1) })
  })

  it('gives a tenth of the choices to workers it does not know well, one request at a time', () => {
    const unknown = { ...toCandidate(0).speed, answers: 0, responsiveness: 0.3 }
    const counts = countsOf([toCandidate(1), toCandidate(2, {}, { speed: unknown })], query, 10_000)
    expect(counts.get(toWorkerId(2))).toBeGreaterThan(850)
    expect(counts.get(toWorkerId(2))).toBeLessThan(1_150)
    const busy = [toCandidate(1), toCandidate(2, {}, { speed: unknown, inFlight: 1 })]
    expect(countsOf(busy).has(toWorkerId(2))).toBe(false)
  })

  it('counts a failure as queued work until it has faded', () => {
    const standing = afterFailure(freshStanding, 'QM_INFERENCE_FAILED', 0)
    const candidates = [toCandidate(1, {}, { standing }), toCandidate(2, { healthScore: 50 })]
    expect(countsOf(candidates)).toEqual(new Map([[toWorkerId(2), 2_000]]))
    expect(select(candidates, query, 1, 100_000).workerId).toBe(toWorkerId(1))
  })
})
