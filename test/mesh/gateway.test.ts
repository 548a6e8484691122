import { fork } from 'node:child_process'
import { once } from 'node:events'
import OpenAI, { APIConnectionError, APIError, NotFoundError } from 'openai'
import { expect, it, onTestFinished } from 'vitest'
import type { NodeOptions, QMeshClient } from '../../runtime/index.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

/** A node in front of the mesh, with OpenAI's own client in front of it. */
async function createFront(mesh: TestMesh, options: NodeOptions = {}) {
  const node = await mesh.client({ gateway: true, gatewayPort: 0, ...options })
  const url = node.status().gateway?.url ?? ''
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  const ask = (apiKey = 'none'): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })
  return { node, url, ask, openai: ask() }
}

const seen = (node: QMeshClient, workers: number): Promise<void> =>
  expect.poll(() => node.workers().filter(({ models }) => models.length > 0).length).toBe(workers)

const user = (content: string) => [{ role: 'user' as const, content }]

it('OpenAI’s client talks to the built-in model of another node', async () => {
  const mesh = await createTestMesh()
  const { node, openai, url } = await createFront(mesh)
  // More requests in a row than a newcomer may send.
  const worker = await mesh.worker({ models: undefined, tiers: { [node.id]: 'master' } })
  await seen(node, 1)
  const asked = { model: 'nano', messages: user('What is QMesh?'), temperature: 0, max_tokens: 60 }
  const expected = (await node.ask('What is QMesh?', { temperature: 0, maxTokens: 60 }).result).text

  // Models.
  expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(['nano'])
  expect(await openai.models.retrieve('nano')).toMatchObject({ owned_by: 'qmesh', context_length: 1_024 })

  // Chat, whole.
  const { data: chat, response } = await openai.chat.completions.create(asked).withResponse()
  expect(chat.choices[0]?.message.content).toBe(expected)
  expect(chat.usage).toMatchObject({ completion_tokens: expect.any(Number) })
  expect(response.headers.get('x-qmesh-worker')).toBe(worker.id)
  const why = await fetch(`${url}/v1/mesh/requests/${chat.id}/why`)
  expect(await why.json()).toMatchObject({ state: 'answered', attempts: [{ workerId: worker.id }] })

  // Chat, streamed, with usage.
  const stream = await openai.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  })
  let text = ''
  let usage: OpenAI.CompletionUsage | null | undefined
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    usage = chunk.usage
  }
  expect(text).toBe(expected)
  expect(usage).toMatchObject({
    prompt_tokens: chat.usage?.prompt_tokens,
    completion_tokens: chat.usage?.completion_tokens,
  })

  // A stop string ends it, and does not come.
  const [firstWord = ''] = expected.trim().split(' ')
  const stopped = await openai.chat.completions.create({ ...asked, stop: [firstWord] })
  expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: '' } })

  // The same seed says the same, others something else.
  const wide = { temperature: 2, top_p: 1, top_k: 0, min_p: 0 } as { temperature: number }
  const draw = (seed: number) =>
    openai.completions
      .create({ model: 'nano', prompt: 'Once', ...wide, seed, n: 3, max_tokens: 12 })
      .then(({ choices }) => choices.map(({ text: drawn }) => drawn))
  const [one, again] = [await draw(1), await draw(1)]
  expect(again).toEqual(one)
  expect(new Set(one).size).toBeGreaterThan(1)

  // JSON by a schema, and any JSON.
  const schema = {
    type: 'object',
    properties: { name: { type: 'string', maxLength: 8 }, peers: { type: 'integer' } },
    required: ['name', 'peers'],
    additionalProperties: false,
  }
  const shaped = await openai.chat.completions.create({
    ...asked,
    max_tokens: 200,
    response_format: { type: 'json_schema', json_schema: { name: 'mesh', strict: true, schema } },
  })
  expect(JSON.parse(shaped.choices[0]?.message.content ?? '')).toEqual({
    name: expect.any(String),
    peers: expect.any(Number),
  })
  const free = await openai.chat.completions.create({ ...asked, response_format: { type: 'json_object' } })
  expect(free.choices[0]?.message.content).toMatch(/^\{\s*"/)

  // The older and the newer API.
  const completion = await openai.completions.create({ model: 'auto', prompt: 'A mesh', max_tokens: 4 })
  expect(completion.choices[0]).toMatchObject({ finish_reason: 'length' })
  const newer = await openai.responses.create({ model: 'nano', input: 'What is QMesh?', temperature: 0 })
  expect(expected.startsWith(newer.output_text.slice(0, 40))).toBe(true)
  const events = await openai.responses.create({
    model: 'nano',
    input: 'What is QMesh?',
    temperature: 0,
    stream: true,
  })
  let said = ''
  for await (const event of events) if (event.type === 'response.output_text.delta') said += event.delta
  expect(said).toBe(newer.output_text)

  // Ten at once.
  const ten = await Promise.all(Array.from({ length: 10 }, () => openai.chat.completions.create(asked)))
  expect(new Set(ten.map(({ choices }) => choices[0]?.message.content))).toEqual(new Set([expected]))

  // Errors, as the client's own classes.
  await expect(openai.chat.completions.create({ ...asked, model: 'nanno' })).rejects.toThrow(NotFoundError)
  await expect(openai.chat.completions.create({ ...asked, max_tokens: 2_000 })).rejects.toMatchObject({
    status: 400,
    code: 'context_length_exceeded',
  })
  await expect(openai.chat.completions.create({ ...asked, logprobs: true })).rejects.toMatchObject({
    status: 400,
    code: 'unsupported_parameter',
    param: 'logprobs',
  })
  await expect(openai.embeddings.create({ model: 'nano', input: 'x' })).rejects.toMatchObject({ status: 400 })

  // What was counted.
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toMatch(/^qmesh_requests_total\{outcome="answered",code="stop"\} \d\d/m)
  expect(metrics).toContain('qmesh_peers 1')
  // What came through the gateway and what did not, counted on both sides.
  const { receivedTokens = 0 } = node.status().totals ?? {}
  expect(receivedTokens).toBeGreaterThan(60)
  expect(metrics).toContain(`qmesh_received_tokens_total ${receivedTokens}`)
  expect(worker.status().totals?.servedTokens).toBeGreaterThanOrEqual(receivedTokens)
  expect(worker.status().totals?.servedPromptTokens).toBeGreaterThan(0)
  expect(metrics).toMatch(/^qmesh_score 0$/m)
  expect(node.status().account).toMatchObject({ tier: 'bronze', score: 0 })
  expect(node.workers()).toMatchObject([{ tier: 'bronze' }])
  expect(node.requests()[0]).toMatchObject({ workerId: worker.id })

  // Nobody listens any more once the node has stopped.
  await node.stop()
  await expect(openai.models.list()).rejects.toThrow(APIConnectionError)
})

