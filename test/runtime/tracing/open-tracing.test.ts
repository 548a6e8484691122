import { expect, it } from 'vitest'
import { openTracing } from '../../../runtime/tracing/open-tracing.ts'
import { createTraceCollector } from '../../support/trace-collector.ts'

const requestId = 'ab'.repeat(16)
const id = 'cd'.repeat(32)
const choice = {
  workerId: 'ef'.repeat(32),
  model: { id: 'tiny', hash: '1'.repeat(64), contextTokens: 512, slots: 1 },
}

function createRig(endpoint: string) {
  const said: string[] = []
  const log = (_: object, text: string): void => void said.push(text)
  const tracing = openTracing({ endpoint, id, logger: { warn: log, info: log } as never })
  return { said, tracing }
}

it('a try whose beginning is told twice, in whatever order, is one span', async () => {
  const collector = await createTraceCollector()
  const { tracing } = createRig(collector.endpoint)
  const { requests } = tracing
  for (const isAskedFirst of [true, false]) {
    requests.asked({ requestId, modelId: undefined, traceparent: undefined })
    const opened = (): void => requests.observe(requestId, { type: 'attempt.opened', attempt: 0, choice })
    if (!isAskedFirst) opened()
    expect(requests.asking(requestId, 0, choice)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    if (isAskedFirst) opened()
    requests.delivered(requestId, 3)
    requests.ended(requestId)
    // It is over: what comes late is about nothing.
    opened()
    expect(requests.asking(requestId, 1, choice)).toBeUndefined()
  }
  await tracing.close()
  expect(collector.named('qmesh.request')).toHaveLength(2)
  expect(collector.named('qmesh.attempt')).toMatchObject([
    { attributes: { 'qmesh.tokens': 3, 'qmesh.worker': 'efefefefefef' } },
    { attributes: { 'qmesh.tokens': 3 } },
  ])
  expect(collector.spans[0]?.node).toBe(id)
})

it('the message of a worker that failed stands nowhere, its code does', async () => {
  const collector = await createTraceCollector()
  const { tracing } = createRig(collector.endpoint)
  const { requests } = tracing
  requests.asked({ requestId, modelId: 'tiny', traceparent: undefined })
  requests.asking(requestId, 0, choice)
  const { workerId, model } = choice
  const attempt = { workerId, modelId: model.id, modelHash: model.hash, atMs: 0, contextTokens: 512 }
  requests.observe(requestId, {
    type: 'attempt.failed',
    attempt: { ...attempt, code: 'QM_INFERENCE_FAILED', message: 'words of a stranger' },
  })
  requests.ended(requestId, 'QM_ATTEMPTS_EXHAUSTED')
  await tracing.close()
  expect(collector.named('qmesh.attempt')).toMatchObject([
    { attributes: { 'qmesh.code': 'QM_INFERENCE_FAILED' }, status: { code: 2 } },
  ])
  expect(collector.named('qmesh.request')).toMatchObject([
    { attributes: { 'qmesh.outcome': 'failed', 'qmesh.code': 'QM_ATTEMPTS_EXHAUSTED' } },
  ])
  expect(collector.bodies.join('')).not.toContain('stranger')
})

it('a collector that refuses is said in the log, once', async () => {
  const collector = await createTraceCollector()
  collector.answerWith(400)
  const { tracing, said } = createRig(collector.endpoint)
  for (let count = 0; count < 3; count++) {
    tracing.requests.asked({ requestId, modelId: undefined, traceparent: undefined })
    tracing.requests.ended(requestId)
  }
  await tracing.close()
  expect(said).toEqual(['traces cannot be sent, and are dropped'])
})
