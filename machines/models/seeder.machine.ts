import { assign, emit, fromCallback, fromPromise, setup } from 'xstate'
import { QMeshError, toQMeshError, type ErrorCode } from '../../protocol/index.ts'

/** Failures in a row after which a model is not offered any more. */
export const seederFailuresMax = 5

/** Why a model is not offered for the moment. */
export const seedPauseReasons = ['owner', 'space', 'cap', 'busy'] as const
export type SeedPauseReason = (typeof seedPauseReasons)[number]

export interface SeederInput {
  /** SHA-256 of the file. */
  readonly hash: string
  /** Bytes after which no more is given; absent, no end. */
  readonly giveBytesMax?: number | undefined
}

export interface SeederContext {
  readonly hash: string
  /** Of `givenBytes`. */
  readonly giveBytesMax: number | undefined
  readonly givenBytes: number
  /** Key of the core, once it is known. */
  readonly core: string | undefined
  readonly pausedBy: readonly SeedPauseReason[]
  readonly failures: number
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined
}

/** What the offer tells. */
export type OfferFact =
  | { readonly type: 'offer.gave'; readonly bytes: number }
  | { readonly type: 'offer.failed'; readonly error: unknown }

export type SeederCommand =
  | { readonly type: 'seeder.pause'; readonly reason: SeedPauseReason }
  | { readonly type: 'seeder.resume'; readonly reason: SeedPauseReason }
  /** From now on so many bytes are given, or any number; a cap that was reached before is lifted. */
  | { readonly type: 'seeder.limit'; readonly giveBytesMax: number | undefined }
  | { readonly type: 'seeder.stop' }
  | OfferFact

export type SeederEmitted =
  | { readonly type: 'seeder.offered'; readonly hash: string; readonly core: string }
  | {
      readonly type: 'seeder.paused'
      readonly hash: string
      readonly pausedBy: readonly SeedPauseReason[]
    }
  | {
      readonly type: 'seeder.failed'
      readonly hash: string
      readonly code: ErrorCode
      readonly message: string
    }

export interface SeederOutput {
  readonly hash: string
  readonly givenBytes: number
  /** Why it gave up; absent when it was told to stop. */
  readonly error: SeederContext['error']
}

const seederSetup = setup({
  types: {
    input: {} as SeederInput,
    context: {} as SeederContext,
    events: {} as SeederCommand,
    emitted: {} as SeederEmitted,
    output: {} as SeederOutput,
  },
  actors: {
    /** Finds the file and the key of its core. */
    prepare: fromPromise<string, { readonly hash: string }>(() =>
      Promise.reject(new QMeshError('QM_INTERNAL', 'nothing to seed with')),
    ),
    /** Offers the file under its core for as long as it runs. */
    offer: fromCallback<OfferFact, { readonly hash: string; readonly core: string }>(() => undefined),
  },
  delays: {
    backOff: ({ context }) => Math.min(60_000, 1_000 * 2 ** context.failures),
  },
  guards: {
    isFree: ({ context }) => context.pausedBy.length === 0,
    isSpent: ({ context }) =>
      context.giveBytesMax !== undefined && context.givenBytes >= context.giveBytesMax,
    isLast: ({ context }) => context.failures + 1 >= seederFailuresMax,
  },
})

const pause = seederSetup.assign(({ context, event }) =>
  event.type === 'seeder.pause' && !context.pausedBy.includes(event.reason)
    ? { pausedBy: [...context.pausedBy, event.reason] }
    : {},
)
const resume = seederSetup.assign(({ context, event }) =>
  event.type === 'seeder.resume'
    ? { pausedBy: context.pausedBy.filter((reason) => reason !== event.reason) }
    : {},
)
const limit = seederSetup.assign(({ context, event }) =>
  event.type === 'seeder.limit'
    ? {
        giveBytesMax: event.giveBytesMax && context.givenBytes + event.giveBytesMax,
        pausedBy: context.pausedBy.filter((reason) => reason !== 'cap'),
      }
    : {},
)
const toFailed = ({ failures }: SeederContext, error: unknown): Pick<SeederContext, 'failures' | 'error'> => {
  const { code, message } = toQMeshError(error, 'QM_MODEL_FILE_MISSING')
  return { failures: failures + 1, error: { code, message } }
}

/** One model that is offered to others for as long as its owner, the disk and the caps allow. */
export const seederMachine = seederSetup.createMachine({
  id: 'seeder',
  context: ({ input: { hash, giveBytesMax } }) => ({
    hash,
    giveBytesMax,
    givenBytes: 0,
    core: undefined,
    pausedBy: [],
    failures: 0,
    error: undefined,
  }),
  initial: 'preparing',
  on: {
    'seeder.stop': '.stopped',
    'seeder.pause': { actions: pause },
    'seeder.resume': { actions: resume },
    'seeder.limit': { actions: limit },
  },
  states: {
    preparing: {
      invoke: {
        src: 'prepare',
        input: ({ context }) => ({ hash: context.hash }),
        onDone: { target: 'choosing', actions: assign(({ event }) => ({ core: event.output })) },
        onError: [
          {
            guard: 'isLast',
            target: 'failed',
            actions: assign(({ context, event }) => toFailed(context, event.error)),
          },
          { target: 'backingOff', actions: assign(({ context, event }) => toFailed(context, event.error)) },
        ],
      },
    },
    choosing: { always: [{ guard: 'isFree', target: 'offering' }, { target: 'paused' }] },
    offering: {
      entry: emit(({ context }) => ({
        type: 'seeder.offered',
        hash: context.hash,
        core: context.core ?? '',
      })),
      invoke: {
        src: 'offer',
        input: ({ context }) => ({ hash: context.hash, core: context.core ?? '' }),
        onError: [
          {
            guard: 'isLast',
            target: 'failed',
            actions: assign(({ context, event }) => toFailed(context, event.error)),
          },
          { target: 'backingOff', actions: assign(({ context, event }) => toFailed(context, event.error)) },
        ],
      },
      on: {
        'seeder.pause': { target: 'paused', actions: pause },
        'offer.gave': {
          // What was given proves that it works.
          actions: assign(({ context, event }) => ({
            givenBytes: context.givenBytes + event.bytes,
            failures: 0,
          })),
        },
        'offer.failed': [
          {
            guard: 'isLast',
            target: 'failed',
            actions: assign(({ context, event }) => toFailed(context, event.error)),
          },
          { target: 'backingOff', actions: assign(({ context, event }) => toFailed(context, event.error)) },
        ],
      },
      always: {
        guard: 'isSpent',
        target: 'paused',
        actions: assign({ pausedBy: ['cap' as const], giveBytesMax: undefined }),
      },
    },
    paused: {
      entry: emit(({ context }) => ({
        type: 'seeder.paused',
        hash: context.hash,
        pausedBy: context.pausedBy,
      })),
      always: { guard: 'isFree', target: 'offering' },
    },
    backingOff: { after: { backOff: 'preparing' } },
    failed: {
      type: 'final',
      entry: emit(({ context }) => ({
        type: 'seeder.failed',
        hash: context.hash,
        code: context.error?.code ?? 'QM_INTERNAL',
        message: context.error?.message ?? '',
      })),
    },
    stopped: { type: 'final' },
  },
  output: ({ context: { hash, givenBytes, failures, error } }) => ({
    hash,
    givenBytes,
    error: failures >= seederFailuresMax ? error : undefined,
  }),
})
