import { assign, enqueueActions, fromPromise, setup } from 'xstate'
import { hostMachine, remoteRecovery, type HostReport, type RecoveryPolicy } from './host.machine.ts'
import type { ModelId } from '../../protocol/index.ts'
import { modelIdOfSlot, type ModelSpec, type SlotId } from './model-types.ts'
import {
  addResident,
  createResidents,
  createStaying,
  type LoadableModel,
  type ResidencyEvent,
  type ResidentModels,
} from './resident-models.ts'
import { stepResidents } from './step-residents.ts'
import { stopOrphans } from '../stop-orphans.ts'
import { splitThreads } from './thread-budget.ts'

/**
 * Owns one host per model and shares the cores among them. It routes jobs to slots and hands on what hosts report; one
 * host's trouble is never another's.
 *
 * With a memory budget, or with a model that is loaded on demand, it also decides which models are in memory. Where there
 * is neither, all are loaded at once and stay, and what is added later is loaded on demand beside them. A model goes in two steps, so that no request is sent after it: `model.hold` asks that it be given nothing more, and only
 * after `model.yielded` it is unloaded.
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
  /** Bytes that all loaded models may take together; absent: no bound. */
  readonly memoryBytesMax?: number | undefined
  /** Milliseconds of any clock that does not jump. Needed where models come and go. */
  readonly nowMs?: (() => number) | undefined
  readonly recovery?: RecoveryPolicy | undefined
  /** Models that came after the start of the node, as `model.add` brings them. */
  readonly late?: readonly LateModel[] | undefined
}

/** A model to be served from now on: it is looked at, and loaded when a request waits for it. */
export interface LateModel {
  readonly spec: ModelSpec
  /** Bytes that all models may take together, where there was no bound so far. */
  readonly memoryBytesMax: number
}

export interface InferenceContext extends InferenceInput {
  /** Hosts that have not closed. */
  readonly hostIds: readonly string[]
  /** Undefined before the cores are counted. */
  readonly residents: ResidentModels | undefined
}

export type InferenceCommand =
  | { readonly type: 'slot.run'; readonly slotId: SlotId; readonly jobId: string }
  | { readonly type: 'slot.cancel'; readonly slotId: SlotId }
  /** Requests wait for a model that is not loaded. */
  | { readonly type: 'model.want'; readonly modelId: ModelId }
  /** They do not any more. */
  | { readonly type: 'model.unwant'; readonly modelId: ModelId }
  /** A held model gets no more requests, and none that it was given is on its way. */
  | { readonly type: 'model.yielded'; readonly modelId: ModelId; readonly turn: number }
  /** Its owner wants it out of memory, until it is wanted again. */
  | { readonly type: 'model.evict'; readonly modelId: ModelId }
  /** One more, unless there is one of its id. */
  | ({ readonly type: 'model.add' } & LateModel)
  /** Served no more: what it runs ends, then it is unloaded and `model.removed` follows. */
  | { readonly type: 'model.remove'; readonly modelId: ModelId }
  /** Closes every host in order; the machine is done when the last thread has ended. */
  | { readonly type: 'inference.stop' }
  | HostReport

/** `slot.freed` follows every job that started; `slot.refused` says that one did not start. */
export type InferenceEmitted =
  | HostReport
  /** Not loaded, and loaded when it is wanted. */
  | { readonly type: 'model.loadable'; readonly model: LoadableModel }
  /** Wanted, and now on its way: milliseconds until it is likely to be ready. */
  | { readonly type: 'model.expected'; readonly modelId: ModelId; readonly loadMs: number }
  /** To be given what waits for it now and no more, for the sake of another. Loading it again takes so long. */
  | {
      readonly type: 'model.hold'
      readonly modelId: ModelId
      /** Comes back in `model.yielded`. */
      readonly turn: number
      readonly wantedBy: ModelId | undefined
      readonly loadMs: number
    }
  /** Takes `model.hold` back. */
  | { readonly type: 'model.release'; readonly modelId: ModelId }
  | { readonly type: 'model.removed'; readonly modelId: ModelId }

/** Milliseconds are all the same where nothing depends on them. */
const noTime = (): number => 0

