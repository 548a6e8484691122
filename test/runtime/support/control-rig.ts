import { sampleEmbeddings } from '../../support/sample-embeddings.ts'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { AnswerEmitter } from '../../../actors/request/answer-events.ts'
import type { AnswerChunk } from '../../../actors/request/answer-log.ts'
import type { AnswerResult } from '../../../actors/request/answer.ts'
import type { AskOptions } from '../../../actors/request/ask-options.ts'
import { FrameDecoder, QMeshError, type ChatMessage } from '../../../protocol/index.ts'
import {
  createControlClient,
  startControlServer,
  type ControlAnswer,
  type ControlPort,
} from '../../../runtime/control/index.ts'
import { toMeshTopic } from '../../../runtime/mesh-topic.ts'
import type { WorkerSummary } from '../../../runtime/index.ts'
import type { NodeStatus } from '../../../runtime/node-status.ts'
import type { RequestExplanation } from '../../../runtime/why/request-explanation.ts'
import { tempDir } from './temp-dir.ts'

const id = 'ab'.repeat(32)

export const sampleStatus: NodeStatus = {
  id,
  version: '1.2.3',
  pid: 42,
  uptimeMs: 1_000,
  dataDir: '/data',
  network: { state: 'online', peers: 2, isPrivate: false },
  models: [{ id: 'tiny', state: 'ready', slots: 2, contextTokens: 512, backend: 'cpu' }],
  parts: [
    { name: 'swarm', state: 'running' },
    { name: 'queue-watch', state: 'restarting', restarts: 2, error: { code: 'QM_INTERNAL', message: 'oh' } },
  ],
  queue: { length: 1, capacity: 10, slotsBusy: 1, slots: 2 },
  health: { score: 90, state: 'idle', accepting: true },
}

/** A worker that is known, with one model. */
export const workerWith = (id: string): WorkerSummary => ({
  workerId: '12'.repeat(32),
  isLocal: false,
  tier: 'gold',
  models: [{ id, hash: 'ef'.repeat(32), contextTokens: 512, slots: 2 }],
  healthScore: 71.4,
  state: 'light',
  accepting: true,
  queueLength: 1,
  queueCapacity: 8,
  slotsBusy: 2,
  slots: 2,
  barred: undefined,
  inFlight: 1,
  answers: 3,
  firstTokenMs: 120.4,
  tokensPerSecond: 20.25,
  failuresInRow: 0,
})

export const sampleResult: AnswerResult = {
  requestId: 'cd'.repeat(16),
  text: 'hello world',
  finishReason: 'stop',
  usage: { promptTokens: 3, cachedTokens: 0, completionTokens: 2 },
  timings: { firstTokenMs: 5, totalMs: 9, queuedMs: 1 },
  workerId: id,
  modelId: 'tiny',
  modelHash: 'ef'.repeat(32),
  attempts: [{ workerId: id, modelId: 'tiny', modelHash: 'ef'.repeat(32), atMs: 0, tokens: 2 }],
  handovers: [],
}

export const drainedStatus: NodeStatus = {
  ...sampleStatus,
  health: { score: 90, state: 'idle', accepting: false, pausedBy: ['owner', 'quiet-hours'] },
}

const choice = {
  workerId: id,
  manner: 'band',
  seed: 7,
  known: 2,
  reasons: [
    {
      workerId: id,
      modelId: 'tiny',
      standing: 'chosen',
      group: 'slot-free',
      score: 0.91,
      terms: { health: 0.9, responsiveness: 0.5, performance: 0.25, queueAvailability: 1, queued: 0 },
    },
    { workerId: '12'.repeat(32), rejected: 'model' },
  ],
}

export const sampleExplanation: RequestExplanation = {
  requestId: 'cd'.repeat(16),
  askedAt: '2024-01-02T03:04:05.678Z',
  state: 'answered',
  localOnly: false,
  tries: 2,
  handovers: 1,
  tokens: 30,
  totalMs: 860,
  attempts: [
    {
      workerId: '34'.repeat(32),
      modelId: 'tiny',
      modelHash: 'ef'.repeat(32),
      atMs: 0,
      tokens: 10,
      queued: { position: 2, etaMs: 300 },
      firstTokenMs: 100,
      totalMs: 650,
      code: 'QM_DRAINING',
      message: 'going\u001b[31m',
      choice,
    },
    {
      workerId: id,
      modelId: 'tiny',
      modelHash: 'ef'.repeat(32),
      atMs: 650,
      tokens: 20,
      firstTokenMs: 200,
      totalMs: 210,
      handover: { afterTokens: 10, gapMs: 700 },
      choice: { ...choice, isReproduced: true },
    },
  ],
}

