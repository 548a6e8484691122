import {
  type AnyActorLogic,
  type AnyActorRef,
  assign,
  fromPromise,
  sendParent,
  sendTo,
  setup,
  stopChild,
} from 'xstate'
import { type QMeshError, toQMeshError } from '../../protocol/index.ts'
import { stopOrphans } from '../stop-orphans.ts'
import { recentRestarts, type RestartPolicy, toBackOffMs } from './restart-policy.ts'

/** The parts that every node is made of, or may be. */
export const builtInParts = [
  'duty',
  'gateway',
  'health-sampler',
  'inference',
  'requester',
  'scheduler',
  'score-gossiper',
  'swarm',
] as const

/** Whose events these are; the node has one subsystem machine for each. One that is not built in was given by its owner. */
export type SubsystemName = string

export interface SubsystemInput {
  readonly name: SubsystemName
  readonly policy: RestartPolicy
  /** Whether the child wants `<name>.stop` and ends by itself; otherwise it is stopped where it stands. */
  readonly hasOwnStop: boolean
  /** Whether the child may be done; otherwise it has failed when it ends. */
  readonly mayEnd: boolean
  /** What the error is that it failed with; absent: a defect of ours, unless it says itself what it is. */
  readonly toError?: ((error: unknown) => QMeshError) | undefined
  /** Milliseconds a child has to stop by itself before it is stopped where it stands. */
  readonly stopWithinMs: number
  readonly now: () => number
  /** Called for each start, so that a restarted child gets fresh input. */
  readonly createInput: () => unknown
}

export interface SubsystemContext {
  readonly input: SubsystemInput
  readonly child: AnyActorRef | undefined
  readonly restartedAtMs: readonly number[]
  readonly lastError: QMeshError | undefined
}

export type SubsystemCommand =
  /** Ask the child to stop in order; the machine ends when it has. */
  { readonly type: 'subsystem.stop' }

/** What the node hears from each of its subsystems. */
export type SubsystemReport =
  | {
      readonly type: 'subsystem.failed'
      readonly name: SubsystemName
      readonly error: QMeshError
      readonly backOffMs: number
    }
  | { readonly type: 'subsystem.gaveUp'; readonly name: SubsystemName; readonly error: QMeshError }

type ChildFact =
  | { readonly type: 'xstate.done.actor.child'; readonly output: unknown }
  | { readonly type: 'xstate.error.actor.child'; readonly error: unknown }

const subsystem = setup({
  types: {
    input: {} as SubsystemInput,
    context: {} as SubsystemContext,
    events: {} as SubsystemCommand | ChildFact,
  },
  actors: { child: fromPromise(() => Promise.reject(new Error('not wired'))) as AnyActorLogic },
  actions: {
    stopOrphans: ({ context }) => stopOrphans(context.child),
    /** Tells whoever built the node which actor is the current one, before it starts. */
    attach: (_, _params: { name: SubsystemName; child: AnyActorRef | undefined }) => {},
  },
  guards: {
    hasOwnStop: ({ context }) => context.input.hasOwnStop,
    mayEnd: ({ context }) => context.input.mayEnd,
    mayRestart: ({ context: { restartedAtMs, lastError, input } }) =>
      !(lastError && isPermanent(lastError)) &&
      recentRestarts(restartedAtMs, input.now(), input.policy).length < input.policy.restartsMax,
  },
  delays: {
    backOff: ({ context }) => backOffOf(context),
    stopDeadline: ({ context }) => context.input.stopWithinMs,
  },
})

/** The wait before the restart that comes next; the restarts before it are already in the context. */
const backOffOf = ({ restartedAtMs, input }: SubsystemContext): number =>
  toBackOffMs(recentRestarts(restartedAtMs, input.now(), input.policy).length, input.policy)

/** A machine does not throw: a child that had to give its work up says why in its output. */
function toEndError(output: unknown): QMeshError {
  const error = typeof output === 'object' && output !== null && 'error' in output ? output.error : undefined
  return toQMeshError(error ?? new Error('it ended although nobody asked it to'))
}

/** What only the operator can mend does not get better by trying again. */
const isPermanent = ({ code, blame, retry }: QMeshError): boolean =>
  blame === 'operator' && retry === 'never' && code !== 'QM_INTERNAL'

/**
 * Owns one subsystem: starts it, starts it again with growing back-off when it fails, and gives up after a bounded
 * number of restarts in a window. One that may end rests when it is done. Whatever happens to the child stays in here:
 * siblings never notice.
 */
export const subsystemMachine = subsystem.createMachine({
  id: 'subsystem',
  context: ({ input }) => ({ input, child: undefined, restartedAtMs: [], lastError: undefined }),
  initial: 'running',
  states: {
    running: {
      entry: [
        assign({
          child: ({ context, spawn }) =>
            spawn('child', {
              id: 'child',
              systemId: context.input.name,
              input: context.input.createInput(),
            }),
        }),
        {
          type: 'attach',
          params: ({ context }) => ({ name: context.input.name, child: context.child }),
        },
      ],
      on: {
        'subsystem.stop': [{ guard: 'hasOwnStop', target: 'stopping' }, { target: 'stopped' }],
        'xstate.done.actor.child': [
          { guard: 'mayEnd', target: 'ended' },
          {
            target: 'deciding',
            actions: assign({ lastError: ({ event }) => toEndError(event.output) }),
          },
        ],
        'xstate.error.actor.child': {
          target: 'deciding',
          actions: assign({
            lastError: ({ event, context }) => (context.input.toError ?? toQMeshError)(event.error),
          }),
        },
      },
      exit: { type: 'attach', params: ({ context }) => ({ name: context.input.name, child: undefined }) },
    },
    deciding: {
      entry: ['stopOrphans', stopChild('child'), assign({ child: undefined })],
      always: [{ guard: 'mayRestart', target: 'backingOff' }, { target: 'gaveUp' }],
    },
    backingOff: {
      entry: sendParent(({ context }) => ({
        type: 'subsystem.failed',
        name: context.input.name,
        error: context.lastError,
        backOffMs: backOffOf(context),
      })),
      after: { backOff: 'running' },
      on: { 'subsystem.stop': 'stopped' },
      exit: assign({
        restartedAtMs: ({ context: { restartedAtMs, input } }) => [
          ...recentRestarts(restartedAtMs, input.now(), input.policy),
          input.now(),
        ],
      }),
    },
    gaveUp: {
      entry: sendParent(({ context }) => ({
        type: 'subsystem.gaveUp',
        name: context.input.name,
        error: context.lastError,
      })),
      on: { 'subsystem.stop': 'stopped' },
    },
    ended: {
      entry: [stopChild('child'), assign({ child: undefined })],
      on: { 'subsystem.stop': 'stopped' },
    },
    stopping: {
      entry: sendTo('child', ({ context }) => ({ type: `${context.input.name}.stop` })),
      on: { 'xstate.done.actor.child': 'stopped', 'xstate.error.actor.child': 'stopped' },
      after: { stopDeadline: 'stopped' },
    },
    stopped: {
      entry: stopChild('child'),
      type: 'final',
    },
  },
})
