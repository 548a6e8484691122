import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createFreshFolder } from './support/fresh-folder.ts'
import { type InstalledNode, startInstalledNode } from './support/installed-node.ts'

let node: InstalledNode

beforeAll(async () => {
  node = await startInstalledNode()
})
afterAll(() => node.stop())

/** What the examples ask is answered by a small model that knows little else. */
const aboutTheMesh = /mesh|nano/i

async function run(example: string, command = process.execPath) {
  const folder = await createFreshFolder(example)
  const asked = await requests()
  const { code, stdout, stderr } = await folder.run(command, [example], { QMESH_URL: node.url })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const line = (name: string): string => new RegExp(`^${name} *(.+)$`, 'm').exec(stdout)?.[1] ?? ''
  return { stdout, line, asked: (await requests()) - asked }
}

/** How many the node has sent to the mesh so far. */
async function requests(): Promise<number> {
  const reply = await fetch(`${node.url}/v1/mesh/requests`)
  return ((await reply.json()) as unknown[]).length
}

/** An address where somebody was, a moment ago. */
async function nobody(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

it('openai-client.mjs: chat, stream, JSON by a schema, and an error with its codes', async () => {
  const { line, stdout } = await run('openai-client.mjs')
  expect(line('models:')).toBe('nano')
  expect(line('answer:')).toMatch(aboutTheMesh)
  expect(line('worker:')).toBe(node.id)
  expect(line('stream:')).toMatch(aboutTheMesh)
  expect(stdout).toMatch(/^json: +\{\s+sentence: .{2,}\s+legs: [02468],\s+isWild: (true|false)\s+\}$/m)
  expect(line('error:')).toBe('404 model_not_found QM_MODEL_UNKNOWN')
  // The address that it prints leads to the reasons.
  const why = (await (await fetch(line('why:'))).json()) as object
  expect(why).toMatchObject({ state: 'answered', attempts: [{ workerId: node.id }] })
})

it('openai-client.mjs says what to do when there is no node', async () => {
  const folder = await createFreshFolder('openai-client.mjs')
  const url = await nobody()
  const { code, stderr } = await folder.run(process.execPath, ['openai-client.mjs'], { QMESH_URL: url })
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `Nobody answers at ${url}. Start a node there: npx qmesh-node up\n`,
  })
})

it('ai-sdk.mjs: a text, and a stream', async () => {
  const { stdout, line, asked } = await run('ai-sdk.mjs')
  expect(line('answer:')).not.toBe('')
  expect(line('stream:')).toMatch(aboutTheMesh)
  expect(stdout.match(/^ended: +(stop|length) after [1-9]\d* tokens$/gm)).toHaveLength(2)
  expect(asked).toBe(2)
})

it('langchain.mjs: a message, a chain that streams, and a batch', async () => {
  const { line, asked } = await run('langchain.mjs')
  expect(line('answer:')).toMatch(aboutTheMesh)
  expect(line('usage:')).toMatch(/^[1-9]\d* tokens$/)
  expect(line('stream:')).not.toBe('')
  expect(line('batch:')).toBe('3 answers')
  expect(asked).toBe(5)
})

it('curl.sh: models, a chat, a stream, and why', async () => {
  const { stdout } = await run('curl.sh', 'sh')
  const [, models = '', chat = '', stream = '', why = ''] = stdout.split(/^# .*\n/m)
  expect(JSON.parse(models)).toMatchObject({ data: [{ id: 'nano', workers: 1 }] })
  const answer = JSON.parse(chat) as { id: string; choices: { message: { content: string } }[] }
  expect(answer.choices[0]?.message.content).toMatch(aboutTheMesh)
  const events = stream.split('\n\n').filter((event) => event.startsWith('data: {'))
  const text = events
    .map((event) => JSON.parse(event.slice(6)) as { choices: { delta: { content?: string } }[] })
    .map(({ choices }) => choices[0]?.delta.content ?? '')
    .join('')
  expect(text).toMatch(aboutTheMesh)
  expect(stream).toContain(`: x-qmesh-worker ${node.id}`)
  expect(stream).toContain('data: [DONE]')
  expect(JSON.parse(why)).toMatchObject({
    requestId: answer.id.replace('chatcmpl-', ''),
    state: 'answered',
    attempts: [{ workerId: node.id }],
  })
})
