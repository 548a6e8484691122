import { assign, fromPromise, setup } from 'xstate'
import { QMeshError } from '../../protocol/index.ts'
import { toPauses, type DutyFacts, type DutyPolicy, type PauseReason, type Surroundings } from './duty.ts'

/** Milliseconds between two looks: a reason to pause is known within a second. */
export const lookIntervalMs = 1_000

export interface DutyInput {
  readonly policy: DutyPolicy
  /** The reasons that hold already: a part that is started again does not forget what the owner said. */
  readonly pauses: readonly PauseReason[]
  readonly isOverloaded: boolean
  /** Milliseconds between two looks: `lookIntervalMs` unless a test wants otherwise. */
  readonly intervalMs: number
}

export interface DutyContext {
  readonly policy: DutyPolicy
  readonly facts: DutyFacts
  readonly intervalMs: number
  /** What was told last. */
  readonly pauses: readonly PauseReason[]
}

export type DutyCommand =
  /** The owner wants the machine for something else. */
  | { readonly type: 'duty.drain' }
  /** Takes `duty.drain` back; other reasons stay. */
  | { readonly type: 'duty.resume' }
  /** The node stops: there is no way back from here. */
  | { readonly type: 'duty.leave' }
  | { readonly type: 'load.reported'; readonly isOverloaded: boolean }

/** When the reasons became others; empty means that the worker serves. */
export interface DutyEmitted {
  readonly type: 'duty.changed'
  readonly pauses: readonly PauseReason[]
}

const duty = setup({
  types: {
    input: {} as DutyInput,
    context: {} as DutyContext,
    events: {} as DutyCommand,
    emitted: {} as DutyEmitted,
  },
  actors: {
    /** Looks at the clock and the battery once; `actors/duty` gives the real one by `provide`. */
    look: fromPromise<Surroundings>(() => Promise.reject(new QMeshError('QM_INTERNAL', 'no look given'))),
  },
  delays: { lookInterval: ({ context }) => context.intervalMs },
  guards: {
    isLeaving: ({ context }) => context.facts.isStopping,
    isPaused: ({ context }) => context.pauses.length > 0,
    isFree: ({ context }) => context.pauses.length === 0,
  },
})

const note = (fact: Partial<DutyFacts>) =>
  duty.assign({ facts: ({ context }) => ({ ...context.facts, ...fact }) })

/** Works the reasons out again and tells them if they became others. */
const tell = duty.enqueueActions(({ context, enqueue }) => {
  const pauses = toPauses(context.policy, context.facts, context.pauses)
  if (pauses.join() === context.pauses.join()) return
  enqueue.assign({ pauses })
  enqueue.emit({ type: 'duty.changed', pauses })
})

/**
 * When does this worker serve? The owner comes first: it pauses for as long as there is any reason to, and a node that
 * stops leaves for good. It decides for others only: what the owner asks is not refused on the owner's own machine.
 */
export const dutyMachine = duty.createMachine({
  id: 'duty',
  type: 'parallel',
  context: ({ input: { policy, pauses, isOverloaded, intervalMs } }) => ({
    policy,
    facts: {
      isStopping: pauses.includes('shutdown'),
      isDrained: pauses.includes('owner'),
      isOverloaded,
      surroundings: undefined,
    },
    intervalMs,
    pauses,
  }),
  entry: tell,
  on: {
    'duty.drain': { actions: [note({ isDrained: true }), tell] },
    'duty.resume': { actions: [note({ isDrained: false }), tell] },
    'duty.leave': { actions: [note({ isStopping: true }), tell] },
    'load.reported': {
      actions: [
        assign({ facts: ({ context, event }) => ({ ...context.facts, isOverloaded: event.isOverloaded }) }),
        tell,
      ],
    },
  },
  states: {
    duty: {
      initial: 'serving',
      states: {
        serving: { always: { guard: 'isPaused', target: 'paused' } },
        /** Nothing new of others; what runs goes on until its client has moved it, or to its end. */
        paused: {
          always: [
            { guard: 'isLeaving', target: 'leaving' },
            { guard: 'isFree', target: 'serving' },
          ],
        },
        leaving: {},
      },
    },
    watch: {
      initial: 'looking',
      states: {
        looking: {
          invoke: {
            src: 'look',
            onDone: {
              target: 'resting',
              actions: [
                assign({ facts: ({ context, event }) => ({ ...context.facts, surroundings: event.output }) }),
                tell,
              ],
            },
            // What was seen last stays true until somebody sees otherwise.
            onError: 'resting',
          },
        },
        resting: { after: { lookInterval: 'looking' } },
      },
    },
  },
})
