import { getShortestPaths } from 'xstate/graph'
import { createActor, fromPromise, SimulatedClock, waitFor } from 'xstate'
import { afterEach, describe, expect, it } from 'vitest'
import {
  healthSamplerMachine,
  type HealthSamplerEmitted,
} from '../../../machines/health/health-sampler.machine.ts'
import type { HealthSample } from '../../../machines/health/health.ts'

/** A machine whose busyness the test sets; `undefined` makes sampling fail. */
function createRig() {
  const clock = new SimulatedClock()
  const rig = { busy: 0 as number | undefined, samples: 0 }
  const emitted: HealthSamplerEmitted[] = []
  const actor = createActor(
    healthSamplerMachine.provide({
      actors: {
        sample: fromPromise<HealthSample>(() => {
          rig.samples++
          const { busy } = rig
          return busy === undefined
            ? Promise.reject(new Error('told to fail'))
            : Promise.resolve({ cpu: busy, memory: busy, load: busy })
        }),
      },
    }),
    { clock, input: { intervalMs: 1_000 } },
  )
  actor.on('health.changed', (event) => emitted.push(event))
  actor.start()
  const settled = () => waitFor(actor, ({ value }) => value !== 'sampling')
  const seconds = async (count: number): Promise<void> => {
    for (let second = 0; second < count; second++) {
      await settled()
      clock.increment(1_000)
      await settled()
    }
  }
  return { actor, clock, rig, emitted, settled, seconds }
}

describe('health sampler', () => {
  let stop = (): void => {}
  afterEach(() => stop())
  const start = () => {
    const made = createRig()
    stop = () => made.actor.stop()
    return made
  }

  it('tells the first sample, and then only what changed', async () => {
    const { emitted, seconds, settled, rig } = start()
    await settled()
    expect(emitted).toEqual([{ type: 'health.changed', score: 100, state: 'idle', capacityShare: 1 }])
    await seconds(3)
    expect(rig.samples).toBe(4)
    expect(emitted).toHaveLength(1)
    rig.busy = 1
    await seconds(1)
    // Without a queue a fifth of the score stays; half of the rest is believed at once.
    expect(emitted.at(-1)).toMatchObject({ score: 60, state: 'light' })
    await seconds(1)
    expect(emitted.at(-1)).toMatchObject({ score: 40, state: 'moderate' })
  })

  it('lets the queue into the score with the next sample', async () => {
    const { actor, emitted, seconds, settled } = start()
    await settled()
    actor.send({ type: 'queue.reported', length: 10, capacity: 10 })
    expect(emitted).toHaveLength(1)
    await seconds(6)
    expect(emitted.at(-1)?.score).toBe(80)
    actor.send({ type: 'queue.reported', length: 0, capacity: 0 })
    await seconds(8)
    expect(emitted.at(-1)?.score).toBe(100)
  })

  it('says moderate when it cannot see, tries on more slowly, and recovers', async () => {
    const { actor, clock, emitted, rig, seconds, settled } = start()
    await settled()
    rig.busy = undefined
    await seconds(4)
    expect(actor.getSnapshot().value).toBe('resting')
    expect(emitted).toHaveLength(1)
    await seconds(1)
    expect(actor.getSnapshot().value).toBe('blind')
    expect(emitted.at(-1)).toMatchObject({ score: 60, state: 'light' })
    rig.busy = 0
    clock.increment(1_000)
    expect(actor.getSnapshot().value).toBe('blind')
    for (let second = 1; second < 10; second++) clock.increment(1_000)
    await settled()
    expect(actor.getSnapshot().value).toBe('resting')
    await seconds(8)
    expect(emitted.at(-1)?.score).toBe(100)
  })

  it('fails as a state, not as an actor, when nobody gave it a sampler', async () => {
    const actor = createActor(healthSamplerMachine, {
      clock: new SimulatedClock(),
      input: { intervalMs: 1_000 },
    })
    actor.start()
    await waitFor(actor, ({ value }) => value === 'resting')
    expect(actor.getSnapshot().status).toBe('active')
    actor.stop()
  })

  it('reaches every state by its own events', () => {
    const done = {
      type: 'xstate.done.actor.0.health-sampler.sampling',
      output: { cpu: 0, memory: 0, load: 0 },
    }
    const paths = getShortestPaths(healthSamplerMachine, {
      input: { intervalMs: 1_000 },
      events: [
        done,
        { type: 'xstate.error.actor.0.health-sampler.sampling', error: new Error('no') },
        { type: 'xstate.after.sampleInterval.health-sampler.resting' },
        { type: 'xstate.after.blindInterval.health-sampler.blind' },
      ] as never,
      serializeState: ({ value, context }) => JSON.stringify([value, Math.min(context.failures, 5)]),
      limit: 1_000,
    })
    const reached = new Set(paths.map(({ state }) => state.value))
    expect(reached).toEqual(new Set(['sampling', 'resting', 'blind']))
  })
})
