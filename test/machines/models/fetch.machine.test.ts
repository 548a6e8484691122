import { getShortestPaths } from 'xstate/graph'
import { createActor, fromPromise, SimulatedClock, waitFor } from 'xstate'
import { describe, expect, it } from 'vitest'
import {
  AttemptFailed,
  attemptsMax,
  fetchMachine,
  type FetchEmitted,
  FileWrong,
} from '../../../machines/models/fetch.machine.ts'
import { blame, nextSource } from '../../../machines/models/source-order.ts'
import { RateMeter } from '../../../machines/models/rate-meter.ts'
import { QMeshError } from '../../../protocol/index.ts'

const input = { pullId: '1', sources: ['peers', 'web', 'mirror'] }
const failed = (outcome: { isLasting?: boolean; hasGained?: boolean } = {}): AttemptFailed =>
  new AttemptFailed(new QMeshError('QM_SOURCE_FAILED', 'no'), {
    isLasting: false,
    hasGained: false,
    ...outcome,
  })

/** What each attempt does, in order: fail with this, or give all. */
function createRig(script: readonly (Error | undefined)[], files: readonly (Error | undefined)[] = []) {
  const clock = new SimulatedClock()
  const asked: number[] = []
  const emitted: FetchEmitted[] = []
  const rest = { script: [...script], files: [...files] }
  const actor = createActor(
    fetchMachine.provide({
      actors: {
        resolve: fromPromise(() => Promise.resolve({ bytes: 10, missingBytes: 10 })),
        checkSpace: fromPromise(() => Promise.resolve()),
        fetchFrom: fromPromise(({ input: { source } }) => {
          asked.push(source)
          const failure = rest.script.shift()
          return failure ? Promise.reject(failure) : Promise.resolve()
        }),
        verify: fromPromise(() => {
          const failure = rest.files.shift()
          return failure ? Promise.reject(failure) : Promise.resolve('ab')
        }),
      },
    }),
    { clock, input },
  )
  for (const type of ['fetch.asking', 'fetch.retrying', 'fetch.sourceFailed', 'fetch.quarantined'] as const) {
    actor.on(type, (event) => emitted.push(event))
  }
  actor.start()
  const end = async () => {
    for (;;) {
      const { status } = await waitFor(
        actor,
        (state) => state.status !== 'active' || state.value === 'backingOff',
      )
      if (status !== 'active') return actor.getSnapshot().output
      clock.increment(60_000)
    }
  }
  return { actor, asked, emitted, end, clock }
}

