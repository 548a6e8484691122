import { describe, expect, it } from 'vitest'
import { nearNames } from '../../../actors/gateway/near-names.ts'
import type { NodeStatus } from '../../../runtime/node-status.ts'
import { sampleExplanation, sampleStatus } from '../../runtime/support/control-rig.ts'
import { answerHello, createGatewayRig, otherId, sampleWorker, workerId } from '../../support/gateway-rig.ts'

/** `name{labels}` → value. */
const readMetrics = (text: string): Record<string, number> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )

describe('/metrics', () => {
  it('counts answers, tokens, waits and handovers', async () => {
    const rig = await createGatewayRig({
      reply: (asked) => {
        if (asked.options.seed === 1) return asked.fail('QM_QUEUE_FULL')
        const handover = {
          from: workerId,
          to: otherId,
          afterTokens: 1,
          gapMs: 5,
          code: 'QM_WORKER_LOST',
        } as const
        if (asked.options.seed === 2) asked.emitter.emit('handover', handover)
        queueMicrotask(() => answerHello(asked))
        return undefined
      },
    })
    await Promise.all([rig.chat(), rig.chat({ seed: 1 }), rig.chat({ seed: 2, stream: true })])
    rig.meter.restarted('swarm')
    rig.meter.served('gold', 250)
    const reply = await rig.get('/metrics')
    expect(reply.headers['content-type']).toMatch(/^text\/plain; version=/)
    expect(readMetrics(reply.body)).toMatchObject({
      'qmesh_requests_total{outcome="answered",code="stop"}': 2,
      'qmesh_requests_total{outcome="failed",code="QM_QUEUE_FULL"}': 1,
      qmesh_requests_open: 0,
      'qmesh_tokens_total{kind="prompt"}': 10,
      'qmesh_tokens_total{kind="cached"}': 4,
      'qmesh_tokens_total{kind="completion"}': 4,
      qmesh_time_to_first_token_seconds_count: 2,
      qmesh_time_to_first_token_seconds_sum: 0.01,
      qmesh_time_per_output_token_seconds_sum: 0.008,
      qmesh_queue_wait_seconds_count: 2,
      'qmesh_served_queue_wait_seconds_sum{tier="gold"}': 0.25,
      'qmesh_handovers_total{code="QM_WORKER_LOST"}': 1,
      'qmesh_actor_restarts_total{part="swarm"}': 1,
      qmesh_peers: 2,
      qmesh_workers: 1,
      qmesh_slots: 2,
      qmesh_slots_busy: 1,
      'qmesh_http_requests_total{route="/v1/chat/completions",method="POST",status="200"}': 2,
      'qmesh_http_requests_total{route="/v1/chat/completions",method="POST",status="503"}': 1,
    })
  })

  it('counts paths by their pattern: a scan of a thousand paths is one line', async () => {
    const rig = await createGatewayRig()
    for (const path of ['/a', '/b', '/c']) await rig.get(path)
    const { body } = await rig.get('/metrics')
    expect(body).toContain('qmesh_http_requests_total{route="unknown",method="GET",status="404"} 3')
  })
})

