import { createNode } from '../../../runtime/index.ts'

const [modelPath = '', dataDir = '', secret = '', ...bootstrap] = process.argv.slice(2)
const node = await createNode({
  dataDir,
  bootstrap,
  secret,
  stampBits: 0,
  models: [{ path: modelPath, contextTokens: 512, slots: 2 }],
  host: '127.0.0.1',
  mdns: false,
  gpuLayers: 0,
  threads: 1,
  pauseWhenBusy: false,
  logLevel: 'silent',
})
await node.ready
process.on('message', () => {
  // The channel to the parent is the one handle that is not the node's.
  process.disconnect()
  void node.stop()
})
process.send?.(node.id)
