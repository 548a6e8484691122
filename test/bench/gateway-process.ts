import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createNode } from '../../runtime/index.ts'
import type { StreamJob, StreamMeasure } from './direct-process.ts'
import { median } from './median.ts'

/**
 * A node with a gateway in a process of its own. It says where it listens, and then answers: a `StreamJob` with what the
 * library makes of it, in this very process; `look` with how the process has been since it was last looked at.
 */
export interface ProcessLook {
  readonly residentMb: number
  /** Milliseconds by which the event loop was late, the 99th percentile; its resolution is a millisecond. */
  readonly delayP99Ms: number
}

const [modelPath = '', threads = '1', contextTokens = '512', slots = '8'] = process.argv.slice(2)
const node = await createNode({
  ephemeral: true,
  models: [{ path: modelPath, contextTokens: Number(contextTokens), slots: Number(slots) }],
  gateway: true,
  gatewayPort: 0,
  // Nobody else is asked, or asks: this measures the way from HTTP to the engine and back.
  bootstrap: ['127.0.0.1:9'],
  host: '127.0.0.1',
  mdns: false,
  gpuLayers: 0,
  threads: Number(threads),
  pauseWhenBusy: false,
  logLevel: 'silent',
})
await node.ready

async function measureLibrary({ streams, system, prompt, maxTokens }: StreamJob): Promise<StreamMeasure> {
  const messages = [
    { role: 'system', content: system },
    { role: 'user', content: prompt },
  ] as const
  const startedAt = performance.now()
  const firsts: number[] = []
  const counts = await Promise.all(
    Array.from({ length: streams }, async () => {
      let tokens = 0
      for await (const chunk of node.ask(messages, { maxTokens, temperature: 0 })) {
        if (tokens === 0) firsts.push(performance.now() - startedAt)
        tokens += chunk.tokens.length
      }
      return tokens
    }),
  )
  const tokens = counts.reduce((sum, count) => sum + count, 0)
  return { tokensPerSecond: (tokens * 1_000) / (performance.now() - startedAt), firstTokenMs: median(firsts) }
}

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

function look(): ProcessLook {
  const seen = { residentMb: process.memoryUsage().rss / 2 ** 20, delayP99Ms: delay.percentile(99) / 1e6 }
  delay.reset()
  return seen
}

process.on('message', (order: StreamJob | 'look') => {
  if (order === 'look') process.send?.(look())
  else void measureLibrary(order).then((measure) => process.send?.(measure))
})
process.on('disconnect', () => {
  void node.stop().then(() => process.exit(0))
})
process.send?.(node.status().gateway?.url)
