import { once } from 'node:events'
import { expect, it } from 'vitest'
import { cli, startCli } from '../bin/cli.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

/** `qmesh-node up` in a process of its own, and the commands that reach it. */
async function startNode(mesh: TestMesh) {
  const home = await mesh.tempDir()
  const env = {
    QMESH_DATA_DIR: `${home}/node`,
    QMESH_BOOTSTRAP: mesh.bootstrap.join(','),
    QMESH_SECRET: mesh.secret,
    QMESH_HOST: '127.0.0.1',
    QMESH_MDNS: 'false',
    QMESH_GPU_LAYERS: '0',
  }
  const up = ['up', '--model', mesh.modelPath, '--context-tokens', '512', '--slots', '1', '--threads', '1']
  const child = startCli(home, [...up, '--no-pause-when-busy', '--json'], { env })
  // With --json it prints its status once, when it is ready.
  let text = ''
  for await (const part of child.stdout.setEncoding('utf8')) {
    text += part
    if (text.endsWith('\n}\n')) break
  }
  const { id } = JSON.parse(text) as { id: string }
  return { child, id, run: (...args: string[]) => cli(home, args, { env }) }
}

it('the command line drains a node, resumes it, and asks it why', async () => {
  const mesh = await createTestMesh()
  const other = await mesh.worker()
  const node = await startNode(mesh)
  const client = await mesh.client()
  const accepting = () =>
    client
      .workers()
      .filter(({ accepting, models }) => accepting && models.length > 0)
      .map(({ workerId }) => workerId)
  await expect.poll(accepting).toHaveLength(2)

  const drained = await node.run('drain', '--wait', '--timeout', '20')
  expect(drained).toMatchObject({ code: 0, stdout: 'paused: drained; "qmesh-node resume" serves again\n' })
  expect(accepting()).toEqual([other.id])
  expect((await client.ask('elsewhere', { maxTokens: 4 }).result).workerId).toBe(other.id)
  expect((await node.run('status')).stdout).toMatch(/^paused +drained/m)

  // The owner's own question goes to the own worker all the same.
  const own = await node.run('ask', '--local', '--json', '-n', '8', '-t', '0', 'mine')
  const { requestId, workerId } = JSON.parse(own.stdout) as { requestId: string; workerId: string }
  expect(workerId).toBe(node.id)
  const why = await node.run('why', requestId.slice(0, 10), '--replay')
  expect(why.code).toBe(0)
  expect(why.stdout).toContain(`request ${requestId}\n`)
  expect(why.stdout).toMatch(/^outcome answered, 8 tokens, /m)
  expect(why.stdout).toMatch(/^ +chosen of 2 known workers: .*; made again: the same$/m)
  expect(why.stdout).toMatch(/out: excluded$/m)
  const unknown = await node.run('why', 'ffffffffffffffff')
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error QM_REQUEST_UNKNOWN: /) })

  expect(await node.run('resume')).toMatchObject({ code: 0, stdout: 'serving\n' })
  await expect.poll(accepting).toHaveLength(2)
  node.child.kill('SIGTERM')
  expect(await once(node.child, 'exit')).toEqual([0, null])
}, 180_000)

it('ask --why explains a question that needed no running node', async () => {
  const mesh = await createTestMesh()
  const home = await mesh.tempDir()
  const run = await cli(
    home,
    ['ask', '--why', '--model', mesh.modelPath, '--no-mdns', '-n', '6', '-t', '0', 'hi'],
    {
      env: { QMESH_BOOTSTRAP: mesh.bootstrap.join(','), QMESH_SECRET: mesh.secret, QMESH_GPU_LAYERS: '0' },
    },
  )
  expect(run.code).toBe(0)
  expect(run.stdout.trim()).not.toBe('')
  expect(run.stderr).toMatch(/^outcome answered, 6 tokens, /m)
  expect(run.stderr).toMatch(/^try 1 at \d+ ms: tiny on /m)
}, 180_000)