export interface Asked {
  readonly input: readonly ChatMessage[]
  readonly options: AskOptions
  /** Chunks that were pulled out of the answer. */
  pulled: number
  isLeft: boolean
}

/** A node of paper behind a real socket: its answers are what the test says. */
export interface ControlRig {
  readonly path: string
  readonly dataDir: string
  readonly client: ReturnType<typeof createControlClient>
  readonly asked: Asked[]
  readonly defects: Error[]
  /** A connection that speaks for itself. */
  readonly raw: () => Promise<Socket>
  readonly close: () => Promise<void>
}

export interface RigOptions {
  readonly dataDir?: string
  readonly chunks?: (signal: AbortSignal | undefined) => AsyncIterable<AnswerChunk>
  /** What an answer ends with. */
  readonly result?: AnswerResult
  readonly port?: Partial<ControlPort>
  readonly requestTimeoutMs?: number
  readonly drainTimeoutMs?: number
}

export async function createControlRig(options: RigOptions = {}): Promise<ControlRig> {
  const dataDir = options.dataDir ?? (await tempDir())
  const asked: Asked[] = []
  const defects: Error[] = []
  const port: ControlPort = {
    status: () => sampleStatus,
    meeting: () => ({ topic: toMeshTopic(undefined), bootstrap: [] }),
    workers: () => [],
    requests: () => [],
    why: () => sampleExplanation,
    drain: () => drainedStatus,
    resume: () => sampleStatus,
    scores: () => [],
    whyScore: () => Promise.reject(new QMeshError('QM_ACCOUNT_UNKNOWN')),
    credit: () => Promise.reject(new QMeshError('QM_ACCOUNT_UNKNOWN')),
    embed: async (texts, embedOptions) =>
      sampleEmbeddings(texts, embedOptions, { workerId: 'ab'.repeat(32), modelHash: 'cd'.repeat(32) }),
    ask: (input, askOptions) => {
      const record: Asked = { input, options: askOptions, pulled: 0, isLeft: false }
      asked.push(record)
      const chunks = (options.chunks ?? hello)(askOptions.signal)
      return fakeAnswer(record, chunks, options.result ?? sampleResult)
    },
    ...options.port,
  }
  const { requestTimeoutMs, drainTimeoutMs } = options
  const server = await startControlServer({
    dataDir,
    port,
    onError: (error) => defects.push(error),
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
    ...(drainTimeoutMs !== undefined && { drainTimeoutMs }),
  })
  let isClosed = false
  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    await server.close()
  }
  onTestFinished(close)
  return {
    path: server.path,
    dataDir,
    client: createControlClient(server.path),
    asked,
    defects,
    raw: async () => {
      const socket = connect(server.path)
      onTestFinished(() => void socket.destroy())
      await once(socket, 'connect')
      return socket
    },
    close,
  }
}

async function* hello(): AsyncGenerator<AnswerChunk> {
  yield { text: 'hello ', tokens: [1] }
  yield { text: 'world', tokens: [2] }
}

function fakeAnswer(record: Asked, chunks: AsyncIterable<AnswerChunk>, result: AnswerResult): ControlAnswer {
  const events = new AnswerEmitter()
  return {
    requestId: result.requestId,
    async *[Symbol.asyncIterator]() {
      events.emit('queued', { position: 3, etaMs: 250, promptTokens: 3 })
      try {
        for await (const chunk of chunks) {
          record.pulled++
          yield chunk
        }
      } finally {
        record.isLeft = true
      }
    },
    result: Promise.resolve(result),
    on: (name, listener) => events.on(name, listener),
    cancel: () => undefined,
  }
}

/** Everything the other end sends until it closes. */
export async function readReplies(socket: Socket): Promise<unknown[]> {
  const decoder = new FrameDecoder()
  const replies: unknown[] = []
  for await (const chunk of socket) {
    for (const frame of decoder.push(chunk as Buffer)) replies.push(frame.ok ? frame.value : frame.code)
  }
  return replies
}
