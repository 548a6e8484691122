import type { ProcessFault } from './plan.ts'

export interface Arm {
  readonly kind: ProcessFault
  readonly requestId: string
  /** Tokens of the answer that were sent, the arrival of the prompt, or the finish that is about to be. */
  readonly at: number | 'prompt' | 'finish'
}

export type ToWorker =
  | (Arm & { readonly type: 'arm' })
  | { readonly type: 'disarm' }
  | { readonly type: 'resume' }
  | { readonly type: 'status' }
  | { readonly type: 'stop' }

export interface WorkerState {
  readonly slotsBusy: number
  readonly waiting: number
  readonly isReady: boolean
  readonly accepting: boolean
  /** Milliseconds that its event loop stood still at most, since this was asked last. */
  readonly stoodStillMs: number
}

export type FromWorker =
  | { readonly type: 'ready'; readonly id: string }
  | { readonly type: 'fired'; readonly requestId: string }
  | ({ readonly type: 'status' } & WorkerState)
