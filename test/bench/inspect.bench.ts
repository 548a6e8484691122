import { type AnyActorRef, assign, createActor, sendTo, setup } from 'xstate'
import { Inspector } from '../../runtime/inspect/inspector.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

const rounds = 9
const events = 20_000
/** Events between two turns of the event loop, in which frames are made. */
const eventsPerTurn = 500

const counter = setup({
  types: { context: {} as { readonly count: number }, events: {} as { type: 'ping'; by: number } },
  guards: { isPositive: (_, by: number) => by > 0 },
}).createMachine({
  id: 'counter',
  context: { count: 0 },
  initial: 'even',
  on: { ping: { actions: assign({ count: ({ context, event }) => context.count + event.by }) } },
  states: {
    even: { on: { ping: { guard: { type: 'isPositive', params: ({ event }) => event.by }, target: 'odd', actions: assign({ count: ({ context, event }) => context.count + event.by }) } } }, // prettier-ignore
    odd: { on: { ping: 'even' } },
  },
})

/** A parent that hands each event on to its child, as most events of a node are. */
const parent = setup({
  types: { events: {} as { type: 'ping'; by: number } },
  actors: { counter },
}).createMachine({
  id: 'parent',
  invoke: { id: 'counter', src: 'counter' },
  on: { ping: { actions: sendTo('counter', ({ event }) => event) } },
})

/** Microseconds for one event through both actors. */
async function time(actor: AnyActorRef): Promise<number> {
  let spent = 0
  for (let sent = 0; sent < events; sent += eventsPerTurn) {
    const startedAt = performance.now()
    for (let count = 0; count < eventsPerTurn; count++) actor.send({ type: 'ping', by: 1 })
    await new Promise((resolve) => setImmediate(resolve))
    spent += performance.now() - startedAt
  }
  return (spent * 1_000) / events
}

/** What it costs actors to be looked at, to be looked at no more, and never to have been. */
export async function run(): Promise<BenchRow[]> {
  const create = () => createActor(parent).start()
  const never = create()
  const nobody = create()
  const watched = create()
  const idle = create()
  const left = new Inspector(nobody)
  left.watch({ take: () => true })?.close()
  let bytes = 0
  let frames = 0
  const inspector = new Inspector(watched)
  inspector.watch({
    take: (json) => {
      bytes += json.length
      frames++
      return true
    },
  })
  idle.system.inspect(() => {})
  const times = {
    never: [] as number[],
    nobody: [] as number[],
    idle: [] as number[],
    watched: [] as number[],
  }
  for (let round = -1; round < rounds; round++) {
    const made = {
      never: await time(never),
      nobody: await time(nobody),
      idle: await time(idle),
      watched: await time(watched),
    }
    // The first round warms up.
    if (round >= 0)
      for (const [name, value] of Object.entries(made)) times[name as keyof typeof times].push(value)
  }
  const peer = { name: 'no inspector', value: median(times.never) }
  const row = (what: string, values: number[], rest: Partial<BenchRow> = {}): BenchRow => ({
    what,
    ours: median(values),
    unit: 'µs',
    peer,
    ratio: median(values) / peer.value,
    ...rest,
  })
  const rows = [
    row('an event through two actors, an inspector and nobody watching', times.nobody, { target: '≤ 1.05' }),
    row('the same, an observer of XState that does nothing', times.idle),
    row('the same, somebody watching', times.watched, {
      note: `${frames} frames, ${Math.round(bytes / frames / 1_000)} kB each on average; history ${inspector.remembered} entries`,
    }),
  ]
  inspector.close()
  for (const actor of [never, nobody, watched, idle]) actor.stop()
  return rows
}
