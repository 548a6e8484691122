import { assign, enqueueActions, fromCallback, fromPromise, sendParent, sendTo, setup } from 'xstate'
import { errorCatalogue, toQMeshError, type ErrorCode } from '../../protocol/index.ts'
import { slotMachine, type SlotReport } from './slot.machine.ts'
import {
  toSlotId,
  type EngineOptions,
  type LoadedModel,
  type ModelSpec,
  type ModelSurvey,
  type SlotId,
} from './model-types.ts'

/**
 * One model on its own thread: loading → ready, and after a crash or a hang backingOff → loading again, a bounded number
 * of times; then gaveUp. What does not get better by itself is not tried again so soon: a file that is missing or half
 * copied, and too little memory, are looked at again minutes later, and everything else never.
 * It owns its slots, which outlive a reload.
 *
 * A managed host shares the memory with others: it first finds out what its model would be, and then waits, unloaded,
 * until it is told to load it. Whoever tells it to unload it has made sure that no slot has a job.
 */
export interface HostInput {
  readonly spec: ModelSpec
  readonly options: EngineOptions
  readonly recovery?: RecoveryPolicy | undefined
  /** Loads when it is told to. Default false: at once. */
  readonly isManaged?: boolean | undefined
}

export interface RecoveryPolicy {
  /** Reloads in a row before the host gives up. */
  readonly restartsMax: number
  /** Milliseconds before the first reload; doubled for each further one. */
  readonly backOffMs: number
  readonly backOffMaxMs: number
  /** Milliseconds of health after which earlier failures are forgotten. */
  readonly forgiveMs: number
  /** Milliseconds after giving up over something that its owner may cure, until it is tried again; doubled each time. */
  readonly retryMs: number
  readonly retryMaxMs: number
}

export const recoveryDefaults: RecoveryPolicy = {
  restartsMax: 5,
  backOffMs: 250,
  backOffMaxMs: 30_000,
  forgiveMs: 300_000,
  retryMs: 60_000,
  retryMaxMs: 900_000,
}

/** What the owner may put right while the node runs, and what costs little to look at again. */
const curable: ReadonlySet<ErrorCode> = new Set([
  'QM_MODEL_FILE_MISSING',
  'QM_MODEL_FILE_INVALID',
  'QM_MODEL_TOO_LARGE',
])

/**
 * For a model that another program runs: it comes back when its owner starts that program again, and nobody knows when.
 * Asking costs next to nothing, so it never gives up.
 */
export const remoteRecovery: RecoveryPolicy = {
  restartsMax: Infinity,
  backOffMs: 500,
  backOffMaxMs: 30_000,
  forgiveMs: 60_000,
  retryMs: 60_000,
  retryMaxMs: 900_000,
}

export interface HostContext {
  readonly spec: ModelSpec
  readonly options: EngineOptions
  readonly recovery: RecoveryPolicy
  readonly isManaged: boolean
  readonly restarts: number
  /** How often it gave up since it was last loaded. */
  readonly givenUp: number
  /** Why it gave up the last time. */
  readonly failure: ErrorCode | undefined
  readonly model: LoadedModel | undefined
  readonly slotIds: readonly SlotId[]
}

export interface EngineHostInput {
  readonly spec: ModelSpec
  readonly options: EngineOptions
}

