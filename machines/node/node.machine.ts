import { type ActorRefFrom, assign, type DoneActorEvent, emit, enqueueActions, setup } from 'xstate'
import type { QMeshError } from '../../protocol/index.ts'
import {
  subsystemMachine,
  type SubsystemInput,
  type SubsystemName,
  type SubsystemReport,
} from './subsystem.machine.ts'

/** One part of the node and how to start it. */
export interface SubsystemSpec extends Omit<SubsystemInput, 'now'> {
  /** Its supervisor, wired to what it supervises. */
  readonly logic: typeof subsystemMachine
}

export interface NodeInput {
  /** In the order in which they start. They stop in the reverse order. */
  readonly subsystems: readonly SubsystemSpec[]
  readonly now: () => number
}

type SubsystemRef = ActorRefFrom<typeof subsystemMachine>

export interface NodeContext {
  readonly input: NodeInput
  readonly children: readonly { readonly name: SubsystemName; readonly ref: SubsystemRef }[]
  /** Parts that still run and are to be stopped, the next one last. */
  readonly toStop: readonly SubsystemName[]
  readonly gaveUp: readonly SubsystemName[]
}

export type NodeCommand = { readonly type: 'node.stop' }

export type NodeEmitted =
  | { readonly type: 'node.degraded'; readonly name: SubsystemName; readonly error: QMeshError }
  | {
      readonly type: 'node.restarting'
      readonly name: SubsystemName
      readonly error: QMeshError
      readonly backOffMs: number
    }

/** None by name: each part brings its own. */
const parts: Readonly<Record<string, typeof subsystemMachine>> = {}

const node = setup({
  types: {
    input: {} as NodeInput,
    context: {} as NodeContext,
    events: {} as NodeCommand | SubsystemReport | DoneActorEvent,
    emitted: {} as NodeEmitted,
  },
  actors: parts,
  actions: {
    stopNext: enqueueActions(({ context, enqueue }) => {
      const name = context.toStop.at(-1)
      if (name) enqueue.sendTo(name, { type: 'subsystem.stop' })
    }),
  },
  guards: {
    allStopped: ({ context }) => context.toStop.length === 0,
    isNextToStop: ({ context }, name: string) => context.toStop.at(-1) === name,
  },
})

/**
 * The supervisor at the root of a node. It starts its parts in order, keeps running when one of them gives up (and
 * says so), and stops them one after the other in reverse order, so that whoever needs a part is gone before it.
 */
export const nodeMachine = node.createMachine({
  id: 'node',
  context: ({ input, spawn }) => ({
    input,
    children: input.subsystems.map(({ logic, ...spec }) => ({
      name: spec.name,
      ref: spawn(logic, { id: spec.name, input: { ...spec, now: input.now } }),
    })),
    toStop: input.subsystems.map(({ name }) => name),
    gaveUp: [],
  }),
  initial: 'running',
  states: {
    running: {
      initial: 'healthy',
      states: { healthy: {}, degraded: {} },
      on: {
        'node.stop': 'stopping',
        'subsystem.failed': {
          actions: emit(({ event }) => ({ ...event, type: 'node.restarting' as const })),
        },
        'subsystem.gaveUp': {
          target: '.degraded',
          actions: [
            assign({ gaveUp: ({ context, event }) => [...context.gaveUp, event.name] }),
            emit(({ event }) => ({ ...event, type: 'node.degraded' as const })),
          ],
        },
      },
    },
    stopping: {
      entry: 'stopNext',
      always: { guard: 'allStopped', target: 'stopped' },
      on: {
        'xstate.done.actor.*': {
          guard: { type: 'isNextToStop', params: ({ event }) => event.actorId },
          actions: [assign({ toStop: ({ context }) => context.toStop.slice(0, -1) }), 'stopNext'],
        },
      },
    },
    stopped: { type: 'final' },
  },
})
