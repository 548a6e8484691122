import { readdir } from 'node:fs/promises'
import { expect, it, vi } from 'vitest'
import { fromCallback } from 'xstate'
import { createClient, type NodeActorInput } from '../../runtime/index.ts'
import { tempDir } from './support/temp-dir.ts'

// The gateway is real; only that it is still opening its port when the node is stopped is not left to chance.
vi.mock(import('../../runtime/gateway-side.ts'), async (load) => {
  const real = await load()
  return {
    ...real,
    createGatewaySide: (options) => ({
      ...real.createGatewaySide(options),
      opened: () => new Promise<void>(() => {}),
    }),
  }
})

it('a node that is stopped while its gateway opens does not start, and leaves nothing open', async () => {
  const dataDir = await tempDir()
  const stopper = fromCallback<{ type: 'never' }, NodeActorInput>(({ input: { node } }) => {
    const swarm = node.actor.system.get('swarm')
    const subscription = swarm?.subscribe(() => {
      if (node.status().network.port !== undefined) void node.stop()
    })
    return () => subscription?.unsubscribe()
  })
  const starting = createClient({
    dataDir,
    gateway: true,
    gatewayPort: 0,
    isGatewayRequired: false,
    actors: { stopper },
    bootstrap: ['127.0.0.1:9'],
    mdns: false,
    stampBits: 0,
    logLevel: 'silent',
  })
  await expect(starting).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  expect(await readdir(dataDir)).not.toContain('lock')
})