describe('what the metrics read of the node', () => {
  const account = { tier: 'gold', score: 512, balance: -1.5, line: 4 } as const
  const totals = {
    servedPromptTokens: 30,
    servedTokens: 20,
    receivedTokens: 7,
    givenModelBytes: 1_000,
    fetchedModelBytes: 2_000,
  }

  it('is what it says at that moment: its account, tokens and bytes of models', async () => {
    let status: NodeStatus = { ...sampleStatus, account, totals }
    const { get } = await createGatewayRig({ port: { status: () => status } })
    expect(readMetrics((await get('/metrics')).body)).toMatchObject({
      qmesh_score: 512,
      qmesh_credit: -1.5,
      qmesh_credit_line: 4,
      'qmesh_tier{tier="gold"}': 1,
      'qmesh_served_tokens_total{kind="prompt"}': 30,
      'qmesh_served_tokens_total{kind="completion"}': 20,
      qmesh_received_tokens_total: 7,
      'qmesh_model_bytes_total{direction="up"}': 1_000,
      'qmesh_model_bytes_total{direction="down"}': 2_000,
      'qmesh_node_info{version="1.2.3"}': 1,
      qmesh_accepting: 1,
      qmesh_queue_capacity: 10,
    })
    status = { ...status, account: { ...account, tier: 'silver' }, totals: { ...totals, servedTokens: 25 } }
    const later = readMetrics((await get('/metrics')).body)
    expect(later).toMatchObject({
      'qmesh_tier{tier="silver"}': 1,
      'qmesh_served_tokens_total{kind="completion"}': 25,
    })
    // One tier at a time.
    expect(later).not.toHaveProperty('qmesh_tier{tier="gold"}')
  })

  it('has no numbers of books that are not kept', async () => {
    const { get } = await createGatewayRig()
    expect((await get('/metrics')).body).not.toMatch(/^qmesh_(score|credit|credit_line|tier)\b/m)
  })
})

describe('/healthz and /readyz', () => {
  it('tell a node that lives from one that can answer', async () => {
    let workers: (typeof sampleWorker)[] = []
    const { get } = await createGatewayRig({ port: { workers: () => workers } })
    expect((await get('/healthz')).json()).toEqual({ status: 'ok' })
    const before = await get('/readyz')
    expect(before.statusCode).toBe(503)
    expect(before.json()).toEqual({ status: 'not ready', reason: 'no worker with a model is known' })
    workers = [sampleWorker]
    expect((await get('/readyz')).json()).toEqual({ status: 'ready' })
  })
})

describe('/v1/models', () => {
  it('lists what known workers hold, each model once', async () => {
    const second = { ...sampleWorker, workerId: otherId, models: sampleWorker.models.slice(0, 1) }
    const { get } = await createGatewayRig({ port: { workers: () => [sampleWorker, second] } })
    const list = (await get('/v1/models')).json<{ data: object[] }>()
    expect(list.data).toMatchObject([
      { id: 'smollm2-135m', object: 'model', owned_by: 'qmesh', context_length: 4_096, workers: 1 },
      { id: 'tiny', context_length: 512, workers: 2 },
    ])
    expect((await get('/v1/models/tiny')).json()).toEqual(list.data[1])
    expect((await get('/v1/models/tinny')).json()).toMatchObject({
      error: { code: 'model_not_found', message: expect.stringContaining('Did you mean "tiny"?') },
    })
  })

  it.each([
    ['Llama3.1:8b', ['llama-3.1-8b-instruct']],
    ['nanno', ['nano']],
    ['gpt-4o', []],
    ['', []],
  ])('%s may mean %j', (name, near) => {
    expect(nearNames(name, ['nano', 'llama-3.1-8b-instruct', 'qwen2.5-7b'])).toEqual(near)
  })
})

describe('/v1/mesh', () => {
  it('passes on what the node says, and explains a request by the id that its answer had', async () => {
    const { get } = await createGatewayRig()
    expect((await get('/v1/mesh')).json()).toMatchObject({ id: workerId, network: { peers: 2 } })
    expect((await get('/v1/mesh/workers')).json()).toMatchObject([{ workerId, models: [{ id: 'tiny' }, {}] }])
    for (const prefix of ['', 'chatcmpl-', 'msg_', 'resp_']) {
      const path = `/v1/mesh/requests/${prefix}${sampleExplanation.requestId}/why`
      expect((await get(path)).json()).toEqual(sampleExplanation)
    }
    const unknown = await get('/v1/mesh/requests/ffff/why')
    expect(unknown.statusCode).toBe(404)
    expect(unknown.json()).toMatchObject({ error: { code: 'request_not_found' } })
  })
})
