import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MeshFeed } from '../../../actors/gateway/mesh-feed.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { createGatewayRig, sampleWorker } from '../../support/gateway-rig.ts'
import { eventually } from '../../support/eventually.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

/** A feed of a mesh that changes whenever it is looked at. */
async function createRig(count = 1) {
  const { options } = await createGatewayRig()
  const looks = { count: 0 }
  const workers = () => {
    looks.count++
    return Array.from({ length: count }, (_, index) => ({
      ...sampleWorker,
      workerId: String(index).padStart(64, '0'),
      answers: looks.count,
    }))
  }
  const feed = new MeshFeed({
    port: { ...options.port, workers },
    limits: { heartbeatMs: 20_000 },
    isDraining: () => false,
  })
  return { feed, looks }
}

function read(stream: { read(): unknown }): string {
  const text = stream.read()
  return typeof text === 'string' ? text : ''
}

describe('the feed of the mesh', () => {
  it('one who reads slowly hears of many changes together, and nothing piles up meanwhile', async () => {
    const { feed } = await createRig(500)
    const stream = feed.watch()
    stream.read(0)
    const waiting = stream.readableLength
    expect(waiting).toBeGreaterThan(stream.readableHighWaterMark)
    vi.advanceTimersByTime(50 * 500)
    expect(stream.readableLength).toBe(waiting)
    expect(read(stream).includes('"answers":1,')).toBe(true)
    await eventually(() => expect(stream.readableLength).toBeGreaterThan(0))
    const next = read(stream)
    expect(next.match(/^event: /gm)).toEqual(['event: '])
    // Waiting for it lets the feed look once more.
    expect(/"answers":5[12],/.test(next)).toBe(true)
  })

  it('time that passes and counts that grow are no news', async () => {
    const { options } = await createGatewayRig()
    let uptimeMs = 0
    const totals = { servedPromptTokens: 0, receivedTokens: 0, givenModelBytes: 0, fetchedModelBytes: 0 }
    const status = () => ({
      ...options.port.status(),
      uptimeMs: ++uptimeMs,
      totals: { ...totals, servedTokens: uptimeMs },
    })
    const feed = new MeshFeed({
      port: { ...options.port, status },
      limits: { heartbeatMs: 20_000 },
      isDraining: () => false,
    })
    const stream = feed.watch()
    expect(read(stream)).toContain('event: status')
    vi.advanceTimersByTime(2_000)
    expect(uptimeMs).toBeGreaterThan(3)
    expect(read(stream)).toBe('')
    stream.destroy()
  })

  it('a node that cannot be looked at takes nobody a place, and ends no more than the streams', async () => {
    const { options } = await createGatewayRig()
    let isUp = false
    const status: typeof options.port.status = () => {
      if (!isUp) throw new QMeshError('QM_NODE_STOPPED', 'The node is not up yet.')
      return options.port.status()
    }
    const feed = new MeshFeed({
      port: { ...options.port, status },
      limits: { heartbeatMs: 20_000 },
      isDraining: () => false,
    })
    expect(() => feed.watch()).toThrow('not up yet')
    expect(feed.watchers).toBe(0)
    isUp = true
    const stream = feed.watch()
    const failed = once(stream, 'error')
    isUp = false
    vi.advanceTimersByTime(500)
    expect(await failed).toMatchObject([{ code: 'QM_NODE_STOPPED' }])
    await eventually(() => expect(feed.watchers).toBe(0))
    isUp = true
    expect(feed.watch()).toBeDefined()
  })

  it('looks once for all who watch, and not at all while nobody does', async () => {
    const { feed, looks } = await createRig()
    vi.advanceTimersByTime(5_000)
    expect(looks.count).toBe(0)
    const streams = [feed.watch(), feed.watch(), feed.watch()]
    vi.advanceTimersByTime(500)
    expect(looks.count).toBe(2)
    for (const stream of streams) stream.destroy()
    await eventually(() => expect(feed.watchers).toBe(0))
    vi.advanceTimersByTime(5_000)
    expect(looks.count).toBe(2)
    read(feed.watch())
    expect(looks.count).toBe(3)
  })
})
