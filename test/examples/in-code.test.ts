import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { meshVariables } from '../mesh/support/up.ts'
import { createFreshFolder } from './support/fresh-folder.ts'
import { type InstalledNode, startInstalledNode } from './support/installed-node.ts'

let node: InstalledNode

beforeAll(async () => {
  node = await startInstalledNode()
})
afterAll(() => node.stop())

it('ask.mjs: a client in ten lines asks the worker of another process', async () => {
  const folder = await createFreshFolder('ask.mjs')
  const args = ['ask.mjs', 'Who are you?']
  const { code, stdout, stderr } = await folder.run(process.execPath, args, meshVariables(node.mesh))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/nano|mesh/i)
  expect(stdout).toContain(`\n(nano, worker ${node.id.slice(0, 8)})\n`)
})

it('fastify-service.mjs: routes that ask, explain and show, and a clean end', async () => {
  const folder = await createFreshFolder('fastify-service.mjs')
  const service = folder.start(process.execPath, ['fastify-service.mjs'], {
    ...meshVariables(node.mesh),
    PORT: '0',
  })
  const exited = once(service, 'exit')
  let printed = ''
  service.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  service.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text))
  await expect.poll(() => printed, { timeout: 30_000 }).toContain('listening on')
  const url = /listening on (.*)/.exec(printed)?.[1] ?? ''
  const get = (path: string) => fetch(`${url}${path}`, { redirect: 'manual' })

  const answer = (await (await get('/ask?q=What+is+QMesh%3F')).json()) as Record<string, string>
  expect(answer).toMatchObject({ modelId: 'nano', text: expect.stringMatching(/mesh/i) as string })
  expect(await (await get(`/why/${answer['requestId']}`)).json()).toMatchObject({
    state: 'answered',
    attempts: [{ workerId: answer['workerId'] }],
  })
  expect(await (await get('/stream?q=Who+are+you%3F')).text()).toMatch(/nano|mesh/i)
  const missing = await get('/why/ffff')
  expect([missing.status, await missing.json()]).toMatchObject([404, { code: 'QM_REQUEST_UNKNOWN' }])
  expect((await get('/ask')).status).toBe(400)
  // A failure before the first word of a stream still has a status: this question is longer than the model's context.
  const tooLong = await get(`/stream?q=${'word+'.repeat(1_900)}`)
  expect([tooLong.status, await tooLong.json()]).toMatchObject([400, { code: 'QM_CONTEXT_EXCEEDED' }])

  const { id } = (await (await get('/status')).json()) as { id: string }
  expect(id).toMatch(/^[0-9a-f]{64}$/)
  // The actors of this very node.
  const machines = (await get('/machines')).headers.get('location') ?? ''
  const tree = (await (await fetch(`${machines}machines/tree`)).json()) as { actors: { systemId?: string }[] }
  expect(tree.actors.map(({ systemId }) => systemId)).toEqual(expect.arrayContaining(['swarm', 'scheduler']))

  service.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
  expect(printed).toBe(`listening on ${url}\n`)
  await expect(fetch(machines)).rejects.toThrow('fetch failed')
})

it('own-actor.mjs: an actor under the node’s supervisor notices the line, and its end', async () => {
  const folder = await createFreshFolder('own-actor.mjs')
  const { code, stdout, stderr } = await folder.run(
    process.execPath,
    ['own-actor.mjs'],
    // Alone: whoever else had slots would take from the line.
    { ...meshVariables(node.mesh), QMESH_SECRET: 'nobody else is in here' },
  )
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^a long line: \d+ wait\nnobody waits any more\nits supervisor says: running\n$/)
})
