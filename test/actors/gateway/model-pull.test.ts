import { describe, expect, it } from 'vitest'
import type { GatewayModels } from '../../../actors/gateway/gateway.port.ts'
import { readEventStream } from '../../../console/api/event-stream.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { createGatewayRig, readEvents } from '../../support/gateway-rig.ts'

type PullOptions = NonNullable<Parameters<GatewayModels['pull']>[1]>

const path = '/v1/mesh/models/pull'
const progress = { id: 'tiny', stage: 'fetching', doneBytes: 5, totalBytes: 10, bytesPerSecond: 5 }
const failure = { source: 'peers', message: 'nobody has it' }
const pulled = { id: 'tiny', hash: 'ef'.repeat(32), bytes: 10, path: '/models/x', wasHere: false }

/** A node whose models come as the test says. */
function createRig(pull: (name: string, options: PullOptions) => Promise<object>) {
  const asked: { readonly name: string; readonly options: PullOptions }[] = []
  const models: GatewayModels = {
    library: { search: () => [], store: { refresh: () => Promise.resolve() } },
    seeds: () => Promise.resolve([]),
    pull: (name, options = {}) => {
      asked.push({ name, options })
      return pull(name, options)
    },
  }
  return createGatewayRig({ port: { models } }).then((rig) => ({ ...rig, pulls: asked }))
}

describe(`POST ${path}`, () => {
  it('tells how far it is, which sources failed, and what came', async () => {
    const { post } = await createRig(async (_, { onProgress, onSourceFailed }) => {
      onProgress?.({ ...progress, doneBytes: 1 })
      onSourceFailed?.(failure)
      // Nobody has read the first one yet: only the latest counts.
      onProgress?.(progress)
      return pulled
    })
    const reply = await post(path, { name: 'tiny' })
    expect(reply.headers['content-type']).toMatch(/^text\/event-stream/)
    const { names, data } = readEvents(reply.body)
    expect(names).toEqual(['progress', 'source-failed', 'done'])
    expect(data).toEqual([progress, failure, pulled])
  })

  it('a failure is a status before the first event, and an event after it', async () => {
    const fail = (): never => {
      throw new QMeshError('QM_MODEL_NOT_FOUND', 'nobody knows "tinny"; did you mean "tiny"?')
    }
    const early = await createRig(async () => fail())
    const reply = await early.post(path, { name: 'tinny' })
    expect(reply.statusCode).toBe(404)
    expect(reply.json()).toMatchObject({ error: { code: 'model_not_found', message: /did you mean/ } })
    const late = await createRig(async (_, { onProgress }) => {
      onProgress?.(progress)
      return fail()
    })
    const { names, data } = readEvents((await late.post(path, { name: 'tinny' })).body)
    expect(names).toEqual(['progress', 'error'])
    expect(data[1]).toMatchObject({ error: { qmesh_code: 'QM_MODEL_NOT_FOUND' } })
  })

  it.each([0, 1])('a caller that hangs up after %i events ends it', async (events) => {
    const rig = await createRig((_, { signal, onProgress }) => {
      if (events > 0) onProgress?.(progress)
      return new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(new QMeshError('QM_CANCELLED'))),
      )
    })
    const abort = new AbortController()
    const replied = fetch(`${await rig.url()}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'tiny' }),
      signal: abort.signal,
    })
    await expect.poll(() => rig.pulls.length).toBe(1)
    if (events > 0) {
      const { body } = await replied
      if (!body) throw new Error('an answer has a body')
      expect((await readEventStream(body).next()).value).toMatchObject({ name: 'progress' })
    }
    abort.abort()
    await replied.catch(() => undefined)
    await expect.poll(() => rig.pulls[0]?.options.signal?.aborted).toBe(true)
    expect(rig.defects).toEqual([])
  })

  it.each([0, 1])('a node that stops does not wait for it, after %i events', async (events) => {
    const rig = await createRig((_, { signal, onProgress }) => {
      if (events > 0) onProgress?.(progress)
      return new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(new QMeshError('QM_CANCELLED'))),
      )
    })
    const replied = rig.post(path, { name: 'tiny' })
    await expect.poll(() => rig.pulls.length).toBe(1)
    await rig.drain()
    const reply = await replied
    expect(reply.statusCode).toBe(events > 0 ? 200 : 503)
    expect(reply.body).toContain('QM_NODE_STOPPED')
  })

  it('no page from elsewhere can start it, whatever it sends', async () => {
    const { server, pulls } = await createRig(() => Promise.resolve(pulled))
    const body = JSON.stringify({ name: 'tiny' })
    const sent = [
      // What a form or a script can send without the browser asking first.
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'multipart/form-data; boundary=x' },
      {},
      { 'content-type': 'application/json', origin: 'https://elsewhere.example' },
      { 'content-type': 'application/json', origin: 'null' },
      // A name of theirs that resolves to this machine.
      { 'content-type': 'application/json', host: 'elsewhere.example', origin: 'http://elsewhere.example' },
    ]
    for (const headers of sent) {
      const reply = await server.inject({
        method: 'POST',
        url: path,
        payload: body,
        headers: { host: 'localhost:11500', ...headers },
      })
      expect(reply.statusCode).toBeGreaterThanOrEqual(400)
    }
    expect(
      (await server.inject({ method: 'GET', url: path, headers: { host: 'localhost' } })).statusCode,
    ).toBe(404)
    expect(pulls).toEqual([])
    const own = {
      host: 'localhost:11500',
      origin: 'http://localhost:11500',
      'content-type': 'application/json',
    }
    await server.inject({ method: 'POST', url: path, payload: body, headers: own })
    expect(pulls).toMatchObject([{ name: 'tiny' }])
  })

  it.each([
    '/etc/passwd',
    './manifest.json',
    'http://127.0.0.1/x.gguf',
    'file:///x',
    'hf:../x',
    '',
    5,
    '-x',
    'manifest.json',
    'hf:o/r/x.JSON',
  ])('does not fetch %j', async (name) => {
    const { post, pulls } = await createRig(() => Promise.resolve(pulled))
    expect((await post(path, { name })).statusCode).toBe(400)
    expect(pulls).toEqual([])
  })

  it.each(['tiny', 'ab'.repeat(32), 'hf:owner/repo/model.gguf@main', 'https://example.org/a.gguf'])(
    'fetches %s',
    async (name) => {
      const { post, pulls } = await createRig(() => Promise.resolve(pulled))
      expect((await post(path, { name })).statusCode).toBe(200)
      expect(pulls).toMatchObject([{ name }])
    },
  )

  it('a node that keeps no models says so', async () => {
    const { post, get } = await createGatewayRig()
    expect((await post(path, { name: 'tiny' })).statusCode).toBe(501)
    expect((await get('/v1/mesh/models')).json()).toMatchObject({
      canPull: false,
      mesh: [{ id: 'smollm2-135m', workers: 1 }, { id: 'tiny' }],
      serving: [{ id: 'tiny', state: 'ready' }],
    })
  })
})
