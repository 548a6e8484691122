import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import type {
  EngineHost,
  GenerateRequest,
  Generation,
  GenerationResult,
  ModelSpec,
  TokenChunk,
} from '../../actors/inference/engine.port.ts'
import { createLlamaEngine, type LlamaEngineOptions } from '../../actors/inference/llama/llama-engine.ts'
import { createRequestId, defaultSampling, type Sampling } from '../../protocol/index.ts'
import { inferenceWorkerUrl } from '../../runtime/inference-worker.ts'
import { writeTinyGguf, type TinyGgufOptions } from './tiny-gguf.ts'

export interface Asked {
  readonly prompt?: string
  readonly messages?: GenerateRequest['messages']
  readonly sampling?: Partial<Sampling>
  readonly maxTokens?: number
  readonly stop?: readonly string[]
  readonly jsonSchema?: string
  readonly tools?: GenerateRequest['tools']
  readonly toolChoice?: GenerateRequest['toolChoice']
  readonly parallelToolCalls?: boolean
  readonly resume?: GenerateRequest['resume']
}

/** Greedy unless asked otherwise: the answer then depends on the prompt alone. */
export function toRequest(jobId: string, asked: Asked): GenerateRequest {
  const { prompt, messages, sampling, maxTokens = 24, stop = [], jsonSchema, resume } = asked
  const { tools, toolChoice, parallelToolCalls } = asked
  return {
    jobId,
    requestId: createRequestId(),
    ...(messages ? { messages } : { prompt: prompt ?? 'hello the world' }),
    sampling: { ...defaultSampling, temperature: 0, repeatPenalty: 1, ...sampling },
    maxTokens,
    stop,
    jsonSchema,
    tools,
    toolChoice,
    parallelToolCalls,
    resume,
  }
}

export interface Answer {
  readonly promptTokens: number
  readonly tokens: readonly number[]
  readonly text: string
  /** Tokens of each chunk, in order of arrival. */
  readonly chunkSizes: readonly number[]
  readonly result: GenerationResult
}

export interface Running {
  readonly jobId: string
  readonly generation: Generation
  readonly tokens: number[]
  /** Resolves when at least this many tokens have arrived. */
  arrived(count: number): Promise<void>
}

let nextJob = 0

/** Prepares and starts; nothing is acknowledged. */
export async function start(host: EngineHost, asked: Asked): Promise<Running> {
  const jobId = `job-${nextJob++}`
  await host.prepare(toRequest(jobId, asked))
  const tokens: number[] = []
  const waiting = new Set<{ count: number; resolve: () => void }>()
  const generation = host.generate(jobId, (chunk) => {
    tokens.push(...chunk.tokens)
    for (const waiter of waiting) if (tokens.length >= waiter.count) waiter.resolve()
  })
  const arrived = async (count: number): Promise<void> => {
    if (tokens.length >= count) return
    await new Promise<void>((resolve, reject) => {
      waiting.add({ count, resolve })
      generation.finished.then(() => resolve(), reject)
    })
  }
  return { jobId, generation, tokens, arrived }
}

/** Asks and reads the whole answer, acknowledging as it comes. */
export async function ask(
  host: EngineHost,
  asked: Asked,
  onChunk?: (chunk: TokenChunk) => void,
): Promise<Answer> {
  const jobId = `job-${nextJob++}`
  const { promptTokens } = await host.prepare(toRequest(jobId, asked))
  const tokens: number[] = []
  const chunkSizes: number[] = []
  let text = ''
  const generation = host.generate(jobId, (chunk) => {
    tokens.push(...chunk.tokens)
    chunkSizes.push(chunk.tokens.length)
    text += chunk.text
    onChunk?.(chunk)
    generation.acknowledge(tokens.length)
  })
  return { result: await generation.finished, promptTokens, tokens, text, chunkSizes }
}

export interface InferenceRig {
  readonly folder: string
  readonly workers: readonly Worker[]
  /** Writes a tiny model and says how to load it. */
  model(options?: TinyGgufOptions & Partial<ModelSpec>): ModelSpec
  load(spec: ModelSpec, engine?: Partial<LlamaEngineOptions>): Promise<EngineHost>
  /** Closes what was loaded and removes the folder. */
  close(): Promise<void>
}

/** Real engine, real threads, tiny models, one llama thread each. */
export function createInferenceRig(): InferenceRig {
  const folder = mkdtempSync(join(tmpdir(), 'qmesh-inference-'))
  const hosts: EngineHost[] = []
  const workers: Worker[] = []
  return {
    folder,
    workers,
    model({ seed, tokenizer, layers, chatTemplate, marks, ...spec } = {}) {
      const path = join(folder, `tiny-${nextJob++}.gguf`)
      writeTinyGguf(path, {
        ...(seed !== undefined && { seed }),
        ...(tokenizer !== undefined && { tokenizer }),
        ...(layers !== undefined && { layers }),
        ...(chatTemplate !== undefined && { chatTemplate }),
        ...(marks !== undefined && { marks }),
      })
      return { id: 'tiny', path, contextTokens: 1_024, slots: 2, ...spec }
    },
    async load(spec, options = {}) {
      const engine = createLlamaEngine({
        workerUrl: inferenceWorkerUrl,
        onThread: (worker) => workers.push(worker),
        ...options,
      })
      const host = await engine.load(spec, { gpuLayers: 0, threads: 1, mlock: false })
      hosts.push(host)
      return host
    },
    async close() {
      await Promise.all(hosts.map((host) => host.close()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
