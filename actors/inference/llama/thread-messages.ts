import type { MessagePort } from 'node:worker_threads'
import type { ErrorCode, ModelHash } from '../../../protocol/index.ts'
import type {
  EngineOptions,
  GenerateRequest,
  GenerationResult,
  LoadedModel,
  ModelSpec,
  ModelSurvey,
} from '../engine.port.ts'

/**
 * What crosses between the node's thread and an inference thread. Tasks go through Piscina and are answered once;
 * tokens, ends and log lines flow through one `MessagePort` per host, which keeps their order; acknowledgements and
 * cancels are words of shared memory (`generation-control.ts`).
 */
export type InferenceTask =
  | LoadTask
  | SurveyTask
  | { readonly kind: 'prepare'; readonly request: GenerateRequest }
  | { readonly kind: 'release'; readonly jobId: string }
  | GenerateTask
  | { readonly kind: 'close' }

export interface LoadTask {
  readonly kind: 'load'
  readonly spec: ModelSpec
  readonly options: EngineOptions
  /** SHA-256 from the cache: the file has not changed since it was computed. */
  readonly knownHash: ModelHash | undefined
  /** Folder of the verdicts of `FileTrial`. */
  readonly trialDir: string | undefined
  readonly port: MessagePort
  /** Words of `VitalSigns`. */
  readonly vitals: SharedArrayBuffer
}

/** What a model would be; the thread that answers it loads nothing and is ended afterwards. */
export type SurveyTask = Pick<LoadTask, 'spec' | 'options' | 'knownHash' | 'vitals'> & {
  readonly kind: 'survey'
}

export interface GenerateTask {
  readonly kind: 'generate'
  readonly jobId: string
  /** Names the generation on the port; never reused by one host. */
  readonly lane: number
  readonly control: SharedArrayBuffer
}

export interface TaskFailure {
  readonly code: ErrorCode
  readonly message: string
}

/** Errors are values: a `QMeshError` would lose its class on the way. */
export type TaskAnswer =
  | {
      readonly ok: true
      readonly loaded?: LoadedModel
      readonly surveyed?: ModelSurvey
      readonly promptTokens?: number
    }
  | { readonly ok: false; readonly failure: TaskFailure }

export interface LaneChunk {
  readonly lane: number
  readonly tokens: readonly number[]
  readonly text: string
}

export type FromThread =
  | { readonly type: 'chunks'; readonly chunks: readonly LaneChunk[] }
  | { readonly type: 'finished'; readonly lane: number; readonly result: GenerationResult }
  | { readonly type: 'failed'; readonly lane: number; readonly failure: TaskFailure }
  | { readonly type: 'log'; readonly level: string; readonly message: string }

/** Only sent when the lane says that it sleeps: otherwise the shared words are enough. */
export interface ToThread {
  readonly type: 'wake'
  readonly lane: number
}
