import { once } from 'node:events'
import { expect, it, vi } from 'vitest'
import { cli, startCli } from '../bin/cli.ts'
import type { ScoreRow } from '../../runtime/index.ts'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

/** `qmesh-node up` in a process of its own, and the commands that reach it. */
async function startNode(mesh: TestMesh, { name, isWorker }: { name: string; isWorker: boolean }) {
  const home = await mesh.tempDir()
  const env = {
    QMESH_DATA_DIR: `${home}/node`,
    QMESH_BOOTSTRAP: mesh.bootstrap.join(','),
    QMESH_SECRET: mesh.secret,
    QMESH_HOST: '127.0.0.1',
    QMESH_MDNS: 'false',
    QMESH_GPU_LAYERS: '0',
    QMESH_EPOCH_SECONDS: '2',
    QMESH_STAMP_BITS: '0',
    QMESH_NAME: name,
  }
  const serving = ['--model', mesh.modelPath, '--context-tokens', '512', '--threads', '1']
  const up = ['up', '--no-pause-when-busy', '--json', ...(isWorker ? serving : ['--no-serve'])]
  const child = startCli(home, up, { env })
  let text = ''
  for await (const part of child.stdout.setEncoding('utf8')) {
    text += part
    if (text.endsWith('\n}\n')) break
  }
  const { id } = JSON.parse(text) as { id: string }
  const run = (...args: string[]) => cli(home, args, { env })
  const json = async <T>(...args: string[]) => JSON.parse((await run(...args, '--json')).stdout) as T
  return { child, id, run, json }
}

it('three processes show the same scores, and each tells why', { timeout: 180_000 }, async () => {
  const mesh = await createTestMesh()
  const [first, second, taker] = await Promise.all([
    startNode(mesh, { name: 'first', isWorker: true }),
    startNode(mesh, { name: 'second', isWorker: true }),
    startNode(mesh, { name: 'taker', isWorker: false }),
  ])
  const nodes = [first, second, taker]
  await Promise.all(nodes.map(({ run }) => run('ask', '-n', '4', '-t', '0', 'hello')))
  await Promise.all(nodes.map(({ run }) => run('ask', '-n', '4', '-t', '0', 'hello again')))

  await vi.waitFor(
    async () => {
      const boards = await Promise.all(nodes.map(({ json }) => json<ScoreRow[]>('scores')))
      const [one, two, three] = boards.map((rows) => rows.map(({ isSelf: _, ...row }) => row))
      expect(one?.find(({ id }) => id === taker.id)).toMatchObject({
        name: 'taker',
        payments: 2,
        receipts: 0,
      })
      expect(one?.reduce((sum, { receipts }) => sum + receipts, 0)).toBeGreaterThanOrEqual(2)
      expect(one?.every(({ read, length }) => read === length)).toBe(true)
      expect(two).toEqual(one)
      expect(three).toEqual(one)
    },
    { timeout: 45_000, interval: 500 },
  )

  const [scores, why, credit, keys] = await Promise.all([
    taker.run('scores'),
    taker.run('why-score', first.id.slice(0, 12)),
    taker.run('credit'),
    taker.run('keys', 'show'),
  ])
  for (const { code } of [scores, why, credit, keys]) expect(code).toBe(0)
  expect(scores.stdout).toContain('taker')
  expect(scores.stdout).toContain('HEAD START')
  expect(why.stdout).toContain(first.id)
  expect(why.stdout).toMatch(/points, bronze: waits .* a newcomer/)
  expect(credit.stdout).toMatch(/balance/i)
  expect(keys.stdout).toContain(taker.id)
  const unknown = await taker.run('why-score', 'ffffffffffff')
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringMatching(/QM_ACCOUNT_UNKNOWN/) })

  const ended = nodes.map(({ child }) => once(child, 'exit'))
  for (const { child } of nodes) child.kill('SIGTERM')
  expect(await Promise.all(ended)).toEqual(nodes.map(() => [0, null]))
})
