import { createActor, fromPromise, SimulatedClock, waitFor } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PauseReason, Surroundings } from '../../../machines/duty/duty.ts'
import { dutyMachine, type DutyCommand, type DutyInput } from '../../../machines/duty/duty.machine.ts'

const noon = 12 * 60
const night = 23 * 60
const input: DutyInput = {
  policy: { quietHours: [{ fromMinute: 22 * 60, toMinute: 7 * 60 }], batteryMin: 30 },
  pauses: [],
  isOverloaded: false,
  intervalMs: 1_000,
}

const duties = ['serving', 'paused', 'leaving'] as const
/** Where its two halves are. */
const stateOf = ({ value }: { readonly value: unknown }) =>
  value as { readonly duty: (typeof duties)[number]; readonly watch: 'looking' | 'resting' }

/** A worker whose surroundings the test sets; `undefined` makes looking fail. */
async function start(given: Partial<DutyInput> = {}) {
  const clock = new SimulatedClock()
  const world: { seen: Surroundings | undefined } = { seen: { minuteOfDay: noon } }
  const look = fromPromise<Surroundings>(() =>
    world.seen ? Promise.resolve(world.seen) : Promise.reject(new Error('told to fail')),
  )
  const actor = createActor(dutyMachine.provide({ actors: { look } }), {
    clock,
    input: { ...input, ...given },
  })
  const told: (readonly PauseReason[])[] = []
  actor.on('duty.changed', ({ pauses }) => told.push(pauses))
  actor.start()
  onTestFinished(() => void actor.stop())
  const settled = () => waitFor(actor, (snapshot) => stateOf(snapshot).watch === 'resting')
  await settled()
  return {
    actor,
    told,
    send: (type: Exclude<DutyCommand['type'], 'load.reported'>) => actor.send({ type }),
    load: (isOverloaded: boolean) => actor.send({ type: 'load.reported', isOverloaded }),
    state: () => stateOf(actor.getSnapshot()).duty,
    pauses: () => actor.getSnapshot().context.pauses,
    /** The world changes, and a second goes by. */
    see: async (seen: Surroundings | undefined) => {
      world.seen = seen
      clock.increment(1_000)
      await settled()
    },
  }
}
const battery = (percent: number, isDischarging = true): Surroundings => ({
  minuteOfDay: noon,
  battery: { percent, isDischarging },
})

