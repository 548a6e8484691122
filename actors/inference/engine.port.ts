import type {
  EngineOptions,
  GenerationResult,
  LoadedModel,
  ModelSpec,
  ModelSurvey,
} from '../../machines/inference/model-types.ts'
import type {
  ChatMessage,
  QMeshError,
  RequestId,
  Resume,
  Sampling,
  Tool,
  ToolChoice,
} from '../../protocol/index.ts'

export type { EngineOptions, GenerationResult, LoadedModel, ModelSpec, ModelSurvey }

/** The part of a `prompt` message that an engine needs. */
export interface GenerateRequest {
  /** Unique on this worker; see `toJobId`. */
  readonly jobId: string
  readonly requestId: RequestId
  readonly messages?: readonly ChatMessage[] | undefined
  readonly prompt?: string | undefined
  /** Texts to make embeddings of. */
  readonly embed?: readonly string[] | undefined
  readonly sampling: Sampling
  readonly maxTokens: number
  readonly stop: readonly string[]
  /** JSON text of a JSON schema. */
  readonly jsonSchema?: string | undefined
  /** Functions that the model may ask to have called. */
  readonly tools?: readonly Tool[] | undefined
  readonly toolChoice?: ToolChoice | undefined
  /** Absent: true. */
  readonly parallelToolCalls?: boolean | undefined
  /** Go on after these tokens of the answer instead of beginning it. */
  readonly resume?: Resume | undefined
}

/** Tokens that were ready together and the text that became certain with them. */
export interface TokenChunk {
  readonly tokens: readonly number[]
  readonly text: string
}

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
   * @throws QMeshError `QM_MODEL_KIND`, `QM_CONTEXT_EXCEEDED`, `QM_JSON_SCHEMA_INVALID`, `QM_CHAT_TEMPLATE_FAILED`,
   * `QM_TOOLS_UNSUPPORTED`, `QM_RESUME_INVALID`
   */
  prepare(request: GenerateRequest): Promise<{ readonly promptTokens: number }>
  /** Forgets a prepared request that will not run. */
  release(jobId: string): void
  /**
   * Runs a prepared request. At most `model.slots` at once. `onChunk` is called in order and must not throw. Where
   * embeddings are asked for there are no chunks, and the result has them.
   */
  generate(jobId: string, onChunk: (chunk: TokenChunk) => void): Generation
  /** Resolves when the thread is gone or hung without having been closed: `QM_ENGINE_CRASHED`, `QM_ENGINE_HUNG`. */
  readonly lost: Promise<QMeshError>
  close(): Promise<void>
}

/** A way to run models. The first engine is node-llama-cpp; one that forwards to another server is the same port. */
export interface Engine {
  /**
   * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE`,
   * `QM_MODEL_HASH_MISMATCH`, `QM_ENGINE_CRASHED`
   */
  load(spec: ModelSpec, options: EngineOptions): Promise<EngineHost>
  /**
   * What the model would be if it were loaded into `memoryBytesMax`. Nothing stays in memory. Absent: models of this
   * engine cannot come and go.
   *
   * @throws QMeshError as `load`
   */
  survey?(spec: ModelSpec, options: EngineOptions): Promise<ModelSurvey>
}
