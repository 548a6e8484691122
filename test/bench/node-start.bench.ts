import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

const rounds = 5

/** What a node without a model costs: from starting the process until it is up, and its memory then. */
const script = (dataDir: string): string => `
  const startedAt = performance.now() - process.uptime() * 1000
  const { createNode } = await import(${JSON.stringify(new URL('../../dist/runtime/index.js', import.meta.url).href)})
  const node = await createNode({ dataDir: ${JSON.stringify(dataDir)}, models: [], bootstrap: ['127.0.0.1:9'], host: '127.0.0.1', mdns: false, logLevel: 'silent' })
  const ms = performance.now() - startedAt
  console.log(JSON.stringify({ ms, mb: process.memoryUsage.rss() / 1e6 }))
  await node.stop()
`

export async function run(): Promise<BenchRow[]> {
  const root = await mkdtemp(join(tmpdir(), 'qmesh-bench-'))
  const starts: number[] = []
  const memory: number[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      const child = spawn(
        process.execPath,
        ['--input-type=module', '-e', script(join(root, String(round)))],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      let output = ''
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
      await once(child, 'exit')
      const { ms, mb } = JSON.parse(output) as { ms: number; mb: number }
      starts.push(ms)
      memory.push(mb)
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
  return [
    { what: 'node without a model: start', ours: median(starts), unit: 'ms', target: '≤ 1,000' },
    { what: 'node without a model: memory', ours: median(memory), unit: 'MB', target: '≤ 150' },
  ]
}
