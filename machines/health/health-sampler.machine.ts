import { assign, fromPromise, setup } from 'xstate'
import { QMeshError } from '../../protocol/index.ts'
import { smoothed, toHealth, type Health, type HealthSample, type Reading } from './health.ts'

export const sampleIntervalMs = 1_000

export interface HealthSamplerInput {
  /** Milliseconds between two samples: `sampleIntervalMs` unless a test wants otherwise. */
  readonly intervalMs: number
}

export interface HealthSamplerContext {
  readonly intervalMs: number
  /** Smoothed; undefined before the first sample. */
  readonly reading: Reading | undefined
  /** Waiting over full capacity as reported last, 0–1. */
  readonly queue: number
  /** What was told last; undefined before the first sample. */
  readonly health: Health | undefined
  /** Samples in a row that failed. */
  readonly failures: number
}

/**
 * `capacity` is the queue's full one, not the one that health leaves of it: the score must not feed on itself. It
 * enters the score with the next sample.
 */
export interface QueueReported {
  readonly type: 'queue.reported'
  readonly length: number
  readonly capacity: number
}

export type HealthSamplerCommand = QueueReported

/** When the score or the state changed, and once after the first sample. */
export type HealthSamplerEmitted = { readonly type: 'health.changed' } & Health

/** Samples that may fail in a row before health is called unknown. */
const failuresMax = 5
/** Unknown health is neither a promise nor a refusal. */
const unknownSample: HealthSample = { cpu: 0.5, memory: 0.5, load: 0.5 }

const samplerSetup = setup({
  types: {
    input: {} as HealthSamplerInput,
    context: {} as HealthSamplerContext,
    events: {} as HealthSamplerCommand,
    emitted: {} as HealthSamplerEmitted,
  },
  actors: {
    /** Reads the machine once; `actors/health` gives the real one by `provide`. */
    sample: fromPromise<HealthSample>(() =>
      Promise.reject(new QMeshError('QM_INTERNAL', 'no sampler given')),
    ),
  },
  delays: {
    sampleInterval: ({ context }) => context.intervalMs,
    blindInterval: ({ context }) => context.intervalMs * 10,
  },
  guards: {
    isBlind: ({ context }) => context.failures + 1 >= failuresMax,
  },
})

const noteQueue = samplerSetup.assign({
  queue: ({ event: { length, capacity } }) => (capacity > 0 ? length / capacity : length > 0 ? 1 : 0),
})

/** Works health out again and tells it if it became another. */
const tell = samplerSetup.enqueueActions(({ context, enqueue }) => {
  if (context.reading === undefined) return
  const past = context.health
  const health = toHealth(context.reading, past?.state)
  if (health.score === past?.score && health.state === past.state) return
  enqueue.assign({ health })
  enqueue.emit({ type: 'health.changed', ...health })
})

/**
 * Samples the machine every second and says how much of it is free for the mesh. When it cannot see, it says moderate
 * after a few failures and goes on trying more slowly: a node that refused everything would look broken, and one that
 * claimed to be idle would lie.
 */
export const healthSamplerMachine = samplerSetup.createMachine({
  id: 'health-sampler',
  context: ({ input }) => ({
    intervalMs: input.intervalMs,
    reading: undefined,
    queue: 0,
    health: undefined,
    failures: 0,
  }),
  initial: 'sampling',
  on: { 'queue.reported': { actions: noteQueue } },
  states: {
    sampling: {
      invoke: {
        src: 'sample',
        onDone: {
          target: 'resting',
          actions: [
            assign(({ context, event }) => ({
              reading: smoothed(context.reading, { ...event.output, queue: context.queue }),
              failures: 0,
            })),
            tell,
          ],
        },
        onError: [
          {
            guard: 'isBlind',
            target: 'blind',
            actions: [
              assign(({ context }) => ({
                reading: { ...unknownSample, queue: context.queue },
                failures: context.failures + 1,
              })),
              tell,
            ],
          },
          { target: 'resting', actions: assign(({ context }) => ({ failures: context.failures + 1 })) },
        ],
      },
    },
    resting: { after: { sampleInterval: 'sampling' } },
    blind: { after: { blindInterval: 'sampling' } },
  },
})
