import { createNode } from '../../../runtime/index.ts'
import { pacedEngine } from '../../../runtime/demo/paced-engine.ts'

/** Milliseconds a token: a person, or a test, has time to see an answer grow. */
const tokenMs = 40

const [dataDir = '', secret = '', ...bootstrap] = process.argv.slice(2)
const node = await createNode({
  dataDir,
  bootstrap,
  secret,
  stampBits: 0,
  models: ['nano'],
  contextTokens: 512,
  slots: 2,
  host: '127.0.0.1',
  mdns: false,
  gpuLayers: 0,
  threads: 1,
  pauseWhenBusy: false,
  logLevel: 'silent',
  wrapEngine: (engine) => pacedEngine(engine, tokenMs),
})
await node.ready
process.send?.(node.id)
