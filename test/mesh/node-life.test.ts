import { expect, it } from 'vitest'
import { QMeshError } from '../../protocol/index.ts'
import { createNode } from '../../runtime/index.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'

it('who waits for the models of a node hears that it stops before they are loaded', async () => {
  const path = writeTinyGguf(`${await tempDir()}/tiny.gguf`)
  let giveUp: (error: QMeshError) => void = () => {}
  const loading = new Promise<never>((_, reject) => {
    giveUp = reject
  })
  // The node may be stopped before it asks for the model.
  loading.catch(() => {})
  const node = await createNode({
    ephemeral: true,
    models: [path],
    bootstrap: ['127.0.0.1:9'],
    mdns: false,
    logLevel: 'silent',
    wrapEngine: () => ({ load: () => loading }),
  })
  const stopped = node.stop()
  await expect(node.ready).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  giveUp(new QMeshError('QM_CANCELLED'))
  await stopped
})
