import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished } from 'vitest'
import type { NodeOptions, QMeshClient } from '../../../runtime/index.ts'
import type { TestMesh } from '../../mesh/support/mesh.ts'

/** A node with a page, in front of a mesh with so many workers. */
export async function createFront(mesh: TestMesh, options: NodeOptions = {}) {
  const node = await mesh.client({ gateway: true, gatewayPort: 0, ...options })
  return { node, url: node.status().gateway?.url ?? '' }
}

/** Resolves when a node knows so many workers with a model. */
export const workersSeen = (node: QMeshClient, count: number): Promise<void> =>
  expect
    .poll(() => node.workers().filter(({ models }) => models.length > 0).length, { timeout: 20_000 })
    .toBe(count)

interface Forked {
  readonly child: ChildProcess
  readonly id: string
}

/** A worker in a process of its own, to be killed. */
export const forkWorker = async (mesh: TestMesh): Promise<Forked> =>
  forkNode(new URL('worker-process.ts', import.meta.url), [
    await mesh.tempDir(),
    mesh.secret,
    ...mesh.bootstrap,
  ])

/** One whose answers have no end but the one that is asked for. */
export const forkEndlessWorker = async (mesh: TestMesh): Promise<Forked> =>
  forkNode(new URL('../../mesh/support/worker-process.ts', import.meta.url), [
    mesh.modelPath,
    await mesh.tempDir(),
    mesh.secret,
    ...mesh.bootstrap,
  ])

/** A node that says its id once it is ready. */
async function forkNode(script: URL, args: readonly string[]): Promise<Forked> {
  const child = fork(script, args, {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [id] = (await once(child, 'message')) as [string]
  return { child, id }
}
