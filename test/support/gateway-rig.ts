import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { createHttpServer, type HttpServerOptions } from '../../actors/gateway/http-server.ts'
import type { GatewayPort } from '../../actors/gateway/gateway.port.ts'
import type { InspectorPort } from '../../actors/gateway/inspector.port.ts'
import { Meter } from '../../actors/gateway/meter.ts'
import type { GatewaySettings } from '../../actors/gateway/settings.ts'
import { AnswerEmitter } from '../../actors/request/answer-events.ts'
import { AnswerLog } from '../../actors/request/answer-log.ts'
import { Answer, AnswerError, type AnswerResult } from '../../actors/request/answer.ts'
import { CallParser, parseCalls } from '../../machines/tools/index.ts'
import { toQuestion, type AskOptions } from '../../actors/request/ask-options.ts'
import type { EmbedOptions } from '../../actors/request/embed-options.ts'
import { createRequestId, QMeshError, type ChatMessage, type ErrorCode } from '../../protocol/index.ts'
import { meshSchemas } from '../../runtime/mesh-schemas.ts'
import { sampleEmbeddings } from './sample-embeddings.ts'
import { sampleExplanation, sampleStatus } from '../runtime/support/control-rig.ts'

export const workerId = 'ab'.repeat(32)
export const otherId = 'cd'.repeat(32)
const modelHash = 'ef'.repeat(32)

/** A question that reached the mesh, and the hand of the mesh in its answer: a real one, of which the test is the worker. */
export interface Asked {
  readonly requestId: string
  readonly input: string | readonly ChatMessage[]
  readonly options: AskOptions
  readonly log: AnswerLog
  readonly emitter: AnswerEmitter
  isCancelled: boolean
  /** A token and its text. */
  readonly say: (text: string) => void
  readonly finish: (result?: Partial<AnswerResult>) => void
  readonly fail: (code: ErrorCode, message?: string, retryAfterMs?: number) => void
}

export const sampleWorker = {
  workerId,
  isLocal: false,
  models: [
    { id: 'tiny', hash: modelHash, contextTokens: 512, slots: 2 },
    { id: 'smollm2-135m', hash: modelHash, contextTokens: 4_096, slots: 2 },
  ],
  healthScore: 80,
  state: 'idle' as const,
  accepting: true,
  queueLength: 0,
  queueCapacity: 4,
  slotsBusy: 0,
  slots: 2,
  barred: undefined,
  inFlight: 0,
  answers: 0,
  firstTokenMs: undefined,
  tokensPerSecond: undefined,
  failuresInRow: 0,
}

/** One that makes embeddings as well. */
export const versatileWorker = {
  ...sampleWorker,
  models: [
    ...sampleWorker.models,
    { id: 'tiny-bert', hash: modelHash, contextTokens: 128, slots: 1, embeddingSize: 4 },
  ],
}

export type GatewayRig = Awaited<ReturnType<typeof createGatewayRig>>

