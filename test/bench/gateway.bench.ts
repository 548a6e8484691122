import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { basename } from 'node:path'
import { builtInModel } from '../../runtime/built-in-model.ts'
import { streamChat } from '../support/sse-client.ts'
import type { BenchRow } from './bench-row.ts'
import { consoleRows } from './console-bytes.ts'
import type { StreamJob, StreamMeasure } from './direct-process.ts'
import type { ProcessLook } from './gateway-process.ts'
import { startLlamaServer } from './llama-server.ts'
import { median } from './median.ts'

/** Counted rounds, by streams: a single one is short, and it takes many to see past the noise. */
const rounds: Readonly<Record<number, number>> = { 1: 25, 4: 9, 8: 5 }
const threads = 1
const contextTokens = 512
const slots = 8
const idle = 500
const active = 100

/** What anything that speaks OpenAI's API makes of a job. */
async function measureHttp(
  url: string,
  { streams, system, prompt, maxTokens }: StreamJob,
): Promise<StreamMeasure> {
  const body = {
    model: 'auto',
    temperature: 0,
    max_tokens: maxTokens,
    stream_options: { include_usage: true },
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: prompt },
    ],
  }
  const startedAt = performance.now()
  const answers = await Promise.all(Array.from({ length: streams }, () => streamChat(url, body)))
  const ms = performance.now() - startedAt
  const failed = answers.find(({ isDone }) => !isDone)
  if (failed) throw new Error(`${url} did not answer: ${failed.status}`)
  const tokens = answers.reduce((sum, answer) => sum + (answer.tokens ?? 0), 0)
  return {
    tokensPerSecond: (tokens * 1_000) / ms,
    firstTokenMs: median(answers.flatMap(({ firstTextMs }) => firstTextMs ?? [])),
  }
}

async function ask<Reply>(child: ChildProcess, order: StreamJob | 'look'): Promise<Reply> {
  child.send(order)
  const [reply] = (await once(child, 'message')) as [Reply]
  return reply
}

let asked = 1_000
/** A new first word each time, and as long: the prompt cache must not flatter the first token of whoever is second. */
const toJob = (streams: number): StreamJob => ({
  streams,
  maxTokens: 48,
  system: 'You tell stories.',
  prompt: `${asked++}: tell me a long story about a fox and a river.`,
})

interface Peer {
  readonly name: string
  readonly note?: string
  readonly measure: (job: StreamJob) => Promise<StreamMeasure>
}

interface Pair {
  readonly ours: StreamMeasure
  readonly theirs: StreamMeasure
}

/** Both in each round, in turns the first, and compared within it: a noisy neighbour disturbs both alike. */
async function measurePairs(url: string, { measure }: Peer, streams: number): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (let round = 0; round <= (rounds[streams] ?? 1); round++) {
    const early = round % 2 === 0 ? await measureHttp(url, toJob(streams)) : undefined
    const theirs = await measure(toJob(streams))
    const ours = early ?? (await measureHttp(url, toJob(streams)))
    if (round > 0) pairs.push({ ours, theirs }) // Round 0 warms up.
  }
  return pairs
}

async function compare(url: string, peer: Peer, model: string): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  const { name, note } = peer
  for (const streams of [1, 4, 8]) {
    const pairs = await measurePairs(url, peer, streams)
    const of = (pick: (pair: Pair) => number): number => median(pairs.map(pick))
    const label = `${streams} stream${streams > 1 ? 's' : ''}`
    rows.push(
      {
        what: `${label} through the gateway (${model})`,
        ours: of(({ ours }) => ours.tokensPerSecond),
        unit: 'tokens/s',
        peer: { name, value: of(({ theirs }) => theirs.tokensPerSecond) },
        ratio: of(({ ours, theirs }) => ours.tokensPerSecond / theirs.tokensPerSecond),
        ...(note !== undefined && { note }),
      },
      {
        what: `${label} through the gateway, time to first token`,
        ours: of(({ ours }) => ours.firstTokenMs),
        unit: 'ms',
        peer: { name, value: of(({ theirs }) => theirs.firstTokenMs) },
        note: `${of(({ ours, theirs }) => ours.firstTokenMs - theirs.firstTokenMs).toFixed(2)} ms added`,
      },
    )
  }
  return rows
}

/** A connection that has asked once, and stays. */
async function stayIdle(url: URL): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname)
  await once(socket, 'connect')
  socket.write(`GET /healthz HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`)
  await once(socket, 'data')
  return socket
}

async function measureMany(url: string, child: ChildProcess): Promise<BenchRow[]> {
  await ask<ProcessLook>(child, 'look')
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  const alone = await ask<ProcessLook>(child, 'look')
  const sockets = await Promise.all(Array.from({ length: idle }, () => stayIdle(new URL(url))))
  try {
    await ask<ProcessLook>(child, 'look')
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const withIdle = await ask<ProcessLook>(child, 'look')
    // Short ones: a worker takes 64 of one client, and whoever waits for a place waits 15 s at most.
    const { tokensPerSecond } = await measureHttp(url, { ...toJob(active), maxTokens: 8 })
    const withActive = await ask<ProcessLook>(child, 'look')
    const memory = (what: string, { residentMb }: ProcessLook, note: string): BenchRow => ({
      what: `memory of the process, ${what}`,
      ours: residentMb,
      unit: 'MB',
      peer: { name: 'nobody connected', value: alone.residentMb },
      note,
    })
    const delay = (what: string, { delayP99Ms }: ProcessLook): BenchRow => ({
      what: `event loop late by, p99, ${what}`,
      ours: delayP99Ms,
      unit: 'ms',
      peer: { name: 'nobody connected', value: alone.delayP99Ms },
    })
    return [
      memory(`${idle} idle connections`, withIdle, ''),
      delay(`${idle} idle connections`, withIdle),
      memory(`and ${active} streams at once`, withActive, `${Math.round(tokensPerSecond)} tokens/s in all`),
      delay(`and ${active} streams at once`, withActive),
    ]
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/**
 * What it costs to ask by HTTP: the gateway against the library in the same process, and against llama.cpp's own server
 * with the same model and threads, if `QMESH_BENCH_LLAMA_SERVER` names its binary (`QMESH_BENCH_LLAMA_SERVER_NOTE` says what
 * a reader has to know of it). `QMESH_BENCH_MODEL` names a model with sense.
 */
export async function run(): Promise<BenchRow[]> {
  const modelPath = process.env['QMESH_BENCH_MODEL'] ?? (await builtInModel()).path
  const args = [modelPath, threads, contextTokens, slots].map(String)
  const child = fork(new URL('gateway-process.ts', import.meta.url), args, { execArgv: ['--import', 'tsx'] })
  const [url] = (await once(child, 'message')) as [string]
  const binary = process.env['QMESH_BENCH_LLAMA_SERVER']
  const model = basename(modelPath)
  try {
    const library: Peer = { name: 'library', measure: (job) => ask<StreamMeasure>(child, job) }
    const rows = await compare(url, library, model)
    if (binary !== undefined) {
      const server = await startLlamaServer({ binary, modelPath, threads, contextTokens, slots })
      const note = process.env['QMESH_BENCH_LLAMA_SERVER_NOTE']
      const peer: Peer = {
        name: 'llama-server',
        measure: (job) => measureHttp(server.url, job),
        ...(note !== undefined && { note }),
      }
      try {
        rows.push(...(await compare(url, peer, model)))
      } finally {
        await server.stop()
      }
    }
    return [...rows, ...(await measureMany(url, child)), ...consoleRows()]
  } finally {
    const exited = once(child, 'exit')
    child.disconnect()
    await exited
  }
}
