import { setup } from 'xstate'
import {
  createEffortState,
  stepEffort,
  toEffortSide,
  type EffortPolicy,
  type EffortState,
} from '../trust/effort.ts'
import { Scheduler, type SchedulerOptions } from './scheduler.ts'
import type { SchedulerCommand, SchedulerEmitted } from './scheduler.events.ts'

export type * from './scheduler.events.ts'

export interface SchedulerInput extends SchedulerOptions {
  /** The clock of the events' `atMs`, in milliseconds. Needed where no event brings the time: a timer, a free slot. */
  readonly nowMs: () => number
  /** How much work a full queue asks of newcomers; absent: none. */
  readonly effort?: EffortPolicy | undefined
}

export interface SchedulerContext {
  readonly nowMs: () => number
  readonly effortPolicy: EffortPolicy | undefined
  readonly effort: EffortState
  /** Mutable, see its class: the machine owns it alone, and snapshots of this machine are not meant to be kept. */
  readonly scheduler: Scheduler
  /** Instant, by the scheduler's steady clock, for which the expiry timer is set; infinite when none is. */
  readonly armedForMs: number
  /** The scheduler's `changes` at the last report. */
  readonly reportedAt: number
}

/** Milliseconds between two words to a request about its position. */
const announceMs = 500
/** Milliseconds in which changes of the queue are gathered into one report. */
const reportMs = 50

function decide(scheduler: Scheduler, command: SchedulerCommand, nowMs: number): readonly SchedulerEmitted[] {
  switch (command.type) {
    case 'request.submit':
      return scheduler.submit(command, nowMs)
    case 'request.cancel':
      scheduler.cancel(command.jobId)
      return []
    case 'slot.added':
      return scheduler.addSlot(command.slotId, command.modelId, nowMs)
    case 'slot.removed':
      scheduler.removeSlot(command.slotId)
      return []
    case 'slot.freed':
      return scheduler.freeSlot(command, nowMs)
    case 'model.loadable':
      return scheduler.setLoadable(command.modelId, command, nowMs)
    case 'model.expected':
      scheduler.expect(command.modelId, command.loadMs, nowMs)
      return []
    case 'model.hold':
      scheduler.hold(command.modelId, command)
      return []
    case 'model.release':
      return scheduler.release(command.modelId, nowMs)
    case 'model.gone':
      return scheduler.removeModel(command.modelId, command.code)
    case 'capacity.changed':
      scheduler.setCapacity(
        command.capacity,
        command.accepting ? undefined : (command.code ?? 'QM_OVERLOADED'),
      )
      return []
  }
}

/** On which side of the effort's thresholds the queue is now. */
const sideOf = ({ effortPolicy, scheduler, effort }: SchedulerContext): EffortState['side'] =>
  effortPolicy ? toEffortSide(scheduler.fullness, effortPolicy) : effort.side

const schedulerSetup = setup({
  types: {
    input: {} as SchedulerInput,
    context: {} as SchedulerContext,
    events: {} as SchedulerCommand,
    emitted: {} as SchedulerEmitted,
  },
  delays: {
    announceInterval: announceMs,
    reportInterval: reportMs,
    // Often enough that no step comes late, and no more often than the node tells others.
    effortLook: ({ context: { effortPolicy } }) => Math.min(1_000, (effortPolicy?.effortHoldMs ?? 5_000) / 5),
    untilExpiry: ({ context }) => context.scheduler.untilMs(context.armedForMs, context.nowMs()),
  },
  guards: {
    someoneWaits: ({ context }) => context.scheduler.waiting > 0,
    nobodyWaits: ({ context }) => context.scheduler.waiting === 0,
    noExpiry: ({ context }) => context.scheduler.nextExpiryMs === Infinity,
    expiryMoved: ({ context }) => context.scheduler.nextExpiryMs !== context.armedForMs,
    isCrowded: ({ context }) => sideOf(context) === 'full',
    hasTurned: ({ context }) => sideOf(context) !== context.effort.side,
    isAtEase: ({ context }) => context.effort.bits === 0 && sideOf(context) !== 'full',
    reportIsOld: ({ context }) => context.scheduler.changes !== context.reportedAt,
  },
})

