import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import createTestnet from 'hyperdht/testnet.js'
import type { EngineHost } from '../../actors/inference/engine.port.ts'
import { createLlamaEngine } from '../../actors/inference/llama/llama-engine.ts'
import { builtInModel } from '../../runtime/built-in-model.ts'
import { createClient, type QMeshClient } from '../../runtime/index.ts'
import { inferenceWorkerUrl } from '../../runtime/inference-worker.ts'
import type { ResumeMode } from '../../protocol/index.ts'
import { ask, type Asked } from '../support/inference-rig.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'
import { writePlot } from './plot.ts'

const rounds = 5
/** Tokens that the dead worker had in its context: half of them prompt, half answer. */
const contexts = [100, 500, 2_000]
const contextTokens = 4_096
/** Without an end, so that there is an answer to cut off at any length. */
const endless = JSON.stringify({
  type: 'array',
  items: { enum: ['fox', 'river', 'owl'] },
  minItems: 500,
  maxItems: 500,
})

interface Worker {
  readonly child: ChildProcess
  readonly id: string
}

interface Mesh {
  readonly client: QMeshClient
  readonly workers: Worker[]
  start(): Promise<Worker>
}

async function untilKnown({ client, workers }: Mesh): Promise<void> {
  const known = (): string[] => client.workers().map(({ workerId }) => workerId)
  while (!workers.every(({ id }) => known().includes(id))) await sleep(20)
}

/** Kills the worker in the middle of an answer. @returns milliseconds between two tokens of the reader's stream. */
async function measureGap(mesh: Mesh, promptTokens: number, answerTokens: number): Promise<number> {
  await untilKnown(mesh)
  const answer = mesh.client.ask(toPrompt(promptTokens), {
    maxTokens: answerTokens + 64,
    temperature: 0,
    jsonSchema: endless,
  })
  let serving = ''
  answer.on('worker', ({ workerId }) => {
    serving = workerId
  })
  let tokens = 0
  let dead: Worker | undefined
  for await (const chunk of answer) {
    tokens += chunk.tokens.length
    if (dead || tokens < answerTokens) continue
    dead = mesh.workers.find(({ id }) => id === serving)
    dead?.child.kill('SIGKILL')
  }
  const { handovers } = await answer.result
  if (dead) mesh.workers.splice(mesh.workers.indexOf(dead), 1, await mesh.start())
  const [handover] = handovers
  if (!handover) throw new Error(`the answer was over before its worker died, after ${tokens} tokens`)
  return handover.gapMs
}

const toPrompt = (tokens: number): string =>
  `${Math.random()} ${'the fox went '.repeat(Math.ceil(tokens / 3))}`

/** What cannot be saved: prompt and answer read in batches, by a worker that does nothing else. */
async function measureReading(host: EngineHost, promptTokens: number, answerTokens: number): Promise<number> {
  const asked: Asked = {
    messages: [{ role: 'user', content: toPrompt(promptTokens) }],
    maxTokens: answerTokens + 1,
    jsonSchema: endless,
  }
  const { tokens } = await ask(host, { ...asked, maxTokens: answerTokens })
  const fresh = { ...asked, messages: [{ role: 'user' as const, content: toPrompt(promptTokens) }] }
  const { result } = await ask(host, { ...fresh, resume: { tokens: [...tokens], chars: 0, mode: 'fast' } })
  return result.firstTokenMs
}

interface Measure {
  readonly context: number
  readonly what: string
  readonly ms: number
}

/** What the gap is above the reading is noticing, choosing and asking. */
const drawGaps = (measures: readonly Measure[]): Promise<void> =>
  writePlot('handover-gap', {
    data: { values: measures.map((measure) => ({ ...measure, ms: Math.round(measure.ms) })) },
    width: 420,
    height: 220,
    mark: { type: 'point', filled: true, size: 40, opacity: 0.7 },
    encoding: {
      x: {
        field: 'context',
        type: 'ordinal',
        title: 'tokens of context when the worker was killed',
        axis: { labelAngle: 0 },
      },
      xOffset: { field: 'what', type: 'nominal' },
      y: { field: 'ms', type: 'quantitative', title: 'milliseconds' },
      color: { field: 'what', type: 'nominal', title: null },
    },
  })

