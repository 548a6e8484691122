import { createNode } from '../../runtime/index.ts'

/** A worker in a process of its own, as in real life. */
const [
  modelPath = '',
  threads = '1',
  contextTokens = '512',
  slots = '8',
  bootstrap = '',
  dataDir = '',
  queueCapacity = '64',
] = process.argv.slice(2)
const node = await createNode({
  dataDir,
  models: [{ path: modelPath, contextTokens: Number(contextTokens), slots: Number(slots) }],
  bootstrap: [bootstrap],
  host: '127.0.0.1',
  mdns: false,
  stampBits: 0,
  gpuLayers: 0,
  threads: Number(threads),
  queueCapacity: Number(queueCapacity),
  pauseWhenBusy: false,
  logLevel: 'silent',
})
await node.ready
process.on('disconnect', () => {
  void node.stop().then(() => process.exit(0))
})
process.send?.(node.id)