/** The gateway's server in front of a mesh of paper. `reply` answers at once; without it the test does, by hand. */
export async function createGatewayRig(
  given: {
    readonly settings?: Partial<GatewaySettings>
    readonly port?: Partial<GatewayPort>
    readonly reply?: (asked: Asked) => void
    readonly inspector?: InspectorPort
  } = {},
) {
  const asked: Asked[] = []
  const embedded: { texts: string | readonly string[]; options: EmbedOptions }[] = []
  const waiting: (() => void)[] = []
  const defects: Error[] = []
  const port: GatewayPort = {
    ask: (input, options = {}) => {
      const record = createAsked(input, options)
      asked.push(record.asked)
      for (const wake of waiting.splice(0)) wake()
      queueMicrotask(() => given.reply?.(record.asked))
      return record.answer
    },
    embed: async (texts, options = {}) => {
      embedded.push({ texts, options })
      return sampleEmbeddings(texts, options, { workerId, modelHash })
    },
    status: () => sampleStatus,
    workers: () => [sampleWorker],
    requests: () => [{ requestId: 'cd'.repeat(16) }],
    why: (id) => {
      if (id !== undefined && !sampleExplanation.requestId.startsWith(id))
        throw new QMeshError('QM_REQUEST_UNKNOWN')
      return sampleExplanation
    },
    scores: () => [],
    whyScore: () => Promise.reject(new QMeshError('QM_ACCOUNT_UNKNOWN')),
    credit: () => Promise.reject(new QMeshError('QM_ACCOUNT_UNKNOWN')),
    models: undefined,
    ...given.port,
  }
  const meter = new Meter()
  meter.watch(port)
  const options: HttpServerOptions = {
    port,
    meter,
    inspector: given.inspector,
    onDefect: (error) => defects.push(error),
    settings: {
      host: '127.0.0.1',
      port: 0,
      keys: [],
      origins: [],
      version: '1.2.3',
      schemas: meshSchemas,
      ...given.settings,
    },
  }
  const http = createHttpServer(options)
  const { server } = http
  onTestFinished(() => server.close())
  const post = (url: string, payload: object, headers: Record<string, string> = {}) =>
    server.inject({ method: 'POST', url, payload, headers: { host: 'localhost:11500', ...headers } })
  let listening: Promise<unknown> | undefined
  const url = async (): Promise<string> => {
    listening ??= server.listen({ host: '127.0.0.1', port: 0 })
    await listening
    return `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  }
  return {
    server,
    meter,
    asked,
    /** What was to become vectors. */
    embedded,
    defects,
    options,
    drain: () => http.drain(),
    /** The next question, or the one that was asked already. */
    nextAsked: async (index = 0): Promise<Asked> => {
      while (asked.length <= index) await new Promise<void>((resolve) => waiting.push(resolve))
      const found = asked[index]
      if (!found) throw new Error('nothing was asked')
      return found
    },
    get: (path: string, headers: Record<string, string> = {}) =>
      server.inject({ method: 'GET', url: path, headers: { host: 'localhost:11500', ...headers } }),
    post,
    chat: (body: object = {}) => post('/v1/chat/completions', { ...question, ...body }),
    /** The same over a real connection. */
    url,
    fetchChat: async (body: object = {}, signal?: AbortSignal) =>
      fetch(`${await url()}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...question, ...body }),
        ...(signal && { signal }),
      }),
    /** A connection that speaks for itself. */
    raw: async (): Promise<Socket> => {
      const { port: number } = new URL(await url())
      const socket = connect(Number(number), '127.0.0.1')
      onTestFinished(() => void socket.destroy())
      await once(socket, 'connect')
      return socket
    },
  }
}

export const question = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] }

/** What two tokens and an end look like. */
export function answerHello(asked: Asked): void {
  asked.say('hello ')
  asked.say('world')
  asked.finish()
}

/** The `data:` lines of a stream, parsed; and its comments. */
export function readEvents(text: string) {
  const lines = text.split('\n')
  const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6))
  return {
    comments: lines.filter((line) => line.startsWith(': ')).map((line) => line.slice(2)),
    names: lines.filter((line) => line.startsWith('event: ')).map((line) => line.slice(7)),
    data: data
      .filter((line) => line !== '[DONE]')
      .map((line) => z.record(z.string(), z.unknown()).parse(JSON.parse(line))),
    isDone: data.at(-1) === '[DONE]',
  }
}

function createAsked(input: string | readonly ChatMessage[], options: AskOptions) {
  const requestId = createRequestId()
  // Refuses what the real one refuses.
  const { reading } = toQuestion(requestId, input, options)
  const toId = (index: number): string => `call_${index}`
  const log = new AnswerLog()
  const emitter = new AnswerEmitter()
  let settle: { resolve(result: AnswerResult): void; reject(error: Error): void } | undefined
  const settled = new Promise<AnswerResult>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const tell = { workerId, modelId: 'tiny', attempt: 0 }
  // Whoever asks has to have the answer before it can listen to it.
  queueMicrotask(() => emitter.emit('worker', tell))
  const asked: Asked = {
    requestId,
    input,
    options,
    log,
    emitter,
    isCancelled: false,
    say: (text) => log.push([log.tokens], text),
    finish: (result) => {
      log.close()
      const parsed = reading && parseCalls(log.text, { ...reading, style: 'hermes', toId })
      settle?.resolve({
        requestId,
        text: log.text,
        finishReason: parsed?.calls.length ? 'toolCalls' : 'stop',
        ...(parsed && { text: parsed.text, toolCalls: parsed.calls }),
        usage: { promptTokens: 5, cachedTokens: 2, completionTokens: log.tokens },
        timings: { firstTokenMs: 5, totalMs: 9, queuedMs: 1 },
        workerId,
        modelId: 'tiny',
        modelHash,
        attempts: [],
        handovers: [],
        ...result,
      })
    },
    fail: (code, message, retryAfterMs) => {
      const context = { requestId, partial: log.text, attempts: [] }
      const error = new AnswerError(
        code,
        message,
        context,
        retryAfterMs === undefined ? {} : { retryAfterMs },
      )
      log.close(error)
      settle?.reject(error)
    },
  }
  const cancel = (): void => {
    asked.isCancelled = true
    asked.fail('QM_CANCELLED')
  }
  options.signal?.addEventListener('abort', cancel, { once: true })
  const createParser = reading && (() => new CallParser({ ...reading, style: 'hermes', toId }))
  return { asked, answer: new Answer({ requestId, log, emitter, settled, cancel, createParser }) }
}
