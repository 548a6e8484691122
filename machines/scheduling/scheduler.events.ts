import type { ErrorCode, ModelId } from '../../protocol/index.ts'

/** `${clientId}:${requestId}`, unique on this worker. */
export type JobId = string
/** `${modelId}/${index}` */
export type SlotId = string

export interface Submission {
  readonly jobId: JobId
  readonly modelId: ModelId
  /** What the client's precedence adds to its arrival: its tier follows from it. */
  readonly waitMs: number
  readonly promptTokens: number
  readonly maxTokens: number
  /** Milliseconds from `atMs` after which waiting any longer is of no use. */
  readonly deadlineMs?: number | undefined
  /** Arrival. */
  readonly atMs: number
}

export interface SlotFreed {
  readonly slotId: SlotId
  readonly atMs: number
  /** What was read and written in `runMs`; zeros teach nothing. */
  readonly promptTokens: number
  readonly completionTokens: number
  readonly runMs: number
}

export type SchedulerCommand =
  | ({ readonly type: 'request.submit' } & Submission)
  /** Takes a waiting request out, silently. One that runs is the slot's business. */
  | { readonly type: 'request.cancel'; readonly jobId: JobId }
  | { readonly type: 'slot.added'; readonly slotId: SlotId; readonly modelId: ModelId }
  /** The slot is gone, and whatever ran in it. Those waiting for its model go on waiting. */
  | { readonly type: 'slot.removed'; readonly slotId: SlotId }
  | ({ readonly type: 'slot.freed' } & SlotFreed)
  /** A model is not loaded, and is loaded when it is wanted: requests for it wait. It will have so many slots. */
  | {
      readonly type: 'model.loadable'
      readonly modelId: ModelId
      readonly slots: number
      readonly loadMs: number
    }
  /** It is being loaded, and likely to be ready after so long. */
  | { readonly type: 'model.expected'; readonly modelId: ModelId; readonly loadMs: number }
  /**
   * A loaded model has to make room: it is given as many requests as wait for it now and no more, then it is
   * `model.yielded`. It will come back for the others, which takes it `loadMs`.
   */
  | {
      readonly type: 'model.hold'
      readonly modelId: ModelId
      /** Comes back in `model.yielded`. */
      readonly turn: number
      readonly wantedBy?: ModelId | undefined
      readonly loadMs: number
    }
  /** Takes `model.hold` back. */
  | { readonly type: 'model.release'; readonly modelId: ModelId }
  /** A model will not come back: everybody waiting for it is refused with `code`. */
  | { readonly type: 'model.gone'; readonly modelId: ModelId; readonly code: ErrorCode }
  /** Applies to newcomers only. `code` says why nothing is accepted; absent: `QM_OVERLOADED`. */
  | {
      readonly type: 'capacity.changed'
      readonly capacity: number
      readonly accepting: boolean
      readonly code?: ErrorCode | undefined
    }

/** Where a request stands. `position` 1 goes next, 0 has a slot; `etaMs` is milliseconds until the first token. */
interface Place {
  readonly jobId: JobId
  readonly position: number
  readonly etaMs: number
}

export interface QueueReport {
  /** Waiting, all models together. */
  readonly length: number
  readonly capacity: number
  readonly slotsBusy: number
  readonly slots: number
}

export type SchedulerEmitted =
  /** Always the first word about a request that is not refused; `request.assigned` may follow at once. */
  | ({ readonly type: 'request.admitted' } & Place)
  | {
      readonly type: 'request.refused'
      readonly jobId: JobId
      readonly code: ErrorCode
      readonly retryAfterMs?: number | undefined
    }
  | ({ readonly type: 'request.moved' } & Place)
  | {
      readonly type: 'request.assigned'
      readonly jobId: JobId
      readonly slotId: SlotId
      readonly queuedMs: number
    }
  /** Made room for one of a higher tier: `QM_QUEUE_FULL` for its client. */
  | { readonly type: 'request.displaced'; readonly jobId: JobId; readonly retryAfterMs: number }
  | { readonly type: 'request.expired'; readonly jobId: JobId }
  /** Requests wait for a model that has no slots and can be loaded. */
  | { readonly type: 'model.wanted'; readonly modelId: ModelId }
  | { readonly type: 'model.unwanted'; readonly modelId: ModelId }
  /** Nothing runs on a held model, and it is given nothing more. */
  | { readonly type: 'model.yielded'; readonly modelId: ModelId; readonly turn: number }
  | ({ readonly type: 'queue.changed' } & QueueReport)
  /** The queue has been nearly full, or fairly empty, for so long that newcomers are asked for more or less work. */
  | { readonly type: 'effort.changed'; readonly bits: number }
