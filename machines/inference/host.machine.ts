import { assign, enqueueActions, fromCallback, sendParent, sendTo, setup } from 'xstate'
import { errorCatalogue, type ErrorCode } from '../../protocol/index.ts'
import { slotMachine, type SlotReport } from './slot.machine.ts'
import { toSlotId, type EngineOptions, type LoadedModel, type ModelSpec, type SlotId } from './model-types.ts'

/**
 * One model on its own thread: loading → ready, and after a crash or a hang backingOff → loading again, a bounded number
 * of times; then gaveUp. What cannot get better by trying again (a missing file, too little memory) is not tried again.
 * It owns its slots, which outlive a reload.
 */
export interface HostInput {
  readonly spec: ModelSpec
  readonly options: EngineOptions
  readonly recovery?: RecoveryPolicy | undefined
}

export interface RecoveryPolicy {
  /** Reloads in a row before the host gives up. */
  readonly restartsMax: number
  /** Milliseconds before the first reload; doubled for each further one. */
  readonly backOffMs: number
  readonly backOffMaxMs: number
  /** Milliseconds of health after which earlier failures are forgotten. */
  readonly forgiveMs: number
}

export const recoveryDefaults: RecoveryPolicy = {
  restartsMax: 5,
  backOffMs: 250,
  backOffMaxMs: 30_000,
  forgiveMs: 300_000,
}

export interface HostContext {
  readonly spec: ModelSpec
  readonly options: EngineOptions
  readonly recovery: RecoveryPolicy
  readonly restarts: number
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
  | EngineHostCommand
  | EngineHostEvent
  | SlotReport

/** Told to the parent, beside what the slots report. */
export type HostReport =
  | { readonly type: 'model.loading'; readonly modelId: string }
  | { readonly type: 'model.ready'; readonly model: LoadedModel; readonly slotIds: readonly SlotId[] }
  | { readonly type: 'model.lost'; readonly modelId: string; readonly code: ErrorCode }
  | {
      readonly type: 'model.failed'
      readonly modelId: string
      readonly code: ErrorCode
      readonly message: string
    }
  | SlotReport

const report = (event: HostReport): HostReport => event

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
  },
  actions: {
    reportLoading: sendParent(({ context }) => report({ type: 'model.loading', modelId: context.spec.id })),
    reportLost: sendParent(({ context }, { code }: { code: ErrorCode }) =>
      report({ type: 'model.lost', modelId: context.spec.id, code }),
    ),
    reportFailed: sendParent(({ context }, params: { code: ErrorCode; message: string }) =>
      report({ type: 'model.failed', modelId: context.spec.id, ...params }),
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
      enqueue.assign({ slotIds, model })
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
    mayRestart: ({ context }, { code }: { code: ErrorCode }) =>
      context.restarts < context.recovery.restartsMax && errorCatalogue[code].retry !== 'never',
  },
  delays: {
    backOff: ({ context: { recovery, restarts } }) =>
      Math.min(recovery.backOffMaxMs, recovery.backOffMs * 2 ** Math.max(0, restarts - 1)),
    forgiveness: ({ context }) => context.recovery.forgiveMs,
    /** Longer than the engine's own patience with a thread that does not put down its work. */
    closing: 15_000,
  },
})

const broken = {
  code: 'QM_INTERNAL',
  message: 'the adapter of the inference thread threw',
} as const

export const hostMachine = host.createMachine({
  id: 'host',
  context: ({ input: { spec, options, recovery = recoveryDefaults } }) => ({
    spec,
    options,
    recovery,
    restarts: 0,
    model: undefined,
    slotIds: [],
  }),
  initial: 'open',
  on: {
    'slot.run': { actions: 'toSlot' },
    'slot.cancel': { actions: 'toSlot' },
    'slot.freed': { actions: 'passOn' },
    'slot.refused': { actions: 'passOn' },
    'host.close': '.closed',
  },
  states: {
    open: {
      invoke: {
        id: 'engineHost',
        src: 'engineHost',
        input: ({ context: { spec, options } }) => ({ spec, options }),
        onError: { target: 'gaveUp', actions: { type: 'reportFailed', params: broken } },
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
            'host.lost': [
              {
                guard: { type: 'mayRestart', params: ({ event }) => event },
                target: '#host.backingOff',
                actions: [
                  { type: 'failSlots', params: ({ event }) => event },
                  { type: 'reportLost', params: ({ event }) => event },
                ],
              },
              {
                target: '#host.gaveUp',
                actions: [
                  { type: 'failSlots', params: ({ event }) => event },
                  { type: 'reportLost', params: ({ event }) => event },
                  { type: 'reportFailed', params: ({ event: { code, message } }) => ({ code, message }) },
                ],
              },
            ],
          },
        },
        closing: {
          entry: 'closeEngine',
          on: { 'host.closed': '#host.closed', 'host.failed': '#host.closed', 'host.close': {} },
          after: { closing: '#host.closed' },
        },
      },
      on: {
        'host.failed': [
          { guard: { type: 'mayRestart', params: ({ event }) => event }, target: 'backingOff' },
          {
            target: 'gaveUp',
            actions: {
              type: 'reportFailed',
              params: ({ event: { code, message } }) => ({ code, message }),
            },
          },
        ],
        'host.close': '.closing',
      },
    },
    backingOff: {
      entry: 'countRestart',
      after: { backOff: 'open' },
    },
    gaveUp: {},
    closed: { type: 'final' },
  },
})
