import type { ErrorCode, Finish, ModelHash, ModelId, ToolStyle } from '../../protocol/index.ts'

/** A model to load and how. */
export interface ModelSpec {
  readonly id: ModelId
  /** Absolute path of a GGUF file; where another program runs the model, its address. */
  readonly path: string
  /** What the program at that address calls the model. Absent: the model is a file and runs here. */
  readonly remoteName?: string | undefined
  /** Tokens of one slot's context; absent: what the model was trained for, at most 4,096, less if memory is short. */
  readonly contextTokens?: number | undefined
  /** Requests answered at once; absent: from memory, at most 4 on a CPU and 8 on a GPU. */
  readonly slots?: number | undefined
  /** Most threads that are of use to it: the smallest models lose more by waiting for each other than they gain. */
  readonly threadsMax?: number | undefined
  /** SHA-256 that a manifest states for the file; another one is refused with `QM_MODEL_HASH_MISMATCH`. */
  readonly expectedHash?: ModelHash | undefined
  /** `demand`: loaded when a request waits for it. Default `start`: at the start, as far as the memory budget goes. */
  readonly load?: 'start' | 'demand' | undefined
  /** Once it is loaded it stays, whatever else is wanted. */
  readonly isPinned?: boolean | undefined
  /** Milliseconds that it stays loaded at least, although another model needs its memory. Default 0. */
  readonly keepLoadedMs?: number | undefined
}

export interface EngineOptions {
  /** Layers on the GPU: -1 as many as fit, 0 none. */
  readonly gpuLayers: number
  /** Threads of this host. The sum over all hosts never exceeds the machine's math cores. */
  readonly threads: number
  /** Keeps the weights from being swapped out. */
  readonly mlock: boolean
  /** Bytes that model and context may take; absent: what the machine has. */
  readonly memoryBytesMax?: number | undefined
}

/** What others are told of a model. */
export type AdvertisedModel = Pick<
  LoadedModel,
  'id' | 'hash' | 'contextTokens' | 'slots' | 'embeddingSize' | 'tools'
>

/** What a model that is not loaded would turn out to be, as far as its file and the memory it may take tell. */
export type ModelSurvey = AdvertisedModel & {
  /** Bytes that weights and context take. */
  readonly bytes: number
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
  /** Numbers in a vector, of a model that makes embeddings and no text. */
  readonly embeddingSize?: number | undefined
  /** How it writes calls of functions; absent: its chat template knows none. */
  readonly tools?: ToolStyle | undefined
}

export const toAd = (model: AdvertisedModel): AdvertisedModel => {
  const { id, hash, contextTokens, slots, embeddingSize, tools } = model
  return {
    id,
    hash,
    contextTokens,
    slots,
    ...(embeddingSize !== undefined && { embeddingSize }),
    ...(tools && { tools }),
  }
}

/** The survey of a model that is loaded, and perhaps was not looked at before. */
export const toSurvey = (model: LoadedModel): ModelSurvey => ({
  ...toAd(model),
  bytes: model.memoryMb * 1024 ** 2,
})

/** What the engine measured; the queue's share is added by the scheduler. */
export type GenerationResult = Omit<Finish, 'queuedMs'>

/** Names a slot for ever: `<model id>/<index>`. It stays the same when its host is reloaded. */
export type SlotId = string

export const toSlotId = (modelId: ModelId, index: number): SlotId => `${modelId}/${index}`

/** Model ids have no slash, so the last one is the border. */
export const modelIdOfSlot = (slotId: SlotId): ModelId => slotId.slice(0, slotId.lastIndexOf('/'))

/** How a slot's job ended, for the scheduler and the client's intake. */
export interface SlotFreed {
  readonly type: 'slot.freed'
  readonly slotId: SlotId
  readonly jobId: string
  readonly outcome: 'finished' | 'cancelled' | 'failed'
  /** Why, where the outcome is not `finished`. */
  readonly code?: ErrorCode
  readonly promptTokens: number
  readonly completionTokens: number
  /** Milliseconds from start to last token; 0 where nobody measured. */
  readonly runMs: number
}

/** The slot cannot take the job: it is busy, or its host is not ready. The job was not started. */
export interface SlotRefused {
  readonly type: 'slot.refused'
  readonly slotId: SlotId
  readonly jobId: string
  readonly code: ErrorCode
}
