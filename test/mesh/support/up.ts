import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { TestMesh } from './mesh.ts'

/** What makes a program of the package a part of the test's mesh, whoever else uses this machine. */
export const meshVariables = ({ bootstrap, secret }: Pick<TestMesh, 'bootstrap' | 'secret'>) => ({
  QMESH_BOOTSTRAP: bootstrap[0] ?? '',
  QMESH_SECRET: secret,
  QMESH_HOST: '127.0.0.1',
  QMESH_MDNS: 'false',
  QMESH_PAUSE_WHEN_BUSY: 'false',
  QMESH_STAMP_BITS: '0',
  QMESH_THREADS: '1',
  QMESH_GPU_LAYERS: '0',
  QMESH_LOG_LEVEL: 'fatal',
  // Several nodes of several tests share this machine.
  QMESH_GATEWAY_PORT: '0',
})

/** Resolves when `qmesh-node up` is ready, with the address that it ends with: that of its gateway and its console. */
export async function untilUp(up: ChildProcessWithoutNullStreams): Promise<string> {
  let printed = ''
  for await (const chunk of up.stdout.setEncoding('utf8')) {
    printed += chunk as string
    const url = /open it in a browser:\n {2}(http:\/\/127\.0\.0\.1:\d+)\n$/.exec(printed)?.[1]
    if (url !== undefined && printed.includes(`\ngateway  ${url}/v1 `)) return url
  }
  throw new Error(`the node did not come up: ${printed}`)
}
