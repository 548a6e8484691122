import { describe, expect, it } from 'vitest'
import { explain } from '../../../machines/selection/explain.ts'
import { replay, select, type SelectionQuery } from '../../../machines/selection/select.ts'
import { llama, nano, toCandidate, toWorkerId } from './support.ts'

const query: SelectionQuery = { modelId: 'llama', exclude: [] }
const loadable = { ...llama, state: 'loadable', loadMs: 8_000 } as const

describe('a worker that would have to load the model', () => {
  it('is asked when nobody has it loaded, and the trace says what loading costs', () => {
    const { workerId, trace } = select([toCandidate(1, { slots: 0 }, { models: [loadable] })], query, 1, 0)
    expect(workerId).toBe(toWorkerId(1))
    expect(explain(trace).reasons).toMatchObject([{ group: 'loadable', terms: { loadMs: 8_000 } }])
    expect(replay(trace).workerId).toBe(workerId)
  })

  it('comes after every worker that has it loaded, however much waits there', () => {
    const busy = toCandidate(2, { queueLength: 15, slotsBusy: 2, healthScore: 30 })
    for (let seed = 0; seed < 50; seed++) {
      const { workerId } = select([toCandidate(1, {}, { models: [loadable] }), busy], query, seed, 0)
      expect(workerId).toBe(toWorkerId(2))
    }
  })

  it('is asked when those that have it loaded are overloaded', () => {
    const overloaded = toCandidate(2, { state: 'overloaded' })
    const { workerId } = select([toCandidate(1, {}, { models: [loadable] }), overloaded], query, 1, 0)
    expect(workerId).toBe(toWorkerId(1))
  })

  it('is preferred if it loads faster', () => {
    const slow = toCandidate(1, {}, { models: [{ ...loadable, loadMs: 60_000 }] })
    const fast = toCandidate(2, {}, { models: [{ ...loadable, loadMs: 500 }] })
    for (let seed = 0; seed < 50; seed++) {
      expect(select([slow, fast], query, seed, 0).workerId).toBe(toWorkerId(2))
    }
  })

  it('gives any model that is loaded, then one that is not, then the built-in one', () => {
    const any: SelectionQuery = { exclude: [] }
    const other = { ...llama, id: 'other' }
    const choose = (models: (typeof loadable | typeof llama)[]) =>
      select([toCandidate(1, {}, { models })], any, 1, 0).trace.modelId
    expect(choose([nano, loadable, other])).toBe('other')
    expect(choose([nano, loadable])).toBe('llama')
    expect(choose([nano])).toBe('nano')
  })
})
