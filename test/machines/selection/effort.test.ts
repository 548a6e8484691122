import { describe, expect, it } from 'vitest'
import { explain } from '../../../machines/selection/explain.ts'
import { replay, select, type SelectionQuery } from '../../../machines/selection/select.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { limits, protocolVersion } from '../../../protocol/index.ts'
import { llama, toCandidate, toStatus, toWorkerId } from './support.ts'

const query: SelectionQuery = { modelId: 'llama', exclude: [] }
const busy = { queueLength: 17, slotsBusy: 2 }

describe('a worker that asks for work', () => {
  it('is asked where nobody else is, and the trace says what the work costs', () => {
    const { workerId, trace } = select([toCandidate(1, { ...busy, effortBits: 16 })], query, 1, 0)
    expect(workerId).toBe(toWorkerId(1))
    const [reason] = explain(trace).reasons
    expect(reason).toMatchObject({ group: 'queued', terms: { effortBits: 16 } })
    expect(reason && 'terms' in reason && reason.terms.effortMs).toBeCloseTo(32.8, 0)
    expect(replay(trace).workerId).toBe(workerId)
  })

  it('is asked the less the more it asks for', () => {
    const scores = [0, 8, 16, 18, 20, 22, limits.effortBitsMax].map((effortBits) => {
      const { trace } = select([toCandidate(1, { ...busy, effortBits })], query, 1, 0)
      const [reason] = explain(trace).reasons
      return reason && 'score' in reason ? reason.score : NaN
    })
    expect(scores).toEqual(scores.toSorted((a, b) => b - a))
    // A few bits are nothing to choose by; the most that may be asked leave a tenth.
    expect((scores[1] ?? 0) / (scores[0] ?? 1)).toBeGreaterThan(0.99)
    expect((scores.at(-1) ?? 1) / (scores[0] ?? 1)).toBeLessThan(0.15)
  })

  it('comes after whoever is free and asks for none, and gains nothing by saying that it is free itself', () => {
    const greedy = toCandidate(1, { effortBits: limits.effortBitsMax })
    const free = toCandidate(2, { healthScore: 20, slotsBusy: 1 })
    const full = toCandidate(3, { ...busy, healthScore: 20 })
    for (let seed = 0; seed < 50; seed++) {
      expect(select([greedy, free], query, seed, 0).workerId).toBe(toWorkerId(2))
      expect(select([greedy, full], query, seed, 0).workerId).toBe(toWorkerId(3))
    }
  })
})

describe('what a directory knows of it', () => {
  it('is what the worker said last, whether in a status or by insisting', () => {
    const directory = new WorkerDirectory()
    const id = toWorkerId(1)
    const bits = () => directory.list(0)[0]?.effortBits
    directory.hello(id, { models: [llama], protocol: protocolVersion, local: false }, 0)
    expect(bits()).toBeUndefined()
    directory.status(id, { ...toStatus(), effort: { bits: 5, seed: '0'.repeat(32) } }, 0)
    expect(bits()).toBe(5)
    directory.insisted(id, 9)
    expect(bits()).toBe(9)
    directory.status(id, toStatus(), 0)
    expect(bits()).toBeUndefined()
    directory.insisted(toWorkerId(2), 9)
    expect(directory.size).toBe(1)
  })
})
