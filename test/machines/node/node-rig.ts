import { type AnyActorRef, createActor, fromCallback, setup, SimulatedClock } from 'xstate'
import { type NodeEmitted, nodeMachine } from '../../../machines/node/node.machine.ts'
import { defaultRestartPolicy } from '../../../machines/node/restart-policy.ts'
import { subsystemMachine, type SubsystemName } from '../../../machines/node/subsystem.machine.ts'

export const subsystemNames: readonly SubsystemName[] = [
  'duty',
  'health-sampler',
  'inference',
  'scheduler',
  'requester',
  'swarm',
]

/** Adapters that run: what holds sockets and threads in a real node. */
export const adapters = { running: 0 }

const adapter = fromCallback(() => {
  adapters.running++
  return () => {
    adapters.running--
  }
})

/** A part of a part, as a peer or a host is. */
const grandchild = setup({ actors: { adapter } }).createMachine({ invoke: { src: 'adapter' } })

/** A subsystem that fails, ends, or stops when it is told to. */
const obedient = setup({
  actors: { adapter, grandchild },
  types: { events: {} as { type: 'fail' } | { type: 'end' } | { type: string } },
  actions: {
    fail: () => {
      throw new Error('told to fail')
    },
  },
}).createMachine({
  invoke: [{ src: 'adapter' }, { src: 'grandchild' }],
  initial: 'up',
  states: {
    up: {
      on: Object.fromEntries([
        ['fail', { actions: 'fail' }],
        ['end', 'down'],
        ...subsystemNames.map((name) => [`${name}.stop`, 'down']),
      ]),
    },
    down: { type: 'final' },
  },
})

/**
 * A node whose parts are real machines under a clock that the test turns.
 *
 * @param mayEnd the part that may be done
 */
export function createNodeRig(mayEnd?: SubsystemName) {
  adapters.running = 0
  const clock = new SimulatedClock()
  const current = new Map<SubsystemName, AnyActorRef>()
  const starts = new Map<SubsystemName, number>()
  const log: string[] = []
  const supervised = subsystemMachine.provide({
    actors: { child: obedient },
    actions: {
      attach: (_, { name, child }) => {
        if (child === undefined) {
          log.push(`${name} down`)
          current.delete(name)
          return
        }
        log.push(`${name} up`)
        starts.set(name, (starts.get(name) ?? 0) + 1)
        current.set(name, child)
      },
    },
  })
  const node = createActor(nodeMachine, {
    clock,
    input: {
      subsystems: subsystemNames.map((name) => ({
        name,
        logic: supervised,
        policy: defaultRestartPolicy,
        hasOwnStop: name !== 'duty' && name !== 'health-sampler',
        mayEnd: name === mayEnd,
        stopWithinMs: 1_000,
        createInput: () => ({}),
      })),
      now: () => clock.now(),
    },
  })
  const emitted: NodeEmitted[] = []
  node.on('*', (event) => emitted.push(event))
  node.start()
  /** Small steps: one large jump would skip timers that start on the way. */
  const advance = (ms: number) => {
    for (let left = ms; left > 0; left -= 50) clock.increment(Math.min(50, left))
  }
  return { node, clock, current, starts, log, emitted, advance }
}