describe('fetch', () => {
  it('is ready when the first source gave all', async () => {
    const { end, asked } = createRig([undefined])
    expect(await end()).toEqual({ kind: 'ready', hash: 'ab', failures: [] })
    expect(asked).toEqual([0])
  })

  it('tries a source that fails for the moment again, and then the next one', async () => {
    const { end, asked } = createRig(Array.from({ length: attemptsMax }, () => failed()))
    expect(await end()).toMatchObject({ kind: 'ready', failures: [{ source: 'peers' }] })
    expect(asked).toEqual([0, 0, 0, 0, 1])
  })

  it('waits longer each time, and as long as it was told to', async () => {
    const { end, emitted } = createRig([
      failed(),
      failed(),
      new AttemptFailed(new QMeshError('QM_SOURCE_FAILED', 'later', { retryAfterMs: 9_000 }), {
        isLasting: false,
        hasGained: true,
      }),
    ])
    await end()
    expect(emitted.flatMap((event) => (event.type === 'fetch.retrying' ? [event.delayMs] : []))).toEqual([
      500, 1_000, 9_000,
    ])
  })

  it('does not give up a source that gains a little each time', async () => {
    const { end, asked } = createRig(Array.from({ length: 12 }, () => failed({ hasGained: true })))
    expect(await end()).toMatchObject({ kind: 'ready' })
    expect(new Set(asked)).toEqual(new Set([0]))
  })

  it('leaves a source at once that has not got the file', async () => {
    const { end, asked } = createRig([failed({ isLasting: true })])
    await end()
    expect(asked).toEqual([0, 1])
  })

  it('fails with every reason when no source is left', async () => {
    const gone = failed({ isLasting: true })
    const { end } = createRig([gone, gone, gone])
    expect(await end()).toMatchObject({
      kind: 'failed',
      code: 'QM_SOURCE_FAILED',
      failures: [{ source: 'peers' }, { source: 'web' }, { source: 'mirror' }],
    })
  })

  it('excludes the only source of a wrong file, and starts over with the others', async () => {
    const wrong = new FileWrong(new QMeshError('QM_MODEL_INVALID', 'wrong'), [0])
    const { end, asked, emitted } = createRig([undefined, undefined], [wrong])
    expect(await end()).toMatchObject({ kind: 'ready' })
    expect(asked).toEqual([0, 1])
    expect(emitted.some(({ type }) => type === 'fetch.quarantined')).toBe(true)
  })

  it('ends at once when the disk is full: no other source helps against that', async () => {
    const { end, asked } = createRig([new QMeshError('QM_DISK_FULL')])
    expect(await end()).toMatchObject({ kind: 'failed', code: 'QM_DISK_FULL' })
    expect(asked).toEqual([0])
  })

  it('can be cancelled while it waits', async () => {
    const { actor, end } = createRig([failed()])
    await waitFor(actor, ({ value }) => value === 'backingOff')
    actor.send({ type: 'fetch.cancel' })
    expect(await end()).toEqual({ kind: 'cancelled' })
  })

  it('fails as a state, not as an actor, when nobody gave it anything to work with', async () => {
    const actor = createActor(fetchMachine, { clock: new SimulatedClock(), input })
    actor.start()
    await waitFor(actor, ({ status }) => status === 'done')
    expect(actor.getSnapshot().output).toMatchObject({ kind: 'failed', code: 'QM_INTERNAL' })
  })

  it('reaches every state by its own events', () => {
    const events = ['resolving', 'checkingSpace', 'fetching', 'verifying', 'quarantined'].flatMap((state) => {
      const outputs: Record<string, unknown> = {
        resolving: { bytes: 10, missingBytes: 10 },
        quarantined: { bytes: 10, missingBytes: 10 },
        verifying: 'ab',
      }
      return [
        { type: `xstate.done.actor.0.fetch.${state}`, output: outputs[state] },
        {
          type: `xstate.error.actor.0.fetch.${state}`,
          error:
            state === 'verifying'
              ? new FileWrong(new QMeshError('QM_MODEL_INVALID'), [0])
              : state === 'fetching'
                ? failed()
                : new QMeshError('QM_DISK_FULL'),
        },
      ]
    })
    const paths = getShortestPaths(fetchMachine, {
      input,
      events: [
        ...events,
        { type: 'xstate.after.backOff.fetch.backingOff' },
        { type: 'fetch.cancel' },
      ] as never[],
      limit: 20_000,
      serializeState: ({ value, context }) =>
        JSON.stringify([value, context.standings, context.attempts, context.hash, context.error?.code]),
    })
    const reached = new Set(paths.map(({ state }) => state.value))
    expect([...reached].toSorted()).toEqual(
      // Choosing is left in the same step.
      [
        'backingOff',
        'cancelled',
        'checkingSpace',
        'failed',
        'fetching',
        'quarantined',
        'ready',
        'resolving',
        'verifying',
      ],
    )
  })
})

describe('source order', () => {
  it('asks fresh sources in order, then suspects', () => {
    expect(nextSource(['spent', 'fresh', 'fresh'])).toBe(1)
    expect(nextSource(['suspect', 'spent', 'fresh'])).toBe(2)
    expect(nextSource(['suspect', 'spent', 'excluded'])).toBe(0)
    expect(nextSource(['spent', 'excluded'])).toBeUndefined()
  })

  it('excludes one culprit, gives several another chance each, and no second one', () => {
    expect(blame(['spent', 'fresh'], [0])).toEqual(['excluded', 'fresh'])
    expect(blame(['fresh', 'spent', 'spent'], [0, 1])).toEqual(['suspect', 'suspect', 'fresh'])
    expect(blame(['suspect', 'suspect'], [0, 1])).toEqual(['excluded', 'excluded'])
  })
})

describe('rate meter', () => {
  it('takes the rate of the last seconds, and an ETA from it', () => {
    const meter = new RateMeter()
    for (let ms = 0; ms <= 10_000; ms += 100) meter.add(100_000, ms)
    expect(meter.bytesPerSecond(10_000)).toBeGreaterThan(990_000)
    expect(meter.bytesPerSecond(10_000)).toBeLessThan(1_050_000)
    expect(meter.etaMs(10_000_000, 10_000)).toBeGreaterThan(9_000)
    expect(meter.etaMs(0, 10_000)).toBe(0)
    expect(meter.bytesPerSecond(20_000)).toBe(0)
    expect(meter.etaMs(5, 20_000)).toBeUndefined()
  })
})
