import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import { createClient, type QMeshClient } from '../../runtime/index.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import type { BenchRow } from './bench-row.ts'
import type { StreamJob, StreamMeasure } from './direct-process.ts'
import { median } from './median.ts'

/** Counted rounds, by streams: a single one is short, and it takes many to see past the noise. */
const rounds: Readonly<Record<number, number>> = { 1: 25, 4: 9, 8: 5 }
/** One: two spinning threads on two cores fight with whatever else runs, and measure that. */
const threads = '1'
const contextTokens = 512
const lanes = 8

async function start(script: string, args: readonly string[]): Promise<ChildProcess> {
  const child = fork(new URL(script, import.meta.url), args, { execArgv: ['--import', 'tsx'] })
  await once(child, 'message')
  return child
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}

async function measureDirect(child: ChildProcess, job: StreamJob): Promise<StreamMeasure> {
  child.send(job)
  const [measure] = (await once(child, 'message')) as [StreamMeasure]
  return measure
}

async function measureMesh(client: QMeshClient, job: StreamJob): Promise<StreamMeasure> {
  const startedAt = performance.now()
  const firsts: number[] = []
  const counts = await Promise.all(
    Array.from({ length: job.streams }, async () => {
      let tokens = 0
      const messages = [
        { role: 'system', content: job.system },
        { role: 'user', content: job.prompt },
      ] as const
      const answer = client.ask(messages, { maxTokens: job.maxTokens, temperature: 0, repeatPenalty: 1 })
      for await (const chunk of answer) {
        if (tokens === 0) firsts.push(performance.now() - startedAt)
        tokens += chunk.tokens.length
      }
      return tokens
    }),
  )
  return {
    tokensPerSecond:
      (counts.reduce((sum, count) => sum + count, 0) * 1_000) / (performance.now() - startedAt),
    firstTokenMs: median(firsts),
  }
}

interface Pair {
  readonly mesh: StreamMeasure
  readonly alone: StreamMeasure
}

/**
 * Tokens per second and time to first token through two nodes in two processes, against node-llama-cpp alone. Each
 * round asks both, the other one first each time, and what is compared is the two of a round: a noisy neighbour
 * disturbs both alike. `QMESH_BENCH_MODEL` names a model with sense.
 */
export async function run(): Promise<BenchRow[]> {
  const root = await mkdtemp(join(tmpdir(), 'qmesh-bench-'))
  const testnet = await createTestnet(2)
  const modelPath = process.env['QMESH_BENCH_MODEL'] ?? join(root, 'tiny.gguf')
  if (!process.env['QMESH_BENCH_MODEL']) writeTinyGguf(modelPath, { isEndless: true })
  const [first] = testnet.bootstrap
  const bootstrap = `${first?.host}:${first?.port}`
  const direct = await start('direct-process.ts', [modelPath, threads, String(contextTokens), String(lanes)])
  const worker = await start('worker-process.ts', [
    modelPath,
    threads,
    String(contextTokens),
    String(lanes),
    bootstrap,
    join(root, 'worker'),
  ])
  const client = await createClient({
    dataDir: join(root, 'client'),
    bootstrap: [bootstrap],
    host: '127.0.0.1',
    mdns: false,
    stampBits: 0,
    logLevel: 'silent',
  })
  try {
    const rows: BenchRow[] = []
    let asked = 0
    for (const streams of [1, 4, 8]) {
      const pairs: Pair[] = []
      for (let round = 0; round <= (rounds[streams] ?? 1); round++) {
        // A new first word each time: the prompt cache of the worker must not flatter its first token.
        const job = {
          streams,
          maxTokens: 48,
          system: 'You tell stories.',
          prompt: `${asked++}: tell me a long story about a fox and a river.`,
        }
        const early = round % 2 === 0 ? await measureMesh(client, job) : undefined
        const alone = await measureDirect(direct, job)
        const mesh = early ?? (await measureMesh(client, job))
        if (round > 0) pairs.push({ mesh, alone }) // Round 0 warms up: connections, caches, compilation.
      }
      const of = (pick: (pair: Pair) => number): number => median(pairs.map(pick))
      rows.push({
        what: `${streams} stream${streams > 1 ? 's' : ''} through two nodes (${basename(modelPath)})`,
        ours: of(({ mesh }) => mesh.tokensPerSecond),
        unit: 'tokens/s',
        peer: { name: 'node-llama-cpp', value: of(({ alone }) => alone.tokensPerSecond) },
        ratio: of(({ mesh, alone }) => mesh.tokensPerSecond / alone.tokensPerSecond),
        target: streams === 1 ? '≥ 0.97' : '≥ 0.95',
      })
      if (streams === 1) {
        const addedMs = of(({ mesh, alone }) => mesh.firstTokenMs - alone.firstTokenMs)
        rows.push({
          what: 'time to first token, warm connection',
          ours: of(({ mesh }) => mesh.firstTokenMs),
          unit: 'ms',
          peer: { name: 'node-llama-cpp', value: of(({ alone }) => alone.firstTokenMs) },
          note: `${addedMs.toFixed(2)} ms added`,
          target: '≤ 3 ms added',
        })
      }
    }
    return rows
  } finally {
    await client.stop()
    await Promise.all([stop(worker), stop(direct)])
    await testnet.destroy()
    await rm(root, { recursive: true, force: true })
  }
}
