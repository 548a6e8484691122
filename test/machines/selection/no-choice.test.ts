import { describe, expect, it } from 'vitest'
import { explainNoChoice } from '../../../machines/selection/no-choice.ts'
import { select } from '../../../machines/selection/select.ts'
import { toCandidate } from './support.ts'

const why = (candidates: Parameters<typeof select>[0], modelId?: string) => {
  const selection = select(candidates, { exclude: [], ...(modelId && { modelId }) }, 1, 0)
  expect(selection.workerId).toBeNull()
  return explainNoChoice(selection.trace)
}

describe('why nobody was chosen', () => {
  it('nobody is known', () => {
    expect(why([])).toMatchObject({ code: 'QM_NO_WORKERS' })
  })

  it('nobody holds the model: who is full does not matter', () => {
    const full = toCandidate(1, { queueLength: 20, slotsBusy: 2 })
    expect(why([full], 'other')).toEqual({ code: 'QM_NO_WORKERS', barred: new Map() })
  })

  it('those who hold it are full, or busy with other things', () => {
    const full = toCandidate(1, { queueLength: 20, slotsBusy: 2 })
    const busy = toCandidate(2, { state: 'overloaded' })
    expect(why([full, busy])).toEqual({
      code: 'QM_QUEUE_FULL',
      barred: new Map([
        ['queue-full', 1],
        ['overloaded', 1],
      ]),
    })
    expect(why([busy]).code).toBe('QM_OVERLOADED')
    expect(why([toCandidate(3, { accepting: false })]).code).toBe('QM_OVERLOADED')
  })
})
