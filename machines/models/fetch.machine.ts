import { assign, emit, fromPromise, setup } from 'xstate'
import { QMeshError, toQMeshError, type ErrorCode } from '../../protocol/index.ts'
import { blame, nextSource, type SourceStanding } from './source-order.ts'

/** Attempts in a row at one source without a byte gained, before the next one is asked. */
export const attemptsMax = 4
/** Attempts of one fetch in all: a source that gives a few bytes and hangs up must not keep us for ever. */
export const totalAttemptsMax = 200

export interface FetchInput {
  /** Which one it is, for those who do the work. */
  readonly pullId: string
  /** For people; in order of preference. */
  readonly sources: readonly string[]
  /** Whole files that may be wrong before the rest is left alone; absent: any number. */
  readonly wrongFilesMax?: number | undefined
}

/** One reason why a source was given up. */
export interface SourceFailure {
  readonly source: string
  readonly code: ErrorCode
  readonly message: string
}

export interface FetchFinding {
  /** Size of the whole file. */
  readonly bytes: number
  /** Bytes of it that must still come. */
  readonly missingBytes: number
}

export interface FetchContext {
  readonly pullId: string
  readonly sources: readonly string[]
  readonly standings: readonly SourceStanding[]
  /** The one that is asked now. */
  readonly source: number
  /** Attempts in a row at it that gained nothing. */
  readonly attempts: number
  readonly totalAttempts: number
  readonly wrongFiles: number
  readonly wrongFilesMax: number
  readonly retryAfterMs: number
  readonly finding: FetchFinding | undefined
  readonly hash: string | undefined
  readonly failures: readonly SourceFailure[]
  /** Why all of it failed. */
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined
}

export type FetchCommand = { readonly type: 'fetch.cancel' }

export type FetchEmitted =
  | { readonly type: 'fetch.asking'; readonly source: string }
  | {
      readonly type: 'fetch.retrying'
      readonly source: string
      readonly message: string
      readonly delayMs: number
    }
  | ({ readonly type: 'fetch.sourceFailed' } & SourceFailure)
  | { readonly type: 'fetch.verifying' }
  | { readonly type: 'fetch.quarantined'; readonly message: string }

export type FetchOutput =
  | { readonly kind: 'ready'; readonly hash: string; readonly failures: readonly SourceFailure[] }
  | {
      readonly kind: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly failures: readonly SourceFailure[]
    }
  | { readonly kind: 'cancelled' }

/** How one attempt at a source ended that did not give all. Anything else thrown counts as transient. */
export class AttemptFailed extends QMeshError {
  /** Trying this source again is of no use. */
  readonly isLasting: boolean
  /** Some bytes came. */
  readonly hasGained: boolean

  constructor(error: QMeshError, outcome: { readonly isLasting: boolean; readonly hasGained: boolean }) {
    super(error.code, error.message, {
      cause: error,
      ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    })
    this.isLasting = outcome.isLasting
    this.hasGained = outcome.hasGained
  }
}

/** The whole file is not what it should be. */
export class FileWrong extends QMeshError {
  /** Sources that gave bytes which nothing had proven. */
  readonly culprits: readonly number[]

  constructor(error: QMeshError, culprits: readonly number[]) {
    super(error.code, error.message, { cause: error })
    this.culprits = culprits
  }
}

/** What no other source can help against. */
const fatalCodes: ReadonlySet<ErrorCode> = new Set([
  'QM_DISK_FULL',
  'QM_MODEL_BUSY',
  'QM_DATA_DIR_UNUSABLE',
  'QM_NODE_STOPPED',
  'QM_INTERNAL',
])

const notWired = (): Promise<never> => Promise.reject(new QMeshError('QM_INTERNAL', 'nothing to fetch with'))
const isGaining = (error: unknown): boolean => error instanceof AttemptFailed && error.hasGained