describe('duty', () => {
  it('serves without a reason not to, and says nothing', async () => {
    const { state, told, see } = await start()
    await see({ minuteOfDay: noon })
    expect(state()).toBe('serving')
    expect(told).toEqual([])
  })

  it('pauses when the owner says so, at once and once, until the owner takes it back', async () => {
    const { send, state, told } = await start()
    send('duty.drain')
    expect(state()).toBe('paused')
    send('duty.drain')
    expect(told).toEqual([['owner']])
    send('duty.resume')
    expect(state()).toBe('serving')
    send('duty.resume')
    expect(told).toEqual([['owner'], []])
  })

  it('serves again only when all reasons are gone, and tells each change', async () => {
    const { send, load, see, state, told } = await start()
    load(true)
    send('duty.drain')
    await see({ minuteOfDay: night, battery: { percent: 10, isDischarging: true } })
    expect(told.at(-1)).toEqual(['owner', 'quiet-hours', 'battery', 'load'])
    load(false)
    send('duty.resume')
    expect(state()).toBe('paused')
    await see({ minuteOfDay: night, battery: { percent: 10, isDischarging: false } })
    expect(told.at(-1)).toEqual(['quiet-hours'])
    await see({ minuteOfDay: 7 * 60 })
    expect(told.at(-1)).toEqual([])
    expect(state()).toBe('serving')
  })

  it('notices within a second that its quiet hours begin, and that they are over', async () => {
    const { see, state } = await start()
    await see({ minuteOfDay: 22 * 60 - 1 })
    expect(state()).toBe('serving')
    await see({ minuteOfDay: 22 * 60 })
    expect(state()).toBe('paused')
    await see({ minuteOfDay: 7 * 60 })
    expect(state()).toBe('serving')
  })

  it('rests on a low battery, and does not flap while the gauge wavers', async () => {
    const { see, told } = await start()
    for (const percent of [31, 30, 29.9, 30, 31, 34.9, 29]) await see(battery(percent))
    expect(told).toEqual([['battery']])
    await see(battery(35))
    expect(told).toEqual([['battery'], []])
    await see(battery(29, false))
    expect(told).toHaveLength(2)
    await see(battery(29))
    await see(battery(29, false))
    expect(told).toEqual([['battery'], [], ['battery'], []])
  })

  it.each([
    [0, battery(0), 'serving'],
    [0, { minuteOfDay: noon }, 'serving'],
    [100, battery(99), 'paused'],
    [100, battery(99, false), 'serving'],
    [100, battery(100), 'serving'],
  ])('with batteryMin %d and %j it is %s', async (batteryMin, seen, state) => {
    const duty = await start({ policy: { quietHours: [], batteryMin } })
    await duty.see(seen)
    expect(duty.state()).toBe(state)
  })

  it('keeps what it saw last while it cannot look', async () => {
    const { see, state } = await start()
    await see({ minuteOfDay: night })
    await see(undefined)
    expect(state()).toBe('paused')
    await see({ minuteOfDay: noon })
    expect(state()).toBe('serving')
  })

  it('leaves for good when the node stops', async () => {
    const { send, see, load, state, pauses } = await start()
    send('duty.leave')
    expect(state()).toBe('leaving')
    send('duty.drain')
    send('duty.resume')
    load(false)
    await see({ minuteOfDay: noon })
    expect(state()).toBe('leaving')
    expect(pauses()).toEqual(['shutdown'])
  })

  it('is started again with the reasons that held, and then looks for itself', async () => {
    const again = await start({ pauses: ['owner', 'quiet-hours', 'battery'], isOverloaded: true })
    // The owner's word holds on; what was seen did not, and load is told, not seen.
    expect(again.told).toEqual([
      ['owner', 'quiet-hours', 'battery', 'load'],
      ['owner', 'load'],
    ])
    const leaving = await start({ pauses: ['shutdown'] })
    expect(leaving.state()).toBe('leaving')
  })

  it('lives on when nobody gave it eyes', async () => {
    const actor = createActor(dutyMachine, { clock: new SimulatedClock(), input })
    actor.start()
    await waitFor(actor, (snapshot) => stateOf(snapshot).watch === 'resting')
    actor.send({ type: 'duty.drain' })
    expect(actor.getSnapshot()).toMatchObject({ status: 'active', value: { duty: 'paused' } })
    actor.stop()
  })

  it('reaches every state by its own events', () => {
    const paths = getShortestPaths(dutyMachine, {
      input,
      events: [
        { type: 'duty.drain' },
        { type: 'duty.resume' },
        { type: 'duty.leave' },
        { type: 'load.reported', isOverloaded: true },
        { type: 'load.reported', isOverloaded: false },
        { type: 'xstate.done.actor.0.duty.watch.looking', output: { minuteOfDay: night } },
        { type: 'xstate.done.actor.0.duty.watch.looking', output: { minuteOfDay: noon } },
        { type: 'xstate.error.actor.0.duty.watch.looking', error: new Error('no') },
        { type: 'xstate.after.lookInterval.duty.watch.resting' },
      ] as never,
      serializeState: ({ value, context }) => JSON.stringify([value, context.pauses]),
      limit: 1_000,
    })
    const reached = paths.map(({ state }) => `${stateOf(state).duty} ${stateOf(state).watch}`)
    expect(new Set(reached)).toEqual(
      new Set(duties.flatMap((duty) => [`${duty} looking`, `${duty} resting`])),
    )
    // Whatever came before: it serves exactly when nothing speaks against it.
    for (const { state } of paths) {
      expect(stateOf(state).duty === 'serving').toBe(state.context.pauses.length === 0)
      expect(stateOf(state).duty === 'leaving').toBe(state.context.pauses.includes('shutdown'))
    }
  })
})
