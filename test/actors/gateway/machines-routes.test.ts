import { get as httpGet, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { createActor, createMachine } from 'xstate'
import { expect, it, onTestFinished } from 'vitest'
import type { ActorTree, InspectionFrame, MachineGraph } from '../../../protocol/inspection.ts'
import { Inspector, type InspectorBounds } from '../../../runtime/inspect/inspector.ts'
import type { InspectionWatcher, InspectorPort } from '../../../actors/gateway/inspector.port.ts'
import { createGatewayRig } from '../../support/gateway-rig.ts'

const lamp = createMachine({
  id: 'lamp',
  initial: 'off',
  states: { off: { on: { press: 'on' } }, on: { on: { press: 'off' } } },
})

async function createRig(bounds: Partial<InspectorBounds> = {}, keys: readonly string[] = []) {
  const actor = createActor(lamp, { systemId: 'lamp' }).start()
  const inspector = new Inspector(actor, bounds)
  onTestFinished(() => inspector.close())
  const rig = await createGatewayRig({ settings: { keys, limits: { heartbeatMs: 30 } }, inspector })
  /** Events over a real connection, read as they are asked for. */
  const watch = async () => {
    const request = httpGet(`${await rig.url()}/machines/events`)
    onTestFinished(() => void request.destroy())
    const [reply] = (await once(request, 'response')) as [IncomingMessage]
    let text = ''
    reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    const frames = () =>
      text
        .split('\n\n')
        .slice(0, -1)
        .filter((block) => block.startsWith('data: '))
        .map((block) => JSON.parse(block.slice(6)) as InspectionFrame)
    return { request, reply, frames, text: () => text }
  }
  return { ...rig, actor, inspector, watch }
}

it('the tree and its graphs can be read', async () => {
  const { get, actor } = await createRig()
  const tree = (await get('/machines/tree')).json<ActorTree>()
  expect(tree.actors).toMatchObject([{ id: actor.sessionId, systemId: 'lamp', value: 'off' }])
  const reply = await get(`/machines/graphs/${tree.actors[0]?.graph}`)
  expect(reply.json<MachineGraph>().transitions.map(({ id }) => id)).toEqual(['off|press|0', 'on|press|0'])
  expect((await get('/machines/graphs/nobodys')).statusCode).toBe(404)
})

it('the document of the API describes them; a gateway without an inspector has none', async () => {
  const { get } = await createRig()
  const { paths } = (await get('/openapi.json')).json<{ paths: object }>()
  expect(Object.keys(paths).filter((path) => path.startsWith('/machines'))).toEqual([
    '/machines/tree',
    '/machines/graphs/{id}',
    '/machines/events',
  ])
  const without = await createGatewayRig()
  expect((await without.get('/machines/tree')).statusCode).toBe(404)
})

it('events come as they happen, with signs of life between them, until the reader leaves', async () => {
  const { actor, inspector, watch } = await createRig()
  const { request, reply, frames, text } = await watch()
  expect(reply.headers['content-type']).toMatch(/^text\/event-stream/)
  await expect.poll(() => frames()[0]?.type).toBe('hello')
  expect(inspector.isAttached).toBe(true)
  actor.send({ type: 'press' })
  await expect
    .poll(() => frames()[1])
    .toMatchObject({ type: 'entries', entries: [{ event: 'press', value: 'on' }] })
  await expect.poll(text).toContain(': still here')
  request.destroy()
  await expect.poll(() => inspector.isAttached).toBe(false)
})

it('as many may watch as may, and the next is told to come back', async () => {
  const { watch } = await createRig({ watchersMax: 1 })
  const first = await watch()
  const second = await watch()
  expect(second.reply.statusCode).toBe(429)
  expect(second.reply.headers['retry-after']).toBe('10')
  first.request.destroy()
  await expect.poll(async () => (await watch()).reply.statusCode).toBe(200)
})

it('for a reader that does not read a bounded heap waits, and what it missed is asked for when it reads', async () => {
  let watcher: InspectionWatcher | undefined
  let resumed = 0
  const inspector: InspectorPort = {
    tree: () => ({ run: '', atMs: 0, actors: [], actorsLeftOut: 0 }),
    graph: () => undefined,
    watch: (given) => {
      watcher = given
      return { resume: () => resumed++, close: () => {} }
    },
  }
  const { url } = await createGatewayRig({ inspector })
  const request = httpGet(`${await url()}/machines/events`)
  onTestFinished(() => void request.destroy())
  const taken = once(request, 'response') as Promise<[IncomingMessage]>
  await expect.poll(() => watcher).toBeDefined()
  const frame = { type: 'entries', entries: [], dropped: 0 } as const
  const json = JSON.stringify({ text: 'x'.repeat(256 * 1024) })
  let frames = 0
  // What the sockets hold comes on top; it is taken out of the heap in turns of the event loop.
  for (let refusals = 0; refusals < 3;) {
    if (watcher?.take(json, frame) === true) frames++
    else refusals++
    await new Promise((resolve) => setImmediate(resolve))
    expect(frames).toBeLessThan(100)
  }
  expect(frames).toBeGreaterThan(3)
  const before = resumed
  const [reply] = await taken
  reply.resume()
  await expect.poll(() => resumed).toBeGreaterThan(before)
  await expect.poll(() => watcher?.take(json, frame)).toBe(true)
})

it('with keys it needs one; from another name it is refused', async () => {
  const { get } = await createRig({}, ['0123456789abcdef'])
  for (const path of ['/machines/tree', '/machines/graphs/x', '/machines/events'])
    expect((await get(path)).statusCode).toBe(401)
  expect((await get('/machines/tree', { authorization: 'Bearer 0123456789abcdef' })).statusCode).toBe(200)
  const open = await createRig()
  expect((await open.get('/machines/tree', { host: 'evil.example' })).statusCode).toBe(403)
  expect((await open.get('/machines/tree', { origin: 'http://evil.example' })).statusCode).toBe(403)
})

it('a gateway that drains says goodbye to those who watch: they would keep it for ever', async () => {
  const { drain, watch, inspector } = await createRig()
  const { reply, frames } = await watch()
  await expect.poll(() => frames().length).toBe(1)
  const ended = once(reply, 'end')
  await drain()
  await ended
  expect(frames().at(-1)).toEqual({ type: 'bye' })
  await expect.poll(() => inspector.isAttached).toBe(false)
})

it('a gateway that drains takes no new watcher: a page that comes back at once would hold it', async () => {
  const { drain, watch } = await createRig()
  const { reply } = await watch()
  const ended = once(reply, 'end')
  const drained = drain()
  await ended
  const again = await watch()
  expect(again.reply.statusCode).toBe(503)
  expect(again.reply.headers['x-qmesh-error']).toBe('QM_NODE_STOPPED')
  await drained
})
