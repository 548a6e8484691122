import type { PeerId } from '../../protocol/index.ts'
import { builtInModelId } from '../built-in-model.ts'
import { createNode } from '../create-node.ts'
import { pacedEngine } from './paced-engine.ts'
import type { HonestOrder } from './worker-order.ts'

/** An ordinary node that serves the built-in model, slowed to reading speed. */
export async function startHonestWorker(order: HonestOrder): Promise<PeerId> {
  const { dataDir, host, bootstrap, secret, slots, tokenMs, queueCapacity, tiers } = order
  const node = await createNode({
    dataDir,
    bootstrap: [bootstrap],
    secret,
    // Its mesh lasts a minute: an account is not to cost more than that.
    stampBits: 0,
    slots,
    queueCapacity,
    tiers,
    models: [builtInModelId],
    contextTokens: 512,
    host,
    port: 0,
    mdns: false,
    gpuLayers: 0,
    threads: 1,
    // The demo must work on a machine that is busy with other things.
    pauseWhenBusy: false,
    logLevel: 'silent',
    wrapEngine: (engine) => pacedEngine(engine, tokenMs),
  })
  await node.ready
  return node.id
}