const apply = schedulerSetup.enqueueActions(({ context, event, enqueue }) => {
  for (const said of decide(context.scheduler, event, context.nowMs())) enqueue.emit(said)
  for (const said of context.scheduler.news()) enqueue.emit(said)
})

const announce = schedulerSetup.enqueueActions(({ context, enqueue }) => {
  for (const said of context.scheduler.announce(context.nowMs())) enqueue.emit(said)
  for (const said of context.scheduler.news()) enqueue.emit(said)
})

const expire = schedulerSetup.enqueueActions(({ context, enqueue }) => {
  for (const said of context.scheduler.expire(context.nowMs())) enqueue.emit(said)
  for (const said of context.scheduler.news()) enqueue.emit(said)
})

const look = schedulerSetup.enqueueActions(({ context, enqueue }) => {
  const { effort, effortPolicy, scheduler, nowMs } = context
  if (!effortPolicy) return
  const next = stepEffort(effort, scheduler.fullness, nowMs(), effortPolicy)
  enqueue.assign({ effort: next })
  if (next.bits !== effort.bits) enqueue.emit({ type: 'effort.changed', bits: next.bits })
})

const report = schedulerSetup.emit(({ context }) => ({
  type: 'queue.changed',
  ...context.scheduler.report(),
}))
const noteReport = schedulerSetup.assign({ reportedAt: ({ context }) => context.scheduler.changes })
const arm = schedulerSetup.assign({ armedForMs: ({ context }) => context.scheduler.nextExpiryMs })
const disarm = schedulerSetup.assign({ armedForMs: Infinity })

/**
 * Gives free slots to waiting requests. Every command is decided at once by `Scheduler`; the states here are only the
 * four clocks beside it: telling positions, letting deadlines pass, reporting the queue, and asking for effort.
 */
export const schedulerMachine = schedulerSetup.createMachine({
  id: 'scheduler',
  context: ({ input }) => ({
    nowMs: input.nowMs,
    effortPolicy: input.effort,
    effort: createEffortState(input.nowMs()),
    scheduler: new Scheduler(input),
    armedForMs: Infinity,
    reportedAt: -1,
  }),
  type: 'parallel',
  on: {
    'request.submit': { actions: apply },
    'request.cancel': { actions: apply },
    'slot.added': { actions: apply },
    'slot.removed': { actions: apply },
    'slot.freed': { actions: apply },
    'model.loadable': { actions: apply },
    'model.expected': { actions: apply },
    'model.hold': { actions: apply },
    'model.release': { actions: apply },
    'model.gone': { actions: apply },
    'capacity.changed': { actions: apply },
  },
  states: {
    positions: {
      initial: 'quiet',
      states: {
        quiet: { always: { guard: 'someoneWaits', target: 'watching' } },
        watching: {
          always: { guard: 'nobodyWaits', target: 'quiet' },
          after: { announceInterval: { target: 'watching', reenter: true, actions: announce } },
        },
      },
    },
    deadlines: {
      initial: 'none',
      states: {
        none: { entry: disarm, always: { guard: 'expiryMoved', target: 'armed' } },
        armed: {
          entry: arm,
          always: [
            { guard: 'noExpiry', target: 'none' },
            { guard: 'expiryMoved', target: 'armed', reenter: true },
          ],
          after: { untilExpiry: { target: 'armed', reenter: true, actions: expire } },
        },
      },
    },
    effort: {
      initial: 'resting',
      states: {
        resting: { always: { guard: 'isCrowded', target: 'asking', actions: look } },
        asking: {
          always: [
            { guard: 'isAtEase', target: 'resting', actions: look },
            { guard: 'hasTurned', actions: look },
          ],
          after: { effortLook: { target: 'asking', reenter: true, actions: look } },
        },
      },
    },
    report: {
      initial: 'current',
      states: {
        current: { always: { guard: 'reportIsOld', target: 'gathering' } },
        gathering: { after: { reportInterval: { target: 'current', actions: [report, noteReport] } } },
      },
    },
  },
})