const fetchSetup = setup({
  types: {
    input: {} as FetchInput,
    context: {} as FetchContext,
    events: {} as FetchCommand,
    emitted: {} as FetchEmitted,
    output: {} as FetchOutput,
  },
  actors: {
    /** Learns the size, and opens what is there already. */
    resolve: fromPromise<FetchFinding, { readonly pullId: string }>(notWired),
    /** Rejects with `QM_DISK_FULL` when what is missing does not fit. */
    checkSpace: fromPromise<void, FetchFinding & { readonly pullId: string }>(notWired),
    /** Fetches what is missing from one source. */
    fetchFrom: fromPromise<void, { readonly pullId: string; readonly source: number }>(notWired),
    /** Checks the whole file and takes it into the store. Rejects with `FileWrong`. */
    verify: fromPromise<string, { readonly pullId: string }>(notWired),
  },
  delays: {
    backOff: ({ context }) => Math.max(context.retryAfterMs, Math.min(30_000, 250 * 2 ** context.attempts)),
  },
  guards: {
    isFatal: (_, params: { readonly error: unknown }) => fatalCodes.has(toQMeshError(params.error).code),
    isCancelled: (_, params: { readonly error: unknown }) =>
      toQMeshError(params.error).code === 'QM_CANCELLED',
    mayRetry: ({ context }, params: { readonly error: unknown }) => {
      if (params.error instanceof AttemptFailed && params.error.isLasting) return false
      if (context.totalAttempts + 1 >= totalAttemptsMax) return false
      return isGaining(params.error) || context.attempts + 1 < attemptsMax
    },
    hasNext: ({ context }) => nextSource(context.standings) !== undefined,
    isWrong: ({ context }, params: { readonly error: unknown }) =>
      params.error instanceof FileWrong && context.wrongFiles + 1 < context.wrongFilesMax,
  },
})

const toError = (
  error: unknown,
): { readonly error: { readonly code: ErrorCode; readonly message: string } } => {
  const { code, message } = toQMeshError(error)
  return { error: { code, message } }
}

const failuresMax = 100
const toFailure = ({ sources, source }: FetchContext, error: unknown): SourceFailure => {
  const { code, message } = toQMeshError(error)
  return { source: sources[source] ?? '', code, message }
}
const withFailure = (context: FetchContext, error: unknown): readonly SourceFailure[] =>
  [...context.failures, toFailure(context, error)].slice(-failuresMax)

/**
 * One model on its way: asks one source after the other for what is still missing, never again for what is there, until
 * the whole file has its hash. A source that fails for the moment is tried again after a while; one that gave wrong
 * bytes is not asked again.
 */
