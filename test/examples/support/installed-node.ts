import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { once } from 'node:events'
import { inject } from 'vitest'
import { createTestMesh, type TestMesh } from '../../mesh/support/mesh.ts'
import { meshVariables, untilUp } from '../../mesh/support/up.ts'
import { startIn } from './fresh-folder.ts'

/** `qmesh-node up` of the installed package, in a mesh of its own. */
export interface InstalledNode {
  readonly mesh: TestMesh
  /** Of the gateway. */
  readonly url: string
  readonly id: string
  /** Stops it by SIGTERM. @throws Error when it does not end in order */
  stop(): Promise<void>
}

/** For several tests: `stop` is the caller's to call. */
export async function startInstalledNode(): Promise<InstalledNode> {
  const ends: (() => Promise<void>)[] = []
  const mesh = await createTestMesh((end) => ends.push(end))
  const home = await mkdtemp(join(inject('installedIn'), 'up-'))
  const program = join(inject('installedIn'), 'node_modules/.bin/qmesh-node')
  const up = startIn(home, program, ['up'], meshVariables(mesh))
  const exited = once(up, 'exit')
  const stop = async (): Promise<void> => {
    up.kill('SIGTERM')
    const [code] = (await exited) as [number | null]
    for (const end of ends) await end()
    if (code !== 0) throw new Error(`the node ended with ${code}`)
  }
  try {
    const url = await untilUp(up)
    const { id } = (await (await fetch(`${url}/v1/mesh`)).json()) as { id: string }
    return { mesh, url, id, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
