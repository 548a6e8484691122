import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import { onTestFinished } from 'vitest'
import {
  createClient,
  createNode,
  type NodeOptions,
  type QMeshClient,
  type QMeshNode,
} from '../../../runtime/index.ts'
import { writeTinyGguf } from '../../support/tiny-gguf.ts'

/** A DHT on loopback, a tiny model, and nodes that are stopped and wiped when the test ends, whatever its outcome. */
export interface TestMesh {
  readonly bootstrap: readonly string[]
  readonly modelPath: string
  readonly secret: string
  model(options?: { readonly slots?: number }): {
    path: string
    contextTokens: number
    slots: number
    sha256: string
  }
  tempDir(): Promise<string>
  worker(options?: NodeOptions): Promise<QMeshNode>
  client(options?: NodeOptions): Promise<QMeshClient>
}

/** @param onEnd takes what is to be done when nobody needs the mesh any more; absent: when the test has finished */
export async function createTestMesh(
  onEnd: (end: () => Promise<void>) => void = onTestFinished,
): Promise<TestMesh> {
  const root = await mkdtemp(join(tmpdir(), 'qmesh-test-'))
  const testnet = await createTestnet(3)
  const modelPath = join(root, 'tiny.gguf')
  writeTinyGguf(modelPath, { isEndless: true })
  const secret = randomUUID()
  const running: QMeshClient[] = []
  onEnd(async () => {
    await Promise.all(running.map((node) => node.stop()))
    await testnet.destroy()
    await rm(root, { recursive: true, force: true })
  })
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  // Known by its hash it is not tried first in a process of its own, which takes seconds.
  const sha256 = createHash('sha256')
    .update(await readFile(modelPath))
    .digest('hex')
  const model: TestMesh['model'] = ({ slots = 2 } = {}) => ({
    path: modelPath,
    contextTokens: 512,
    slots,
    sha256,
  })
  const tempDir = () => mkdtemp(join(root, 'data-'))
  const base = async (): Promise<NodeOptions> => ({
    dataDir: await tempDir(),
    bootstrap,
    host: '127.0.0.1',
    // Other meshes on this machine may know this port from an earlier owner: the secret keeps them out.
    secret,
    // A second of work for each account would be most of what a test does.
    stampBits: 0,
    mdns: false,
    logLevel: 'silent',
    gpuLayers: 0,
  })
  return {
    bootstrap,
    modelPath,
    secret,
    model,
    tempDir,
    worker: async (options) => {
      const node = await createNode({
        ...(await base()),
        models: [model()],
        threads: 1,
        // Whatever else this machine is doing must not decide a test.
        pauseWhenBusy: false,
        ...options,
      })
      running.push(node)
      await node.ready
      return node
    },
    client: async (options) => {
      const client = await createClient({ ...(await base()), ...options })
      running.push(client)
      return client
    },
  }
}
