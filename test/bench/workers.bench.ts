import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import createTestnet from 'hyperdht/testnet.js'
import { builtInModel } from '../../runtime/built-in-model.ts'
import { createClient, type QMeshClient } from '../../runtime/index.ts'
import { createRequestId, defaultSampling, encodeFrame } from '../../protocol/index.ts'
import { samples } from '../support/messages.ts'
import { connectRaw, type RawPeer } from '../support/raw-peer.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

const rounds = 5
const streams = 8
/** Milliseconds after which a client of the lowest tier may send `streams` requests to one worker again. */
const restMs = 2_100
/** One slot and a queue of one: the third request is one too many. */
const tiny = { slots: '1', queueCapacity: '1' }

/** Nearly uniform: answers run to their full length. */
const endless = { ...defaultSampling, temperature: 4, topK: 0, topP: 1, minP: 0 }

interface Mesh {
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[]
  readonly client: QMeshClient
  start(options?: typeof tiny): Promise<ChildProcess>
  stop(): Promise<void>
}

async function createMesh(root: string): Promise<Mesh> {
  const testnet = await createTestnet(3)
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  const { path } = await builtInModel()
  const client = await createClient({
    dataDir: join(root, 'client'),
    bootstrap,
    host: '127.0.0.1',
    mdns: false,
    stampBits: 0,
    logLevel: 'silent',
  })
  const children: ChildProcess[] = []
  return {
    bootstrap: testnet.bootstrap,
    client,
    start: async (options = { slots: '4', queueCapacity: '64' }) => {
      const folder = join(root, `worker-${children.length}`)
      const args = [path, '1', '1024', options.slots, bootstrap[0] ?? '', folder, options.queueCapacity]
      const child = fork(new URL('worker-process.ts', import.meta.url), args, {
        execArgv: ['--import', 'tsx'],
      })
      children.push(child)
      const [id] = (await once(child, 'message')) as [string]
      const isUseful = (): boolean =>
        client.workers().some(({ workerId, models }) => workerId === id && models.length > 0)
      while (!isUseful()) await sleep(20)
      return child
    },
    stop: async () => {
      for (const child of children) child.kill('SIGKILL')
      await client.stop()
      await testnet.destroy()
    },
  }
}

async function throughput(client: QMeshClient): Promise<number> {
  const startedAt = performance.now()
  const counts = await Promise.all(
    Array.from({ length: streams }, async (_, stream) => {
      const { usage } = await client.ask(`${Math.random()} Tell me a story about a fox`, {
        maxTokens: 200,
        ...endless,
        seed: stream,
      }).result
      return usage.completionTokens
    }),
  )
  return (counts.reduce((sum, count) => sum + count, 0) * 1_000) / (performance.now() - startedAt)
}

async function throughputRows(root: string): Promise<BenchRow[]> {
  const mesh = await createMesh(root)
  const rows: BenchRow[] = []
  let one = Number.NaN
  try {
    let started = 0
    for (const workers of [1, 2, 4]) {
      for (; started < workers; started++) await mesh.start()
      const rates: number[] = []
      for (let round = 0; round < rounds; round++) {
        rates.push(await throughput(mesh.client))
        await sleep(restMs)
      }
      const rate = median(rates)
      if (workers === 1) one = rate
      rows.push({
        what: `${streams} streams on ${workers} worker${workers > 1 ? 's' : ''} of one thread (nano)`,
        ours: rate,
        unit: 'tokens/s',
        ...(workers > 1 && { peer: { name: '1 worker', value: one }, ratio: rate / one }),
        note:
          workers >= availableParallelism()
            ? `${availableParallelism()} cores for workers and client together`
            : '',
      })
    }
    return rows
  } finally {
    await mesh.stop()
  }
}

/** As a client sees it that does not know how full the worker is: ours would not even ask. */
async function refusalRows(root: string): Promise<BenchRow[]> {
  const mesh = await createMesh(root)
  const peers: RawPeer[] = []
  const connect = async (workerId: string): Promise<RawPeer> => {
    const peer = await connectRaw(mesh.bootstrap, workerId)
    peers.push(peer)
    peer.write(encodeFrame({ ...samples.hello, models: [], roles: ['client'] }))
    return peer
  }
  const isSaid = async (peer: RawPeer, requestId: string, type: string): Promise<void> => {
    const matches = ({ type: said, requestId: id }: { type?: string; requestId?: string }): boolean =>
      said === type && id === requestId
    while (!peer.frames.some((frame) => frame.ok && matches(frame.value as object))) await setImmediate()
  }
  try {
    await mesh.start(tiny)
    const [worker] = mesh.client.workers()
    const modelId = worker?.models[0]?.id ?? ''
    const workerId = worker?.workerId ?? ''
    const ask = (peer: RawPeer): string => {
      const requestId = createRequestId()
      peer.write(encodeFrame({ ...samples.prompt, requestId, modelId, sampling: endless, maxTokens: 900 }))
      return requestId
    }
    const first = await connect(workerId)
    // One runs, and stops for a reader that never acknowledges; one waits.
    for (let kept = 0; kept < 2; kept++) await isSaid(first, ask(first), 'queue-status')
    const refusals: number[] = []
    const second = await connect(workerId)
    for (let round = 0; round < 15; round++) {
      const startedAt = performance.now()
      await isSaid(second, ask(second), 'inference_error')
      refusals.push(performance.now() - startedAt)
    }
    return [
      {
        what: 'refusal by a full worker, from the prompt to its code',
        ours: median(refusals),
        unit: 'ms',
        target: '≤ 20 ms',
        note: `worst of ${refusals.length}: ${Math.max(...refusals).toFixed(1)} ms`,
      },
    ]
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()))
    await mesh.stop()
  }
}

/** Several workers together, and one that has too much to do. */
export async function run(): Promise<BenchRow[]> {
  const root = await mkdtemp(join(tmpdir(), 'qmesh-bench-'))
  try {
    return [...(await refusalRows(join(root, 'full'))), ...(await throughputRows(join(root, 'many')))]
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