it('a caller that aborts in the middle frees the slot, and one that is slow keeps nobody else waiting', async () => {
  const mesh = await createTestMesh()
  const worker = await mesh.worker({ models: [mesh.model({ slots: 2 })] })
  const { node, openai } = await createFront(mesh)
  await seen(node, 1)
  const endless = { model: 'tiny', messages: user('go on'), temperature: 0, max_tokens: 400 }
  // One reader has stopped reading; others are answered all the same.
  const slow = await openai.chat.completions.create({ ...endless, stream: true })
  const reader = slow[Symbol.asyncIterator]()
  await reader.next()
  const quick = await openai.chat.completions.create({ ...endless, max_tokens: 8 })
  expect(quick.usage?.completion_tokens).toBe(8)

  const stream = await openai.chat.completions.create({ ...endless, stream: true })
  let chunks = 0
  for await (const _ of stream) {
    if (++chunks === 5) stream.controller.abort()
  }
  slow.controller.abort()
  await expect.poll(() => worker.status().queue.slotsBusy).toBe(0)
  await expect.poll(() => node.requests().filter(({ state }) => state === 'open').length).toBe(0)
})

it('a stream survives the kill -9 of its worker, and is the one it would have been', async () => {
  const mesh = await createTestMesh()
  const forkWorker = async () => {
    const child = fork(
      new URL('support/worker-process.ts', import.meta.url),
      [mesh.modelPath, await mesh.tempDir(), mesh.secret, ...mesh.bootstrap],
      { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    const [id] = (await once(child, 'message')) as [string]
    return { child, id }
  }
  const [workers, { node, openai, url }] = await Promise.all([
    Promise.all([forkWorker(), forkWorker()]),
    createFront(mesh),
  ])
  await seen(node, 2)
  const asked = { model: 'tiny', messages: user('about to die'), temperature: 0, max_tokens: 400 }
  const whole = await openai.chat.completions.create(asked)
  const { data: stream, response } = await openai.chat.completions
    .create({ ...asked, stream: true })
    .withResponse()
  const served = workers.find(({ id }) => id === response.headers.get('x-qmesh-worker'))
  let text = ''
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    if (text.length > 40 && served?.child.killed === false) served.child.kill('SIGKILL')
  }
  expect(served?.child.killed).toBe(true)
  expect(text).toBe(whole.choices[0]?.message.content)
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toMatch(/^qmesh_handovers_total\{code="QM_WORKER_LOST"\} [1-9]/m)
})

it('keys, names and ports: who may not come in does not, and what cannot be is refused at the start', async () => {
  const mesh = await createTestMesh()
  const keys = ['a-key-of-sixteen-characters']
  const { ask, url, node } = await createFront(mesh, { gatewayKeys: keys })
  await expect(ask('wrong').models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' })
  expect((await ask(keys[0]).models.list()).data).toEqual([])
  await expect(
    ask(keys[0]).chat.completions.create({ model: 'nano', messages: user('hi') }, { timeout: 400 }),
  ).rejects.toThrow(APIError)
  expect((await fetch(`${url}/readyz`)).status).toBe(503)

  // The port is taken: who asked for the gateway is told, who did not goes on without it.
  const gatewayPort = Number(new URL(url).port)
  await expect(mesh.client({ gateway: true, gatewayPort })).rejects.toMatchObject({
    code: 'QM_PORT_TAKEN',
    message: expect.stringContaining(String(gatewayPort)),
  })
  const without = await mesh.client({ gateway: true, gatewayPort, isGatewayRequired: false })
  expect(without.status().gateway).toMatchObject({ state: 'failed', error: { code: 'QM_PORT_TAKEN' } })
  // Reachable from elsewhere, and open to everybody: not without a key.
  await expect(mesh.client({ gateway: true, gatewayHost: '0.0.0.0', gatewayPort: 0 })).rejects.toMatchObject({
    code: 'QM_CONFIG_INVALID',
    message: expect.stringContaining('gatewayKeys'),
  })
  const open = await mesh.client({ gateway: true, gatewayHost: '0.0.0.0', gatewayPort: 0, gatewayKeys: keys })
  expect(open.status().gateway?.state).toBe('listening')
  expect(node.status().gateway?.state).toBe('listening')
})