/** One parent has at most 100 children. */
const hostsMax = 100
/** Milliseconds between two looks while somebody waits for the end of another's time. */
const lookMs = { min: 20, max: 250 } as const
const hostId = (modelId: string): string => `host:${modelId}`

const reports: ReadonlySet<string> = new Set<HostReport['type']>([
  'model.surveyed',
  'model.loading',
  'model.ready',
  'model.lost',
  'model.retrying',
  'model.failed',
  'model.unloading',
  'model.unloaded',
  'slot.freed',
  'slot.refused',
])
const isReport = (event: InferenceCommand): event is HostReport => reports.has(event.type)

/** Events that change what should be in memory. */
const decisive: ReadonlySet<string> = new Set<ResidencyEvent['type']>([
  'model.surveyed',
  'model.ready',
  'model.lost',
  'model.failed',
  'model.unloaded',
  'model.want',
  'model.unwant',
  'model.evict',
  'model.remove',
  'model.yielded',
  'slot.run',
  'slot.freed',
  'slot.refused',
])
const isDecisive = (event: { readonly type: string }): event is ResidencyEvent => decisive.has(event.type)

/** Whether models come and go; otherwise all are loaded at the start and stay. */
const isManaged = ({ models, memoryBytesMax }: InferenceInput): boolean =>
  memoryBytesMax !== undefined || models.some(({ load }) => load === 'demand')

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
      const cores = Math.min(mathCores, threadsMax)
      const managed = isManaged(context)
      const memoryBytesMax = context.memoryBytesMax ?? Infinity
      const isHere = ({ remoteName }: ModelSpec): boolean => remoteName === undefined
      const threads = splitThreads(cores, different.filter(isHere).length)
      const staying: { spec: ModelSpec; threads: number }[] = []
      for (const spec of different) {
        // What another program runs takes none of the threads of this one.
        const share = isHere(spec) ? (threads.shift() ?? 1) : 1
        const options = {
          gpuLayers,
          mlock,
          threads: managed ? 1 : Math.min(share, spec.threadsMax ?? Infinity),
          ...(managed && { memoryBytesMax }),
        }
        staying.push({ spec, threads: isHere(spec) ? options.threads : 0 })
        enqueue.spawnChild('host', {
          id: hostId(spec.id),
          input: {
            spec,
            options,
            recovery: recovery ?? (isHere(spec) ? undefined : remoteRecovery),
            isManaged: managed,
          },
        })
      }
      const { nowMs = noTime } = context
      enqueue.assign({
        hostIds: different.map(({ id }) => hostId(id)),
        residents: managed
          ? createResidents(different, { budgetBytes: memoryBytesMax, mathCores: cores })
          : createStaying(staying, cores, nowMs()),
      })
    }),
    /** Those that came after the start, and before it was over. */
    spawnLate: enqueueActions(({ enqueue, context }) => {
      for (const late of context.late ?? []) enqueue.raise({ type: 'model.add', ...late })
    }),
    noteLate: assign({
      late: ({ context: { late = [] } }, { spec, memoryBytesMax }: LateModel) => [
        ...late,
        { spec, memoryBytesMax },
      ],
    }),
    /** A host for one more model, which looks at its file and waits. */
    addLate: enqueueActions(({ enqueue, context }, { spec, memoryBytesMax }: LateModel) => {
      const { residents, gpuLayers, mlock, recovery } = context
      const id = hostId(spec.id)
      if (!residents || context.hostIds.includes(id) || context.hostIds.length >= hostsMax) return
      const next = addResident(residents, spec, memoryBytesMax)
      const options = { gpuLayers, mlock, threads: 1, memoryBytesMax: next.budgetBytes }
      enqueue.spawnChild('host', { id, input: { spec, options, recovery, isManaged: true } })
      enqueue.assign({ hostIds: [...context.hostIds, id], residents: next })
    }),
    /** Decides anew what should be in memory, and sees to it. */
    manage: enqueueActions(({ enqueue, context, event }) => {
      const { residents, nowMs = noTime } = context
      if (!residents) return
      const { models, orders } = stepResidents(
        residents,
        isDecisive(event) ? event : { type: 'look' },
        nowMs(),
      )
      enqueue.assign({ residents: models })
      for (const order of orders) {
        switch (order.type) {
          case 'load': {
            const { modelId, threads, bytesMax, loadMs } = order
            enqueue.emit({ type: 'model.expected', modelId, loadMs })
            enqueue.sendTo(hostId(modelId), { type: 'model.load', threads, memoryBytesMax: bytesMax })
            break
          }
          case 'unload':
            enqueue.sendTo(hostId(order.modelId), { type: 'model.unload' })
            break
          case 'hold': {
            const { modelId, turn, wantedBy, loadMs } = order
            enqueue.emit({ type: 'model.hold', modelId, turn, wantedBy, loadMs })
            break
          }
          case 'remove':
            enqueue.sendTo(hostId(order.modelId), { type: 'host.close' })
            enqueue.emit({ type: 'model.removed', modelId: order.modelId })
            break
          case 'release':
            enqueue.emit({ type: 'model.release', modelId: order.modelId })
            break
          case 'loadable':
            enqueue.emit({ type: 'model.loadable', model: order.model })
            break
          case 'refuse': {
            const { modelId, code, message } = order
            enqueue.emit({ type: 'model.failed', modelId, code, message })
          }
        }
      }
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
    mustLook: ({ context }) => (context.residents?.lookAtMs ?? Infinity) < Infinity,
    needNotLook: ({ context }) => (context.residents?.lookAtMs ?? Infinity) === Infinity,
  },
  delays: {
    /** Often enough that a change of the instant needs no new timer. */
    untilLook: ({ context: { residents, nowMs = noTime } }) =>
      Math.min(lookMs.max, Math.max(lookMs.min, (residents?.lookAtMs ?? Infinity) - nowMs())),
  },
})