export const fetchMachine = fetchSetup.createMachine({
  id: 'fetch',
  context: ({ input: { pullId, sources, wrongFilesMax = Infinity } }) => ({
    pullId,
    sources,
    wrongFiles: 0,
    wrongFilesMax,
    standings: sources.map(() => 'fresh'),
    source: 0,
    attempts: 0,
    totalAttempts: 0,
    retryAfterMs: 0,
    finding: undefined,
    hash: undefined,
    failures: [],
    error: undefined,
  }),
  initial: 'resolving',
  on: { 'fetch.cancel': '.cancelled' },
  states: {
    resolving: {
      invoke: {
        src: 'resolve',
        input: ({ context: { pullId } }) => ({ pullId }),
        onDone: {
          target: 'checkingSpace',
          actions: assign(({ event }) => ({ finding: event.output })),
        },
        onError: [
          {
            guard: { type: 'isCancelled', params: ({ event }) => ({ error: event.error }) },
            target: 'cancelled',
          },
          { target: 'failed', actions: assign(({ event }) => toError(event.error)) },
        ],
      },
    },
    checkingSpace: {
      invoke: {
        src: 'checkSpace',
        input: ({ context: { pullId, finding } }) => ({
          pullId,
          ...(finding ?? { bytes: 0, missingBytes: 0 }),
        }),
        onDone: [
          {
            guard: ({ context }) => context.finding?.missingBytes === 0,
            target: 'verifying',
          },
          { target: 'choosing' },
        ],
        onError: [
          {
            guard: { type: 'isCancelled', params: ({ event }) => ({ error: event.error }) },
            target: 'cancelled',
          },
          { target: 'failed', actions: assign(({ event }) => toError(event.error)) },
        ],
      },
    },
    choosing: {
      always: [
        {
          guard: 'hasNext',
          target: 'fetching',
          actions: assign(({ context }) => ({
            source: nextSource(context.standings) ?? 0,
            attempts: 0,
            retryAfterMs: 0,
          })),
        },
        {
          target: 'failed',
          actions: assign(({ context: { failures } }) => ({
            error: {
              code: failures.at(-1)?.code === 'QM_MODEL_INVALID' ? 'QM_MODEL_INVALID' : 'QM_SOURCE_FAILED',
              message:
                failures.length === 0
                  ? 'the manifest names no source that could be asked'
                  : `no source could give all of it: ${[...new Set(failures.map(({ message }) => message))].slice(-5).join('; ')}`,
            } as const,
          })),
        },
      ],
    },
    fetching: {
      entry: emit(({ context }) => ({
        type: 'fetch.asking',
        source: context.sources[context.source] ?? '',
      })),
      invoke: {
        src: 'fetchFrom',
        input: ({ context: { pullId, source } }) => ({ pullId, source }),
        onDone: 'verifying',
        onError: [
          {
            guard: { type: 'isCancelled', params: ({ event }) => ({ error: event.error }) },
            target: 'cancelled',
          },
          {
            guard: { type: 'isFatal', params: ({ event }) => ({ error: event.error }) },
            target: 'failed',
            actions: assign(({ event }) => toError(event.error)),
          },
          {
            guard: { type: 'mayRetry', params: ({ event }) => ({ error: event.error }) },
            target: 'backingOff',
            actions: [
              assign(({ context, event }) => ({
                attempts: isGaining(event.error) ? 0 : context.attempts + 1,
                totalAttempts: context.totalAttempts + 1,
                retryAfterMs: toQMeshError(event.error).retryAfterMs ?? 0,
              })),
              emit(({ context, event }) => ({
                type: 'fetch.retrying',
                source: context.sources[context.source] ?? '',
                message: toQMeshError(event.error).message,
                delayMs: Math.max(context.retryAfterMs, Math.min(30_000, 250 * 2 ** context.attempts)),
              })),
            ],
          },
          {
            target: 'choosing',
            actions: [
              emit(({ context, event }) => ({
                type: 'fetch.sourceFailed',
                ...toFailure(context, event.error),
              })),
              assign(({ context, event }) => ({
                failures: withFailure(context, event.error),
                totalAttempts: context.totalAttempts + 1,
                standings: context.standings.map((standing, at) =>
                  at === context.source ? (standing === 'suspect' ? 'excluded' : 'spent') : standing,
                ),
              })),
            ],
          },
        ],
      },
    },
    backingOff: { after: { backOff: 'fetching' } },
    verifying: {
      entry: emit({ type: 'fetch.verifying' }),
      invoke: {
        src: 'verify',
        input: ({ context: { pullId } }) => ({ pullId }),
        onDone: { target: 'ready', actions: assign(({ event }) => ({ hash: event.output })) },
        onError: [
          {
            guard: { type: 'isCancelled', params: ({ event }) => ({ error: event.error }) },
            target: 'cancelled',
          },
          {
            guard: { type: 'isWrong', params: ({ event }) => ({ error: event.error }) },
            target: 'quarantined',
            actions: [
              emit(({ event }) => ({
                type: 'fetch.quarantined',
                message: toQMeshError(event.error).message,
              })),
              assign(({ context, event }) => ({
                failures: withFailure(context, event.error),
                wrongFiles: context.wrongFiles + 1,
                standings:
                  event.error instanceof FileWrong
                    ? blame(context.standings, event.error.culprits)
                    : context.standings,
              })),
            ],
          },
          { target: 'failed', actions: assign(({ event }) => toError(event.error)) },
        ],
      },
    },
    /** The wrong file is out of the way; what others can give is fetched from the beginning. */
    quarantined: {
      invoke: {
        src: 'resolve',
        input: ({ context: { pullId } }) => ({ pullId }),
        onDone: { target: 'choosing', actions: assign(({ event }) => ({ finding: event.output })) },
        onError: [
          {
            guard: { type: 'isCancelled', params: ({ event }) => ({ error: event.error }) },
            target: 'cancelled',
          },
          { target: 'failed', actions: assign(({ event }) => toError(event.error)) },
        ],
      },
    },
    ready: { type: 'final' },
    failed: { type: 'final' },
    cancelled: { type: 'final' },
  },
  output: ({ context: { hash, error, failures } }) => {
    if (hash !== undefined) return { kind: 'ready', hash, failures }
    if (error !== undefined) return { kind: 'failed', ...error, failures }
    return { kind: 'cancelled' }
  },
})
