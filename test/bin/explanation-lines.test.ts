import { expect, test } from 'vitest'
import { explanationLines } from '../../bin/explanation-lines.ts'
import { select } from '../../machines/selection/index.ts'
import { explainChoice } from '../../runtime/why/explain-choice.ts'
import { llama, toCandidate, toWorkerId } from '../machines/selection/support.ts'

test('work that a worker asked for is told, with what it took, and what it would have taken elsewhere', () => {
  const candidates = [
    toCandidate(1, { queueLength: 1, effortBits: 12 }),
    toCandidate(2, { queueLength: 19, effortBits: 20 }),
  ]
  const { trace } = select(candidates, { modelId: 'llama', exclude: [] }, 1, 0)
  const lines = explanationLines({
    requestId: '0'.repeat(32),
    askedAt: '2026-01-01T00:00:00.000Z',
    state: 'answered',
    model: 'llama',
    localOnly: false,
    tries: 1,
    handovers: 0,
    tokens: 3,
    attempts: [
      {
        workerId: toWorkerId(1),
        modelId: llama.id,
        modelHash: llama.hash,
        atMs: 0,
        tokens: 3,
        effort: { bits: 12, ms: 2.4 },
        choice: explainChoice(trace),
      },
    ],
  })
  const text = lines.join('\n')
  expect(text).toContain('worked 2 ms for 12 bits')
  expect(text).toMatch(/WAITING +WORK\n/)
  expect(text).toMatch(/chosen .* 2 ms\n/)
  expect(text).toMatch(/below-band .* 524 ms/)
})

test('a request for embeddings is told as one, without the tokens that it has none of', () => {
  const text = explanationLines({
    requestId: '0'.repeat(32),
    askedAt: '2026-01-01T00:00:00.000Z',
    state: 'failed',
    embedding: true,
    localOnly: false,
    tries: 1,
    handovers: 0,
    tokens: 0,
    code: 'QM_WORKER_LOST',
    attempts: [
      {
        workerId: toWorkerId(1),
        modelId: llama.id,
        modelHash: llama.hash,
        atMs: 0,
        tokens: 0,
        code: 'QM_WORKER_LOST',
      },
    ],
  }).join('\n')
  expect(text).toContain('UTC for embeddings of any model\n')
  expect(text).not.toContain('0 tokens')
})
