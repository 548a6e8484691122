import { describe, expect, test } from 'vitest'
import type { NodeOptions, QMeshClient, QMeshNode } from '../../runtime/index.ts'
import { createTraceCollector } from '../support/trace-collector.ts'
import { createTestMesh } from './support/mesh.ts'

const caller = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
const traceparent = `00-${caller.traceId}-${caller.spanId}-01`
const secretWord = 'xylophone'

async function createRig(clientOptions: NodeOptions = {}) {
  const collector = await createTraceCollector()
  const mesh = await createTestMesh()
  const tracesEndpoint = collector.endpoint
  const client = await mesh.client({ tracesEndpoint, ...clientOptions })
  const worker = (): Promise<QMeshNode> => mesh.worker({ tracesEndpoint, tiers: { [client.id]: 'master' } })
  const known = (count: number): Promise<void> =>
    expect.poll(() => client.workers().filter(({ models }) => models.length > 0).length).toBe(count)
  /** What they recorded is sent at the latest when they stop. */
  const stop = (...nodes: QMeshClient[]) => Promise.all([client, ...nodes].map((node) => node.stop()))
  return { collector, client, worker, known, stop }
}

describe('traces', () => {
  test('one goes from the caller of the gateway over the client to the worker', async () => {
    const { collector, client, worker, known, stop } = await createRig({ gateway: true, gatewayPort: 0 })
    const server = await worker()
    await known(1)
    const reply = await fetch(`${client.status().gateway?.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent },
      body: JSON.stringify({
        model: 'auto',
        messages: [{ role: 'user', content: secretWord }],
        max_tokens: 8,
        temperature: 0,
      }),
    })
    expect(reply.status).toBe(200)
    await stop(server)

    expect(collector.spans).toHaveLength(3)
    for (const { traceId } of collector.spans) expect(traceId).toBe(caller.traceId)
    const [request] = collector.named('qmesh.request')
    const [attempt] = collector.named('qmesh.attempt')
    const [serve] = collector.named('qmesh.serve')
    expect(request).toMatchObject({
      parentSpanId: caller.spanId,
      node: client.id,
      attributes: { 'qmesh.outcome': 'answered', 'qmesh.tokens': 8, 'gen_ai.usage.output_tokens': 8 },
    })
    expect(attempt).toMatchObject({
      parentSpanId: request?.spanId,
      node: client.id,
      attributes: {
        'qmesh.worker': server.id.slice(0, 12),
        'qmesh.tokens': 8,
        'qmesh.queued_ms': expect.any(Number),
      },
      events: expect.arrayContaining([expect.objectContaining({ name: 'first token' })]),
    })
    expect(serve).toMatchObject({
      parentSpanId: attempt?.spanId,
      node: server.id,
      attributes: { 'qmesh.client': client.id.slice(0, 12), 'qmesh.tier': 'master', 'qmesh.tokens': 8 },
      events: expect.arrayContaining([expect.objectContaining({ name: 'slot' })]),
    })
    // What was asked and answered is nobody's business but theirs.
    expect(collector.bodies.join('')).not.toContain(secretWord)
  })

  test('one goes on at the next worker when the first is left', async () => {
    const { collector, client, worker, known, stop } = await createRig()
    const workers = await Promise.all([worker(), worker()])
    await known(2)
    const answer = client.ask('the er on an', { maxTokens: 300, temperature: 0 })
    let from: QMeshNode | undefined
    for await (const _ of answer) {
      const { workerId } = client.requests()[0] ?? {}
      if (from) continue
      from = workers.find(({ id }) => id === workerId)
      from?.drain()
      // The worker is ahead of its reader by no more than the window: it cannot have finished before it is left.
      await expect.poll(() => client.why(answer.requestId).tries).toBe(2)
    }
    const { handovers } = await answer.result
    expect(handovers).toHaveLength(1)
    await stop(...workers)

    const [request] = collector.named('qmesh.request')
    const attempts = collector.named('qmesh.attempt')
    const serves = collector.named('qmesh.serve')
    expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1)
    expect(request?.parentSpanId ?? '').toBe('')
    expect(request).toMatchObject({
      attributes: { 'qmesh.attempts': 2, 'qmesh.handovers': 1, 'qmesh.tokens': 300 },
      events: [
        {
          name: 'handover',
          attributes: {
            'qmesh.from': from?.id.slice(0, 12),
            'qmesh.after_tokens': handovers[0]?.afterTokens,
            'qmesh.code': 'QM_DRAINING',
          },
        },
      ],
    })
    expect(attempts.map(({ parentSpanId }) => parentSpanId)).toEqual([request?.spanId, request?.spanId])
    expect(attempts.map(({ attributes }) => attributes['qmesh.code'])).toEqual(['QM_DRAINING', undefined])
    // Each worker's part hangs on the try that it belongs to.
    expect(serves).toHaveLength(2)
    for (const serve of serves) {
      const attempt = attempts.find(({ spanId }) => spanId === serve.parentSpanId)
      expect(attempt?.attributes['qmesh.worker']).toBe(String(serve.node).slice(0, 12))
    }
    expect(new Set(serves.map(({ node }) => node))).toEqual(new Set(workers.map(({ id }) => id)))
    const given = attempts.map(({ attributes }) => Number(attributes['qmesh.tokens']))
    expect(given.reduce((sum, tokens) => sum + tokens, 0)).toBe(300)
  })

  test('what the caller does not record nobody records, and who traces nothing tells workers nothing', async () => {
    const { collector, client, worker, known, stop } = await createRig()
    const server = await worker()
    await known(1)
    const unsampled = `00-${caller.traceId}-${caller.spanId}-00`
    await client.ask('the er', { maxTokens: 4, traceparent: unsampled }).result
    await stop()
    expect(collector.spans).toEqual([])

    // The worker traces for itself then.
    const silent = await createRig({ tracesEndpoint: undefined })
    const other = await silent.worker()
    await silent.known(1)
    await silent.client.ask('the er', { maxTokens: 4, traceparent }).result
    await silent.stop(other)
    expect(silent.collector.spans).toMatchObject([{ name: 'qmesh.serve', node: other.id }])
    expect(silent.collector.spans[0]?.traceId).not.toBe(caller.traceId)
    expect(silent.collector.spans[0]?.parentSpanId ?? '').toBe('')
    await server.stop()
    expect(collector.spans).toEqual([])
  })

  test('a cancelled request ends its spans on both sides; a collector that is gone holds nobody', async () => {
    const { collector, client, worker, known, stop } = await createRig()
    const server = await worker()
    await known(1)
    const answer = client.ask('the er', { maxTokens: 400 })
    for await (const _ of answer) break
    await expect(answer.result).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await expect.poll(() => server.status().queue.slotsBusy).toBe(0)
    await stop(server)
    expect(collector.spans).toHaveLength(3)
    for (const name of ['qmesh.request', 'qmesh.attempt', 'qmesh.serve']) {
      expect(collector.named(name)).toMatchObject([{ attributes: { 'qmesh.code': 'QM_CANCELLED' } }])
    }

    const lonely = await createRig({ tracesEndpoint: 'http://127.0.0.1:9/v1/traces' })
    await expect(lonely.client.ask('x', { discoverMs: 50 }).result).rejects.toMatchObject({
      code: 'QM_NO_WORKERS',
    })
    const beganMs = performance.now()
    await lonely.stop()
    expect(performance.now() - beganMs).toBeLessThan(15_000)
  })
})