const handOn = { actions: 'handOn' } as const
const handOnAndManage = { actions: ['handOn', 'manage'] } as const
const manage = { actions: 'manage' } as const

export const inferenceMachine = inference.createMachine({
  id: 'inference',
  context: ({ input }) => ({ ...input, hostIds: [], residents: undefined }),
  initial: 'measuring',
  on: {
    'model.loading': handOn,
    'model.unloading': handOn,
    'model.surveyed': handOnAndManage,
    'model.ready': handOnAndManage,
    'model.lost': handOnAndManage,
    'model.retrying': handOn,
    'model.failed': handOnAndManage,
    'model.unloaded': handOnAndManage,
    'slot.freed': handOnAndManage,
    'slot.refused': handOnAndManage,
    'xstate.done.actor.*': { actions: 'forgetHost' },
    'xstate.error.actor.*': { actions: ['stopOrphans', 'forgetHost'] },
  },
  states: {
    measuring: {
      invoke: {
        src: 'countMathCores',
        onDone: {
          target: 'serving',
          actions: [{ type: 'spawnHosts', params: ({ event }) => ({ counted: event.output }) }, 'spawnLate'],
        },
        // Slow beats wrong: one thread too many costs far more than one too few.
        onError: {
          target: 'serving',
          actions: [{ type: 'spawnHosts', params: { counted: 1 } }, 'spawnLate'],
        },
      },
      on: {
        'slot.run': { actions: 'refuse' },
        'model.add': { actions: { type: 'noteLate', params: ({ event }) => event } },
        'inference.stop': 'stopped',
      },
    },
    serving: {
      on: {
        'slot.run': { actions: ['toHost', 'manage'] },
        'slot.cancel': { actions: 'toHost' },
        'model.want': manage,
        'model.unwant': manage,
        'model.yielded': manage,
        'model.evict': manage,
        'model.add': { actions: { type: 'addLate', params: ({ event }) => event } },
        'model.remove': manage,
        'inference.stop': 'stopping',
      },
      initial: 'settled',
      states: {
        settled: { always: { guard: 'mustLook', target: 'watching' } },
        watching: {
          always: { guard: 'needNotLook', target: 'settled' },
          after: { untilLook: { target: 'watching', reenter: true, actions: 'manage' } },
        },
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
