import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import DHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import { CatalogSharing } from '../../actors/models/channel/catalog-sharing.ts'
import { createBootstrap } from '../../actors/swarm/index.ts'
import { toTopic } from '../../protocol/index.ts'
import {
  modelLimits,
  type ModelManifest,
  modelsNetworkId,
  signManifest,
} from '../../protocol/models/index.ts'
import { createSigner } from '../../protocol/trust/index.ts'
import { ModelLibrary } from '../../runtime/models/index.ts'
import { createManifest } from '../support/models-rig.ts'
import { median } from './median.ts'

interface Side {
  readonly swarm: Hyperswarm
  readonly sharing: CatalogSharing
  close(): Promise<void>
}

async function createSide(
  bootstrap: { readonly host: string; readonly port: number },
  manifests: readonly ModelManifest[],
): Promise<Side> {
  const dht = new DHT({ host: '127.0.0.1', bootstrap: [bootstrap], firewalled: false, ephemeral: false })
  const swarm = new Hyperswarm({ dht, keyPair: DHT.keyPair() })
  const sharing = new CatalogSharing({
    catalog: {
      find: (name) => manifests.filter(({ artifact }) => artifact.sha256 === name),
      offer: () => Promise.resolve({ kind: 'known' }),
    },
  })
  swarm.on('connection', (stream) => {
    stream.on('error', () => undefined)
    sharing.connect(stream.remotePublicKey.toString('hex'), stream)
  })
  await swarm.listen()
  const close = async (): Promise<void> => {
    sharing.close()
    await swarm.destroy()
  }
  return { swarm, sharing, close }
}

/**
 * Milliseconds until somebody who is new to the mesh and knows nobody has the manifest of a SHA-256: finds the one who
 * has it, connects, greets and asks. The DHT and both ends are on loopback.
 */
export async function lookUpCold(runs: number): Promise<number> {
  const bootstrap = await createBootstrap({ host: '127.0.0.1', port: 0, mdns: false })
  const hash = 'ab'.repeat(32)
  const manifest = createManifest(undefined, [{ kind: 'peers' }], { sha256: hash, bytes: 1_000 })
  const topic = toTopic({ network: 'models-bench' })
  const holder = await createSide(bootstrap.address, [manifest])
  try {
    await holder.swarm.join(topic, { client: false, server: true }).flushed()
    const all: number[] = []
    for (let run = 0; run < runs; run++) {
      const seeker = await createSide(bootstrap.address, [])
      const startMs = performance.now()
      seeker.swarm.join(topic, { client: true, server: false })
      const found = await seeker.sharing.find(hash, AbortSignal.timeout(10_000))
      all.push(found.length > 0 ? performance.now() - startMs : Infinity)
      await seeker.close()
    }
    return median(all)
  } finally {
    await holder.close()
    await bootstrap.close()
  }
}

/** Milliseconds of a node that knows as many models as one may: to read and check them all, and to look one up. */
export async function lookUpCached(
  folder: string,
  count: number = modelLimits.knownModelsMax,
): Promise<{ readonly openMs: number; readonly resolveMs: number; readonly searchMs: number }> {
  const signer = createSigner(modelsNetworkId, DHT.keyPair())
  const dir = join(folder, 'known')
  mkdirSync(join(dir, 'catalog', 'network'), { recursive: true })
  const names = Array.from({ length: count }, (_, index) => `model-${index}`)
  for (const [index, id] of names.entries()) {
    const hash = index.toString(16).padStart(64, '0')
    const manifest = { ...createManifest(undefined, [{ kind: 'peers' }], { sha256: hash, bytes: 1_000 }), id }
    writeFileSync(
      join(dir, 'catalog', 'network', `${id}.json`),
      JSON.stringify(signManifest(manifest, signer)),
    )
  }
  const startMs = performance.now()
  const library = await ModelLibrary.open({ dir, publishers: [signer.id] })
  const openMs = performance.now() - startMs
  const timed = async (step: (name: string) => unknown): Promise<number> => {
    const all: number[] = []
    for (const name of names.filter((_, index) => index % Math.ceil(count / 100) === 0)) {
      const fromMs = performance.now()
      await step(name)
      all.push(performance.now() - fromMs)
    }
    return median(all)
  }
  try {
    const resolveMs = await timed(async (name) => {
      if (!(await library.resolve(name))) throw new Error(`${name} is not known`)
    })
    return { openMs, resolveMs, searchMs: await timed((name) => library.search(name)) }
  } finally {
    await library.close()
  }
}
