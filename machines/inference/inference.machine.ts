import { enqueueActions, fromPromise, setup } from 'xstate'
import { hostMachine, type HostReport, type RecoveryPolicy } from './host.machine.ts'
import { modelIdOfSlot, type ModelSpec, type SlotId } from './model-types.ts'
import { stopOrphans } from '../stop-orphans.ts'
import { splitThreads } from './thread-budget.ts'

/**
 * Owns one host per model and shares the cores among them. It routes jobs to slots and hands on what hosts report; one
 * host's trouble is never another's.
 */
export interface InferenceInput {
  /** At most 100, with different ids; of two with the same id the first counts. */
  readonly models: readonly ModelSpec[]
  /** Cores that inference may use; absent: all that do maths well. The sum of all hosts' threads stays within both. */
  readonly threadsMax?: number | undefined
  /** Cores that do maths well, where they are known; absent: they are counted. */
  readonly mathCores?: number | undefined
  readonly gpuLayers: number
  readonly mlock: boolean
  readonly recovery?: RecoveryPolicy | undefined
}

export interface InferenceContext extends InferenceInput {
  /** Hosts that have not closed. */
  readonly hostIds: readonly string[]
}

export type InferenceCommand =
  | { readonly type: 'slot.run'; readonly slotId: SlotId; readonly jobId: string }
  | { readonly type: 'slot.cancel'; readonly slotId: SlotId }
  /** Closes every host in order; the machine is done when the last thread has ended. */
  | { readonly type: 'inference.stop' }
  | HostReport

/** `slot.freed` follows every job that started; `slot.refused` says that one did not start. */
export type InferenceEmitted = HostReport

/** One parent has at most 100 children. */
const hostsMax = 100
const hostId = (modelId: string): string => `host:${modelId}`

const isReport = (event: InferenceCommand): event is HostReport =>
  event.type !== 'slot.run' && event.type !== 'slot.cancel' && event.type !== 'inference.stop'

const inference = setup({
  types: {
    input: {} as InferenceInput,
    context: {} as InferenceContext,
    events: {} as InferenceCommand,
    emitted: {} as InferenceEmitted,
  },
  actors: {
    host: hostMachine,
    /** Given by the runtime: counts the cores that do maths well. */
    countMathCores: fromPromise<number>(() => Promise.resolve(1)),
  },
  actions: {
    spawnHosts: enqueueActions(({ enqueue, context }, { counted }: { counted: number }) => {
      const { models, gpuLayers, mlock, recovery, mathCores = counted, threadsMax = mathCores } = context
      const different = models
        .filter(({ id }, index) => models.findIndex((other) => other.id === id) === index)
        .slice(0, hostsMax)
      const threads = splitThreads(Math.min(mathCores, threadsMax), different.length)
      for (const [index, spec] of different.entries()) {
        const options = {
          gpuLayers,
          mlock,
          threads: Math.min(threads[index] ?? 1, spec.threadsMax ?? Infinity),
        }
        enqueue.spawnChild('host', { id: hostId(spec.id), input: { spec, options, recovery } })
      }
      enqueue.assign({ hostIds: different.map(({ id }) => hostId(id)) })
    }),
    toHost: enqueueActions(({ enqueue, context, event }) => {
      if (event.type !== 'slot.run' && event.type !== 'slot.cancel') return
      const target = hostId(modelIdOfSlot(event.slotId))
      if (context.hostIds.includes(target)) enqueue.sendTo(target, event)
      else if (event.type === 'slot.run') {
        const { slotId, jobId } = event
        enqueue.emit({ type: 'slot.refused', slotId, jobId, code: 'QM_MODEL_UNKNOWN' })
      }
    }),
    refuse: enqueueActions(({ enqueue, event }) => {
      if (event.type !== 'slot.run') return
      const { slotId, jobId } = event
      enqueue.emit({ type: 'slot.refused', slotId, jobId, code: 'QM_DRAINING' })
    }),
    handOn: enqueueActions(({ enqueue, event }) => {
      if (isReport(event)) enqueue.emit(event)
    }),
    closeHosts: enqueueActions(({ enqueue, context }) => {
      for (const id of context.hostIds) enqueue.sendTo(id, { type: 'host.close' })
    }),
    stopOrphans: ({ self, event }) =>
      stopOrphans(self.getSnapshot().children['actorId' in event ? String(event.actorId) : '']),
    forgetHost: enqueueActions(({ enqueue, context, event }) => {
      const id = 'actorId' in event ? String(event.actorId) : ''
      enqueue.stopChild(id)
      enqueue.assign({ hostIds: context.hostIds.filter((other) => other !== id) })
    }),
  },
  guards: {
    noHosts: ({ context }) => context.hostIds.length === 0,
  },
})

const handOn = { actions: 'handOn' } as const

export const inferenceMachine = inference.createMachine({
  id: 'inference',
  context: ({ input }) => ({ ...input, hostIds: [] }),
  initial: 'measuring',
  on: {
    'model.loading': handOn,
    'model.ready': handOn,
    'model.lost': handOn,
    'model.failed': handOn,
    'slot.freed': handOn,
    'slot.refused': handOn,
    'xstate.done.actor.*': { actions: 'forgetHost' },
    'xstate.error.actor.*': { actions: ['stopOrphans', 'forgetHost'] },
  },
  states: {
    measuring: {
      invoke: {
        src: 'countMathCores',
        onDone: {
          target: 'serving',
          actions: { type: 'spawnHosts', params: ({ event }) => ({ counted: event.output }) },
        },
        // Slow beats wrong: one thread too many costs far more than one too few.
        onError: { target: 'serving', actions: { type: 'spawnHosts', params: { counted: 1 } } },
      },
      on: { 'slot.run': { actions: 'refuse' }, 'inference.stop': 'stopped' },
    },
    serving: {
      on: {
        'slot.run': { actions: 'toHost' },
        'slot.cancel': { actions: 'toHost' },
        'inference.stop': 'stopping',
      },
    },
    stopping: {
      entry: 'closeHosts',
      always: { guard: 'noHosts', target: 'stopped' },
      on: { 'slot.run': { actions: 'refuse' }, 'slot.cancel': { actions: 'toHost' } },
    },
    stopped: { type: 'final' },
  },
})
