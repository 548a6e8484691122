import type {
  ChatMessage,
  Finish,
  ModelHash,
  ModelId,
  QMeshError,
  RequestId,
  Sampling,
} from '../../protocol/index.ts'

/** A model to load and how. */
export interface ModelSpec {
  readonly id: ModelId
  /** Absolute path of a GGUF file. */
  readonly path: string
  /** Tokens of one slot's context; absent: what the model was trained for, at most 4,096, less if memory is short. */
  readonly contextTokens?: number | undefined
  /** Requests answered at once; absent: from memory, at most 4 on a CPU and 8 on a GPU. */
  readonly slots?: number | undefined
}

export interface EngineOptions {
  /** Layers on the GPU: -1 as many as fit, 0 none. */
  readonly gpuLayers: number
  /** Threads of this host. The sum over all hosts never exceeds the machine's math cores. */
  readonly threads: number
  /** Keeps the weights from being swapped out. */
  readonly mlock: boolean
}

/** What a loaded model turned out to be. */
export interface LoadedModel {
  readonly id: ModelId
  readonly hash: ModelHash
  readonly contextTokens: number
  readonly slots: number
  readonly backend: 'cpu' | 'cuda' | 'metal' | 'vulkan' | 'remote'
  readonly threads: number
  /** Megabytes the engine says model and context take. */
  readonly memoryMb: number
}

/** The part of a `prompt` message that an engine needs. */
export interface GenerateRequest {
  /** Unique on this worker; see `toJobId`. */
  readonly jobId: string
  readonly requestId: RequestId
  readonly messages?: readonly ChatMessage[] | undefined
  readonly prompt?: string | undefined
  readonly sampling: Sampling
  readonly maxTokens: number
  readonly stop: readonly string[]
  /** JSON text of a JSON schema. */
  readonly jsonSchema?: string | undefined
}

/** Tokens that were ready together and the text that became certain with them. */
export interface TokenChunk {
  readonly tokens: readonly number[]
  readonly text: string
}

/** What the engine measured; the queue's share is added by the scheduler. */
export type GenerationResult = Omit<Finish, 'queuedMs'>

/** One running request. */
export interface Generation {
  /** Stops between two tokens; `finished` then rejects with `QM_CANCELLED`. */
  cancel(): void
  /** Tokens the client has read in all; generation pauses `limits.unackedTokensMax` beyond it. */
  acknowledge(tokens: number): void
  /** Rejects with a `QMeshError`. */
  readonly finished: Promise<GenerationResult>
}

/** One loaded model on its own thread. */
export interface EngineHost {
  readonly model: LoadedModel
  /**
   * Tokenizes the request, compiles its grammar and keeps both until `generate` or `release`.
   *
   * @throws QMeshError `QM_CONTEXT_EXCEEDED`, `QM_JSON_SCHEMA_INVALID`, `QM_CHAT_TEMPLATE_FAILED`
   */
  prepare(request: GenerateRequest): Promise<{ readonly promptTokens: number }>
  /** Forgets a prepared request that will not run. */
  release(jobId: string): void
  /** Runs a prepared request. At most `model.slots` at once. `onChunk` is called in order and must not throw. */
  generate(jobId: string, onChunk: (chunk: TokenChunk) => void): Generation
  /** Resolves when the thread is gone or hung without having been closed: `QM_ENGINE_CRASHED`, `QM_ENGINE_HUNG`. */
  readonly lost: Promise<QMeshError>
  close(): Promise<void>
}

/** A way to run models. The first engine is node-llama-cpp; one that forwards to another server is the same port. */
export interface Engine {
  /** @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE` */
  load(spec: ModelSpec, options: EngineOptions): Promise<EngineHost>
}
