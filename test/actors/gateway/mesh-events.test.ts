import { describe, expect, it, onTestFinished } from 'vitest'
import { readEventStream, type ServerEvent } from '../../../console/api/event-stream.ts'
import { createGatewayRig, otherId, sampleWorker } from '../../support/gateway-rig.ts'

const requestId = 'cd'.repeat(16)

/** A gateway in front of a mesh that the test changes, and a reader of its news. */
async function createRig(settings = {}) {
  const mesh = { workers: [sampleWorker], requests: [{ requestId, tokens: 1 }] }
  const rig = await createGatewayRig({
    settings,
    port: {
      workers: () => mesh.workers,
      requests: () => mesh.requests,
    },
  })
  const watch = async () => {
    const abort = new AbortController()
    onTestFinished(() => abort.abort())
    const reply = await fetch(`${await rig.url()}/v1/mesh/events`, { signal: abort.signal })
    const events = reply.body ? readEventStream(reply.body) : undefined
    const next = async (): Promise<ServerEvent | undefined> => (await events?.next())?.value ?? undefined
    return { reply, next }
  }
  return { ...rig, mesh, watch }
}

describe('/v1/mesh/events', () => {
  it('tells all there is, and then what changed and what is gone', async () => {
    const { watch, mesh } = await createRig()
    const { next, reply } = await watch()
    expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const first = [await next(), await next(), await next()]
    expect(first.map((event) => event?.name)).toEqual(['status', 'workers', 'requests'])
    expect(first.map((event) => JSON.parse(event?.data ?? '') as unknown)).toMatchObject([
      { changed: [{ network: { peers: 2 } }], gone: [] },
      { changed: [{ workerId: sampleWorker.workerId }], gone: [] },
      { changed: [{ requestId, tokens: 1 }], gone: [] },
    ])
    mesh.workers = [{ ...sampleWorker, workerId: otherId }]
    expect(await next()).toEqual({
      name: 'workers',
      data: expect.stringMatching(
        `^\\{"changed":\\[\\{"workerId":"${otherId}".*"gone":\\["${sampleWorker.workerId}"\\]`,
      ),
    })
    mesh.requests = [{ requestId, tokens: 2 }]
    expect(await next()).toEqual({
      name: 'requests',
      data: `{"changed":[{"requestId":"${requestId}","tokens":2}],"gone":[]}`,
    })
  })

  it('gives a sign of life, and no news where there is none', async () => {
    const { watch } = await createRig({ limits: { heartbeatMs: 30 } })
    const { next } = await watch()
    for (let event = 0; event < 3; event++) await next()
    expect([await next(), await next()]).toEqual([
      { name: 'comment', data: 'still here' },
      { name: 'comment', data: 'still here' },
    ])
  })

  it('ends when the gateway is about to close, and refuses more readers than it has room for', async () => {
    const { watch, drain } = await createRig()
    const watching = await Promise.all(Array.from({ length: 64 }, watch))
    const { reply } = await watch()
    expect(reply.status).toBe(429)
    await drain()
    for (const { next } of watching) {
      for (let event = 0; event < 3; event++) await next()
      expect(await next()).toBeUndefined()
    }
    expect((await watch()).reply.status).toBe(503)
  })
})
