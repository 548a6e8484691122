import { assign, enqueueActions, fromCallback, sendParent, sendTo, setup } from 'xstate'
import type { ErrorCode, ModelId } from '../../protocol/index.ts'
import type { GenerationResult, SlotFreed, SlotId, SlotRefused } from './model-types.ts'

/**
 * One lane of a host. It owns at most one job, which it learns about in four facts; tokens never come here. When the
 * host is lost the job gets a moment to say so itself, then the slot waits for the host to come back.
 */
export interface SlotInput {
  readonly slotId: SlotId
  readonly modelId: ModelId
}

export interface SlotContext extends SlotInput {
  readonly jobId: string | undefined
}

export interface RunJobInput extends SlotInput {
  readonly jobId: string
}

/** What the running job tells its slot. */
export type JobEvent =
  | { readonly type: 'job.firstToken' }
  | { readonly type: 'job.finished'; readonly result: GenerationResult }
  | {
      readonly type: 'job.failed'
      readonly code: ErrorCode
      readonly promptTokens?: number
      readonly completionTokens?: number
      readonly runMs?: number
    }

/** What a slot tells its job. */
export interface JobCommand {
  readonly type: 'job.cancel'
}

export type SlotCommand =
  | { readonly type: 'slot.run'; readonly jobId: string }
  | { readonly type: 'slot.cancel' }
  | { readonly type: 'host.lost'; readonly code: ErrorCode }
  | { readonly type: 'host.ready' }
  | JobEvent

/** Told to the parent, which is the host. */
export type SlotReport = SlotFreed | SlotRefused

type Ending = Pick<SlotFreed, 'outcome'> & Partial<SlotFreed>

const ending = (event: JobEvent): Ending => {
  if (event.type === 'job.finished') {
    const { promptTokens, completionTokens, totalMs } = event.result
    return { outcome: 'finished', promptTokens, completionTokens, runMs: totalMs }
  }
  if (event.type !== 'job.failed') return { outcome: 'failed' }
  const { code, promptTokens = 0, completionTokens = 0, runMs = 0 } = event
  const outcome = code === 'QM_CANCELLED' ? 'cancelled' : 'failed'
  return { outcome, code, promptTokens, completionTokens, runMs }
}

const slot = setup({
  types: {
    input: {} as SlotInput,
    context: {} as SlotContext,
    events: {} as SlotCommand,
  },
  actors: {
    /** Given by the runtime, which knows the job: starts it, reports, and cancels it on `job.cancel`. */
    runJob: fromCallback<JobCommand, RunJobInput>(() => undefined),
  },
  actions: {
    free: enqueueActions(({ enqueue, context }, params: Ending) => {
      const { slotId, jobId = '' } = context
      const unmeasured = { promptTokens: 0, completionTokens: 0, runMs: 0 }
      enqueue(sendParent({ type: 'slot.freed', slotId, jobId, ...unmeasured, ...params } satisfies SlotFreed))
      enqueue.assign({ jobId: undefined })
    }),
    refuse: sendParent(({ context }, { jobId, code }: { jobId: string; code: ErrorCode }): SlotRefused => ({
      type: 'slot.refused',
      slotId: context.slotId,
      jobId,
      code,
    })),
    cancelJob: sendTo('job', { type: 'job.cancel' }),
  },
  delays: {
    /** The engine rejects every running job when its thread is lost, so this only guards against a lost report. */
    lastWords: 5_000,
  },
})

const onJobEnd = (target: string) => {
  const transition = {
    target,
    actions: { type: 'free', params: ({ event }: { event: JobEvent }) => ending(event) },
  } as const
  return { 'job.finished': transition, 'job.failed': transition }
}

const refuse = (code: ErrorCode) =>
  ({
    actions: {
      type: 'refuse',
      params: ({ event }: { event: { jobId: string } }) => ({ jobId: event.jobId, code }),
    },
  }) as const

export const slotMachine = slot.createMachine({
  id: 'slot',
  context: ({ input }) => ({ ...input, jobId: undefined }),
  initial: 'idle',
  states: {
    idle: {
      on: {
        'slot.run': { target: 'running', actions: assign({ jobId: ({ event }) => event.jobId }) },
        'host.lost': 'recovering',
      },
    },
    running: {
      invoke: {
        id: 'job',
        src: 'runJob',
        input: ({ context: { slotId, modelId, jobId = '' } }) => ({ slotId, modelId, jobId }),
        onError: {
          target: 'idle',
          actions: { type: 'free', params: { outcome: 'failed', code: 'QM_INTERNAL' } },
        },
      },
      on: {
        'slot.run': refuse('QM_INTERNAL'),
        'host.lost': '.failed',
      },
      initial: 'prefilling',
      states: {
        prefilling: {
          on: { 'job.firstToken': 'generating', 'slot.cancel': 'draining', ...onJobEnd('#slot.idle') },
        },
        generating: {
          on: { 'slot.cancel': 'draining', ...onJobEnd('#slot.idle') },
        },
        draining: {
          entry: 'cancelJob',
          on: onJobEnd('#slot.idle'),
        },
        failed: {
          on: onJobEnd('#slot.recovering'),
          after: {
            lastWords: {
              target: '#slot.recovering',
              actions: { type: 'free', params: { outcome: 'failed', code: 'QM_ENGINE_CRASHED' } },
            },
          },
        },
      },
    },
    recovering: {
      on: {
        'slot.run': refuse('QM_ENGINE_CRASHED'),
        'host.ready': 'idle',
      },
    },
  },
})