async function gapRows(root: string, modelPath: string, host: EngineHost): Promise<BenchRow[]> {
  const testnet = await createTestnet(3)
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  let started = 0
  const start = async (): Promise<Worker> => {
    const folder = join(root, `worker-${started++}`)
    const args = [modelPath, '1', String(contextTokens), '2', bootstrap[0] ?? '', folder]
    const child = fork(new URL('worker-process.ts', import.meta.url), args, {
      execArgv: ['--import', 'tsx'],
    })
    const [id] = (await once(child, 'message')) as [string]
    return { child, id }
  }
  const workers = await Promise.all([start(), start()])
  const client = await createClient({
    dataDir: join(root, 'client'),
    bootstrap,
    host: '127.0.0.1',
    mdns: false,
    stampBits: 0,
    logLevel: 'silent',
  })
  const mesh: Mesh = { client, workers, start }
  try {
    const rows: BenchRow[] = []
    const measures: Measure[] = []
    for (const context of contexts) {
      const gaps: number[] = []
      const readings: number[] = []
      for (let round = 0; round < rounds; round++) {
        gaps.push(await measureGap(mesh, context / 2, context / 2))
        readings.push(await measureReading(host, context / 2, context / 2))
      }
      measures.push(...gaps.map((ms) => ({ context, what: 'gap', ms })))
      measures.push(...readings.map((ms) => ({ context, what: 'reading', ms })))
      const [gap, reading] = [median(gaps), median(readings)]
      rows.push({
        what: `kill -9 to the next token, ${context.toLocaleString('en')} tokens of context (nano)`,
        ours: gap,
        unit: 'ms',
        peer: { name: 'the new worker reading, alone', value: reading },
        target: context === 2_000 ? '≤ 300 ms beyond it, ≤ 2 s in all' : '≤ 300 ms beyond it',
        note: `${Math.round(gap - reading)} ms beyond it; worst of ${rounds}: ${Math.round(Math.max(...gaps))} ms`,
      })
    }
    await drawGaps(measures)
    return rows
  } finally {
    for (const { child } of workers) child.kill('SIGKILL')
    await client.stop()
    await testnet.destroy()
  }
}

/** How many resumed greedy answers differ from the undisturbed one, and how fast a worker takes them up. */
async function divergenceRows(
  name: string,
  [whole, other]: readonly [EngineHost, EngineHost],
  prompts: readonly string[],
): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const mode of ['exact', 'fast'] satisfies ResumeMode[]) {
    let cuts = 0
    let differing = 0
    const perTokenMs: number[] = []
    for (const prompt of prompts) {
      const asked: Asked = { messages: [{ role: 'user', content: prompt }], maxTokens: 96 }
      const { tokens } = await ask(whole, asked)
      for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
        const cut = Math.max(1, Math.floor(tokens.length * share))
        const resume = { tokens: tokens.slice(0, cut), chars: 0, mode }
        const rest = await ask(other, { ...asked, resume })
        cuts++
        if (rest.tokens.join() !== tokens.slice(cut).join()) differing++
        if (rest.tokens.length > 0) perTokenMs.push(rest.result.firstTokenMs / cut)
      }
    }
    rows.push({
      what: `greedy answers that a resume changed, ${mode} (${name})`,
      ours: (100 * differing) / cuts,
      unit: `% of ${cuts}`,
      note: `${median(perTokenMs).toFixed(2)} ms for each token that was there`,
      ...(mode === 'exact' && { target: '0' }),
    })
  }
  return rows
}

const nanoPrompts = [
  'What is QMesh?',
  'How do I start a worker?',
  'What happens when a worker dies?',
  'Tell me a story about a fox',
  'Tell me a story about a little boat',
  'What are tiers?',
  'Who are you?',
  'How do I see what my node is doing?',
]
const tinyPrompts = Array.from({ length: 8 }, (_, index) => `the er on an in of ${index}`)

/** What the death of a worker costs a reader, and what it changes. `QMESH_BENCH_MODEL` adds a model with sense. */
export async function run(): Promise<BenchRow[]> {
  const root = await mkdtemp(join(tmpdir(), 'qmesh-bench-'))
  const hosts: EngineHost[] = []
  const load = async (path: string): Promise<EngineHost> => {
    const engine = createLlamaEngine({ workerUrl: inferenceWorkerUrl })
    const spec = { id: 'bench', path, contextTokens, slots: 1 }
    const host = await engine.load(spec, { gpuLayers: 0, threads: 1, mlock: false })
    hosts.push(host)
    return host
  }
  const pair = async (path: string) => [await load(path), await load(path)] as const
  try {
    const tiny = join(root, 'tiny.gguf')
    writeTinyGguf(tiny, { isEndless: true })
    const { path } = await builtInModel()
    const nano = await pair(path)
    const rows = [
      ...(await gapRows(root, path, nano[0])),
      ...(await divergenceRows('nano', nano, nanoPrompts)),
      ...(await divergenceRows('random weights', await pair(tiny), tinyPrompts)),
    ]
    const given = process.env['QMESH_BENCH_MODEL']
    if (given) rows.push(...(await divergenceRows('model given', await pair(given), nanoPrompts)))
    return rows
  } finally {
    await Promise.all(hosts.map((host) => host.close()))
    await rm(root, { recursive: true, force: true })
  }
}