/** What the adapter that holds the engine's host tells this machine. */
export type EngineHostEvent =
  | { readonly type: 'host.loaded'; readonly model: LoadedModel }
  | { readonly type: 'host.failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'host.lost'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'host.closed' }

export interface EngineHostCommand {
  readonly type: 'host.close'
}

export type HostCommand =
  | { readonly type: 'slot.run'; readonly slotId: SlotId; readonly jobId: string }
  | { readonly type: 'slot.cancel'; readonly slotId: SlotId }
  | { readonly type: 'model.load'; readonly threads: number; readonly memoryBytesMax?: number | undefined }
  | { readonly type: 'model.unload' }
  | EngineHostCommand
  | EngineHostEvent
  | SlotReport

/** Told to the parent, beside what the slots report. */
export type HostReport =
  | { readonly type: 'model.surveyed'; readonly survey: ModelSurvey }
  | { readonly type: 'model.unloading'; readonly modelId: string }
  | { readonly type: 'model.unloaded'; readonly modelId: string }
  | { readonly type: 'model.loading'; readonly modelId: string }
  | { readonly type: 'model.ready'; readonly model: LoadedModel; readonly slotIds: readonly SlotId[] }
  | { readonly type: 'model.lost'; readonly modelId: string; readonly code: ErrorCode }
  /** It could not be loaded or was lost, and is tried again soon. */
  | {
      readonly type: 'model.retrying'
      readonly modelId: string
      readonly code: ErrorCode
      readonly message: string
      readonly delayMs: number
    }
  | {
      readonly type: 'model.failed'
      readonly modelId: string
      readonly code: ErrorCode
      readonly message: string
      /** Milliseconds until it is looked at again; absent: never. */
      readonly retryMs?: number | undefined
    }
  | SlotReport

type Failure = Pick<Extract<EngineHostEvent, { type: 'host.failed' }>, 'code' | 'message'>

const report = (event: HostReport): HostReport => event

const backOffMs = ({ recovery }: HostContext, restarts: number): number =>
  Math.min(recovery.backOffMaxMs, recovery.backOffMs * 2 ** Math.max(0, restarts - 1))

const retryMs = ({ recovery, givenUp }: HostContext): number =>
  Math.min(recovery.retryMaxMs, recovery.retryMs * 2 ** Math.max(0, givenUp - 1))

const host = setup({
  types: {
    input: {} as HostInput,
    context: {} as HostContext,
    events: {} as HostCommand,
    children: {} as { engineHost: 'engineHost' },
  },
  actors: {
    /** Given by the runtime: loads the model, reports, and closes it when asked or stopped. */
    engineHost: fromCallback<EngineHostCommand, EngineHostInput>(() => undefined),
    slot: slotMachine,
    /** Given by the runtime: looks at the file without loading it. */
    survey: fromPromise<ModelSurvey, EngineHostInput>(() =>
      Promise.reject(new Error('nothing looks at files')),
    ),
  },
  actions: {
    reportSurvey: sendParent((_, { survey }: { survey: ModelSurvey }) =>
      report({ type: 'model.surveyed', survey }),
    ),
    reportUnloading: sendParent(({ context }) =>
      report({ type: 'model.unloading', modelId: context.spec.id }),
    ),
    reportUnloaded: sendParent(({ context }) => report({ type: 'model.unloaded', modelId: context.spec.id })),
    stopSlots: enqueueActions(({ enqueue, context }) => {
      for (const slotId of context.slotIds) enqueue.stopChild(slotId)
      enqueue.assign({ slotIds: [], model: undefined, restarts: 0 })
    }),
    takeOptions: assign({
      options: ({ context }, params: Pick<EngineOptions, 'threads' | 'memoryBytesMax'>) => ({
        ...context.options,
        ...params,
      }),
    }),
    reportLoading: sendParent(({ context }) => report({ type: 'model.loading', modelId: context.spec.id })),
    reportLost: sendParent(({ context }, { code }: { code: ErrorCode }) =>
      report({ type: 'model.lost', modelId: context.spec.id, code }),
    ),
    /** Before it counts as a restart. */
    reportRetrying: sendParent(({ context }, { code, message }: Failure) => {
      const delayMs = backOffMs(context, context.restarts + 1)
      return report({ type: 'model.retrying', modelId: context.spec.id, code, message, delayMs })
    }),
    noteFailure: assign({
      failure: (_, { code }: Failure) => code,
      givenUp: ({ context }) => context.givenUp + 1,
    }),
    /** After `noteFailure`. */
    reportFailed: sendParent(({ context }, { code, message }: Failure) =>
      report({
        type: 'model.failed',
        modelId: context.spec.id,
        code,
        message,
        ...(curable.has(code) && { retryMs: retryMs(context) }),
      }),
    ),
    passOn: sendParent(({ event }) => event),
    /** Slots stay when the reloaded model has as many; the engine may have had to change its mind. */
    fitSlots: enqueueActions(({ enqueue, context }, { model }: { model: LoadedModel }) => {
      const slotIds = Array.from({ length: model.slots }, (_, index) => toSlotId(model.id, index))
      for (const slotId of context.slotIds) {
        if (slotIds.includes(slotId)) enqueue.sendTo(slotId, { type: 'host.ready' })
        else enqueue.stopChild(slotId)
      }
      for (const slotId of slotIds) {
        if (context.slotIds.includes(slotId)) continue
        enqueue.spawnChild('slot', { id: slotId, input: { slotId, modelId: model.id } })
      }
      enqueue.assign({ slotIds, model, givenUp: 0, failure: undefined })
      enqueue(sendParent(report({ type: 'model.ready', model, slotIds })))
    }),
    failSlots: enqueueActions(({ enqueue, context }, { code }: { code: ErrorCode }) => {
      for (const slotId of context.slotIds) enqueue.sendTo(slotId, { type: 'host.lost', code })
    }),
    toSlot: enqueueActions(({ enqueue, context, event }) => {
      if (event.type !== 'slot.run' && event.type !== 'slot.cancel') return
      if (context.slotIds.includes(event.slotId)) enqueue.sendTo(event.slotId, event)
      else if (event.type === 'slot.run') {
        const { slotId, jobId } = event
        enqueue(sendParent(report({ type: 'slot.refused', slotId, jobId, code: 'QM_MODEL_UNKNOWN' })))
      }
    }),
    countRestart: assign({ restarts: ({ context }) => context.restarts + 1 }),
    forgive: assign({ restarts: 0 }),
    closeEngine: sendTo('engineHost', { type: 'host.close' }),
  },
  guards: {
    isManaged: ({ context }) => context.isManaged,
    isCurable: ({ context: { failure } }) => failure !== undefined && curable.has(failure),
    mayRestart: ({ context }, { code }: { code: ErrorCode }) =>
      context.restarts < context.recovery.restartsMax && errorCatalogue[code].retry !== 'never',
  },
  delays: {
    backOff: ({ context }) => backOffMs(context, context.restarts),
    retry: ({ context }) => retryMs(context),
    forgiveness: ({ context }) => context.recovery.forgiveMs,
    /** Longer than the engine's own patience with a thread that does not put down its work. */
    closing: 15_000,
  },
})

const broken = {
  code: 'QM_INTERNAL',
  message: 'the adapter of the inference thread threw',
} as const

const toFailure = (error: unknown): Failure => {
  const { code, message } = toQMeshError(error, 'QM_MODEL_FILE_INVALID')
  return { code, message }
}

export const hostMachine = host.createMachine({
  id: 'host',
  context: ({ input: { spec, options, recovery = recoveryDefaults, isManaged = false } }) => ({
    spec,
    options,
    recovery,
    isManaged,
    restarts: 0,
    givenUp: 0,
    failure: undefined,
    model: undefined,
    slotIds: [],
  }),
  initial: 'deciding',
  on: {
    'slot.run': { actions: 'toSlot' },
    'slot.cancel': { actions: 'toSlot' },
    'slot.freed': { actions: 'passOn' },
    'slot.refused': { actions: 'passOn' },
    'host.close': '.closed',
  },
  states: {
    deciding: { always: [{ guard: 'isManaged', target: 'surveying' }, { target: 'open' }] },
    surveying: {
      invoke: {
        src: 'survey',
        input: ({ context: { spec, options } }) => ({ spec, options }),
        onDone: {
          target: 'unloaded',
          actions: { type: 'reportSurvey', params: ({ event }) => ({ survey: event.output }) },
        },
        onError: {
          target: 'gaveUp',
          actions: [
            { type: 'noteFailure', params: ({ event }) => toFailure(event.error) },
            { type: 'reportFailed', params: ({ event }) => toFailure(event.error) },
          ],
        },
      },
    },
    unloaded: {
      on: {
        'model.load': {
          target: 'open',
          actions: {
            type: 'takeOptions',
            params: ({ event: { threads, memoryBytesMax } }) => ({ threads, memoryBytesMax }),
          },
        },
      },
    },
    open: {
      invoke: {
        id: 'engineHost',
        src: 'engineHost',
        input: ({ context: { spec, options } }) => ({ spec, options }),
        onError: {
          target: 'gaveUp',
          actions: [
            { type: 'noteFailure', params: broken },
            { type: 'reportFailed', params: broken },
          ],
        },
      },
      initial: 'loading',
      states: {
        loading: {
          entry: 'reportLoading',
          on: {
            'host.loaded': {
              target: 'ready',
              actions: { type: 'fitSlots', params: ({ event }) => ({ model: event.model }) },
            },
          },
        },
        ready: {
          after: { forgiveness: { actions: 'forgive' } },
          on: {
            'model.unload': 'unloading',
            'host.lost': [
              {
                guard: { type: 'mayRestart', params: ({ event }) => event },
                target: '#host.backingOff',
                actions: [
                  { type: 'failSlots', params: ({ event }) => event },
                  { type: 'reportLost', params: ({ event }) => event },
                  { type: 'reportRetrying', params: ({ event }) => event },
                ],
              },
              {
                target: '#host.gaveUp',
                actions: [
                  { type: 'failSlots', params: ({ event }) => event },
                  { type: 'reportLost', params: ({ event }) => event },
                  { type: 'noteFailure', params: ({ event }) => event },
                  { type: 'reportFailed', params: ({ event }) => event },
                ],
              },
            ],
          },
        },
        unloading: {
          entry: ['reportUnloading', 'stopSlots', 'closeEngine'],
          on: {
            'host.closed': { target: '#host.unloaded', actions: 'reportUnloaded' },
            'host.failed': {},
            'host.lost': {},
          },
          after: { closing: { target: '#host.unloaded', actions: 'reportUnloaded' } },
        },
        closing: {
          entry: 'closeEngine',
          on: { 'host.closed': '#host.closed', 'host.failed': '#host.closed', 'host.close': {} },
          after: { closing: '#host.closed' },
        },
      },
      on: {
        'host.failed': [
          {
            guard: { type: 'mayRestart', params: ({ event }) => event },
            target: 'backingOff',
            actions: { type: 'reportRetrying', params: ({ event }) => event },
          },
          {
            target: 'gaveUp',
            actions: [
              { type: 'noteFailure', params: ({ event }) => event },
              { type: 'reportFailed', params: ({ event }) => event },
            ],
          },
        ],
        'host.close': '.closing',
      },
    },
    backingOff: {
      entry: 'countRestart',
      after: { backOff: 'open' },
    },
    gaveUp: { after: { retry: { guard: 'isCurable', target: 'deciding', actions: 'forgive' } } },
    closed: { type: 'final' },
  },
})
