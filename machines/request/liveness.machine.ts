import { assign, sendParent, setup } from 'xstate'
import type { PeerId } from '../../protocol/index.ts'
import type { LifeSigns } from './life-signs.ts'
import type { AttemptDoubted } from './request-events.ts'

/** What is known of a worker at this moment; asked again and again. Never throws. */
export interface WatchPort {
  /** Null while it is not connected: whoever carries the prompt says that. */
  signsOf(workerId: PeerId): LifeSigns | null
  /** It said that it is draining. */
  isLeaving(workerId: PeerId): boolean
  now(): number
}

export interface LivenessInput {
  readonly workerId: PeerId
  /** Index of the attempt that is watched. */
  readonly attempt: number
  /** Times the silence that the worker's distance explains: more where doubting has not helped before. */
  readonly patience: number
  readonly watch: WatchPort
}

export interface LivenessContext extends LivenessInput {
  readonly pingedAtMs: number
  /** Looks at the silence since the ping. */
  readonly looks: number
  /** Times it was said since the ping that the worker is silent. */
  readonly doubts: number
}

/** Milliseconds between two looks at a worker, and the silence after which it is asked whether it is there. */
const lookMs = 40
/**
 * The silence after a ping is measured in this many steps. If it was this process that stood still, what came meanwhile
 * is read between two of them.
 */
const looksMax = 3
/** Milliseconds until the same doubt is said again: a worker to go to may have come. */
const repeatMs = 250
/**
 * Doubts in a row, five seconds of them, that no busy computer explains. Counted and not measured: a clock that jumps, or
 * this computer waking up, makes no silence long.
 */
const doubtsMax = 20
/** Doubts in a row after which a worker that was left before is better than one that says nothing: a second, about. */
const doubtsPassing = 2
/** Milliseconds of silence after a ping that neither distance nor patience explains. */
const silenceMsLimit = 5_000

const liveness = setup({
  types: { input: {} as LivenessInput, context: {} as LivenessContext },
  actions: {
    ping: assign(({ context: { watch, workerId } }) => {
      watch.signsOf(workerId)?.ping()
      return { pingedAtMs: watch.now(), looks: 0, doubts: 0 }
    }),
    sample: ({ context: { watch, workerId } }) => watch.signsOf(workerId)?.sample(),
    countLook: assign({ looks: ({ context }) => context.looks + 1 }),
    countDoubt: assign({ doubts: ({ context }) => context.doubts + 1 }),
    doubt: sendParent(({ context }, code: AttemptDoubted['code']): AttemptDoubted => ({
      type: 'attempt.doubted',
      attempt: context.attempt,
      code,
      isLasting: code === 'QM_WORKER_LOST' && context.doubts > doubtsPassing,
      isCertain: code === 'QM_WORKER_LOST' && context.doubts > doubtsMax,
    })),
  },
  guards: {
    isLeaving: ({ context: { watch, workerId } }) => watch.isLeaving(workerId),
    wasHeardLately: ({ context: { watch, workerId } }) => {
      const signs = watch.signsOf(workerId)
      return signs === null || watch.now() - signs.heardAtMs <= lookMs
    },
    wasHeardSince: ({ context: { watch, workerId, pingedAtMs } }) => {
      const signs = watch.signsOf(workerId)
      return signs === null || signs.heardAtMs >= pingedAtMs
    },
    hasGone: ({ context: { watch, workerId, pingedAtMs } }) => {
      const signs = watch.signsOf(workerId)
      return signs !== null && signs.heardAtMs < pingedAtMs
    },
    hasLooksLeft: ({ context }) => context.looks + 1 < looksMax,
  },
  delays: {
    look: lookMs,
    step: ({ context: { watch, workerId, patience } }) =>
      Math.min(silenceMsLimit, patience * (watch.signsOf(workerId)?.silenceMsMax ?? 0)) / looksMax,
    repeat: repeatMs,
  },
})

/**
 * Watches the worker of one attempt: watching → probing → silent. It ends nothing: it says its doubt, and the request
 * decides whether there is somewhere better to be.
 */
export const livenessMachine = liveness.createMachine({
  id: 'liveness',
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ ...input, pingedAtMs: 0, looks: 0, doubts: 0 }),
  // The first answer tells how far away the worker is, before it matters.
  entry: 'ping',
  initial: 'watching',
  states: {
    watching: {
      after: {
        look: [
          { guard: 'isLeaving', target: 'leaving' },
          { guard: 'wasHeardLately', target: 'watching', reenter: true, actions: 'sample' },
          { target: 'probing', actions: 'ping' },
        ],
      },
    },
    /** It was asked whether it is there. */
    probing: {
      after: {
        step: [
          { guard: 'wasHeardSince', target: 'watching' },
          { guard: 'hasLooksLeft', target: 'probing', reenter: true, actions: 'countLook' },
          { target: 'silent' },
        ],
      },
    },
    silent: {
      entry: ['countDoubt', { type: 'doubt', params: 'QM_WORKER_LOST' }],
      after: {
        repeat: [
          { guard: 'wasHeardSince', target: 'watching' },
          { target: 'silent', reenter: true },
        ],
      },
    },
    /** It still answers, and says that it is going. */
    leaving: {
      entry: ['ping', { type: 'doubt', params: 'QM_DRAINING' }],
      after: {
        repeat: [
          { guard: 'hasGone', target: 'silent' },
          { guard: 'isLeaving', target: 'leaving', reenter: true },
          { target: 'watching' },
        ],
      },
    },
  },
})
