import DHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import { CatalogSharing } from '../../actors/models/channel/catalog-sharing.ts'
import { ModelManager } from '../../actors/models/fetch/model-manager.ts'
import { treeOfLeaves } from '../../actors/models/seeding/build-tree.ts'
import { CoreExchange } from '../../actors/models/seeding/core-exchange.ts'
import { toCoreKey } from '../../actors/models/seeding/static-core.ts'
import { ModelStore } from '../../actors/models/store/model-store.ts'
import type { ModelManifest } from '../../protocol/models/index.ts'

/**
 * A process that fetches and offers models on a mesh of its own, and does what it is told over IPC. Its swarm is bare:
 * no inference, no hello.
 */
export type ModelsOrder =
  | { readonly type: 'add'; readonly path: string; readonly manifest: ModelManifest }
  | { readonly type: 'pull'; readonly manifest: ModelManifest; readonly bytesPerSecond?: number }
export type ModelsReport =
  | { readonly type: 'up' }
  | { readonly type: 'core'; readonly core: string }
  | { readonly type: 'progress'; readonly doneBytes: number }
  | { readonly type: 'pulled'; readonly hash: string; readonly path: string }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

const [dir = '', host = '127.0.0.1', port = '0'] = process.argv.slice(2)
const tell = (report: ModelsReport): void => void process.send?.(report)

const dht = new DHT({
  host: '127.0.0.1',
  bootstrap: [{ host, port: Number(port) }],
  firewalled: false,
  ephemeral: false,
})
const swarm = new Hyperswarm({ dht, keyPair: DHT.keyPair(), backoffs: [100, 200, 400, 800], jitter: 0 })
const exchange = new CoreExchange({
  joinTopic: (topic) => {
    const discovery = swarm.join(topic, { client: true, server: true })
    // A record that two made at the same time finds each other at the second look.
    const look = setInterval(() => void discovery.refresh().catch(() => undefined), 500)
    return () => {
      clearInterval(look)
      void discovery.destroy().catch(() => undefined)
    }
  },
  patience: { findMs: 15_000, nearMs: 100, stallMs: 15_000 },
})
const sharing = new CatalogSharing({
  catalog: { find: () => [], offer: () => Promise.resolve({ kind: 'known' }) },
})
swarm.on('connection', (stream) => {
  stream.on('error', () => undefined)
  const peerId = stream.remotePublicKey.toString('hex')
  sharing.connect(peerId, stream)
  exchange.connect(peerId, stream)
})
const store = await ModelStore.open({ dir })
const manager = new ModelManager({
  store,
  exchange,
  freeBytes: () => Promise.resolve(1e12),
})

async function obey(order: ModelsOrder): Promise<void> {
  if (order.type === 'add') {
    const { hash, bytes } = await store.adopt(order.path, order.manifest, 'reference')
    manager.seed(hash)
    tell({ type: 'core', core: toCoreKey(treeOfLeaves(bytes, await store.blockHashes(hash))) ?? '' })
    return
  }
  exchange.download.bytesPerSecond = order.bytesPerSecond ?? 0
  const { hash, path } = await manager.pull(order.manifest, {
    onProgress: ({ doneBytes }) => tell({ type: 'progress', doneBytes }),
  })
  manager.seed(hash)
  tell({ type: 'pulled', hash, path })
}

process.on('message', (order: ModelsOrder) => {
  obey(order).catch((error: Error & { code?: string }) =>
    tell({ type: 'failed', code: error.code ?? 'unknown', message: error.message }),
  )
})
process.on('disconnect', () => process.exit())
await swarm.listen()
tell({ type: 'up' })
