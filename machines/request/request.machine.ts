import { assign, fromCallback, raise, setup } from 'xstate'
import { limits, type Finish, type RequestId } from '../../protocol/index.ts'
import {
  type Again,
  areSpent,
  isInVain,
  nextStep,
  toExcluded,
  toFailure,
  toPatience,
  toSmallContext,
  type AttemptRecord,
  type Failure,
} from './attempts.ts'
import { livenessMachine, type WatchPort } from './liveness.machine.ts'
import type {
  AttemptDoubted,
  AttemptEvent,
  AttemptFailed,
  AttemptInput,
  AttemptQueued,
  Choice,
  ChoosePort,
  HasElsewherePort,
  IsNearerPort,
  ReportPort,
  RequestFact,
  WhyNobodyPort,
} from './request-events.ts'
import {
  firstTokenDelayMs,
  gapDelayMs,
  openingDelayMs,
  queuedDelayMs,
  solvingDelayMs,
  type StallPolicy,
} from './stall-timers.ts'

export interface RequestInput {
  readonly requestId: RequestId
  readonly choose: ChoosePort
  readonly hasElsewhere: HasElsewherePort
  readonly watch: WatchPort
  readonly whyNobody: WhyNobodyPort
  readonly isNearer: IsNearerPort
  readonly report: ReportPort
  /** Milliseconds of any clock that does not jump. */
  readonly now: () => number
  /** Tokens of the prompt, estimated; the worker's count replaces it. */
  readonly promptTokens: number
  /** Workers tried before giving up. */
  readonly attemptsMax: number
  /**
   * Milliseconds to wait for a worker to appear: for a first one, or for one that goes on with what was cut off. They begin
   * anew while others that waited for longer get their turn.
   */
  readonly discoverMs: number
  /** Milliseconds for the whole request; null for `limits.durationMsMax`. */
  readonly deadlineMs: number | null
  readonly stall: StallPolicy
}

export interface RequestContext extends RequestInput {
  readonly choice: Choice | null
  readonly attempts: readonly AttemptRecord[]
  /** Milliseconds until the first token, as the worker says; while solving, until the prompt is sent. */
  readonly etaMs: number
  /** The least position that the present attempt was told. */
  readonly nearest: number
  /** Tokens the reader's stream holds, as of the latest event that said so. */
  readonly tokens: number
  /** Those of them that were there when the present attempt gave its first. */
  readonly tokensBefore: number
  readonly firstTokenAtMs: number
  readonly latestTokenAtMs: number
  readonly finish: Finish | null
  readonly failure: Failure | null
}

export type RequestCommand =
  /** `because` is what the reader is told; absent, `QM_CANCELLED`. */
  | { readonly type: 'request.cancel'; readonly because?: Failure }
  /** A worker appeared or became available: worth another look for a request that waits for one. */
  | { readonly type: 'workers.changed' }
  | AttemptEvent

export interface RequestOutput {
  readonly requestId: RequestId
  /** Null when it was answered. */
  readonly failure: Failure | null
  readonly attempts: readonly AttemptRecord[]
}

/** Milliseconds between two looks at the known workers: a breaker half-opens by time alone, without an event. */
const recheckMs = 250

/** Most milliseconds between two `attempt.progressed` of a stream that flows. */
export const progressEveryMs = 250

function withEnd(attempts: readonly AttemptRecord[], end: Failure): readonly AttemptRecord[] {
  const last = attempts.at(-1)
  return last && last.code === undefined ? [...attempts.slice(0, -1), { ...last, ...toEnd(end) }] : attempts
}

const toRecord = ({ workerId, model }: Choice, atMs: number): AttemptRecord => ({
  workerId,
  modelId: model.id,
  modelHash: model.hash,
  contextTokens: model.contextTokens,
  atMs,
})

const toEnd = ({ code, message, retryAfterMs }: Failure): Failure => ({ code, message, retryAfterMs })

export interface Position {
  readonly position: number
  readonly etaMs: number
  readonly promptTokens: number
}

export interface Progress {
  readonly tokens: number
  readonly atMs: number
}

const request = setup({
  types: {
    input: {} as RequestInput,
    context: {} as RequestContext,
    events: {} as RequestCommand,
    output: {} as RequestOutput,
  },
  actors: {
    // The runtime provides the real one; alone, the machine finds every worker lost.
    attempt: fromCallback<{ type: 'never' }, AttemptInput, AttemptEvent>(({ input, sendBack }) => {
      sendBack({ type: 'attempt.failed', attempt: input.attempt, code: 'QM_WORKER_LOST', tokens: 0 })
    }),
    liveness: livenessMachine,
  },
  actions: {
    choose: assign({
      choice: ({ context: { choose, attempts } }, again: Again) =>
        choose(toExcluded(attempts, again), toSmallContext(attempts)),
    }),
    openAttempt: assign(({ context: { choice, attempts, now } }) => ({
      etaMs: 0,
      nearest: Infinity,
      attempts: choice ? [...attempts, toRecord(choice, now())] : attempts,
    })),
    reportOpened: ({ context: { choice, attempts, report } }) => {
      if (choice) report({ type: 'attempt.opened', attempt: attempts.length - 1, choice })
    },
    report: ({ context }, fact: RequestFact) => context.report(fact),
    takeWork: assign((_, etaMs: number) => ({ etaMs })),
    takePosition: assign(({ context: { nearest } }, { position, etaMs, promptTokens }: Position) => ({
      nearest: Math.min(nearest, position),
      etaMs,
      promptTokens,
    })),
    takeProgress: assign((_, { tokens, atMs }: Progress) => ({ tokens, latestTokenAtMs: atMs })),
    takeFirstToken: assign((_, { tokens, atMs }: Progress) => ({
      tokens,
      tokensBefore: tokens - 1,
      firstTokenAtMs: atMs,
      latestTokenAtMs: atMs,
    })),
    takeFinish: assign((_, finish: Finish) => ({ finish, tokens: finish.completionTokens })),
    reportEnd: ({ context: { finish, failure, attempts, report } }) => {
      if (finish) report({ type: 'request.done', finish, attempts })
      else report({ type: 'request.failed', failure: failure ?? { code: 'QM_INTERNAL' }, attempts })
    },
    /** Ends the open attempt, if any, by our own doing. */
    abandon: assign(({ context }, failure: Failure) => ({
      failure,
      attempts: withEnd(context.attempts, failure),
    })),
    reportDropped: ({ context }, failure: Failure) => {
      const open = context.attempts.at(-1)
      if (open && open.code === undefined) {
        context.report({ type: 'attempt.dropped', attempt: { ...open, ...toEnd(failure) } })
      }
    },
    recordFailure: assign(({ context }, failed: AttemptFailed) => ({
      tokens: failed.tokens,
      attempts: withEnd(context.attempts, failed),
    })),
    reportFailedAttempt: ({ context }) => {
      const attempt = context.attempts.at(-1)
      if (attempt) context.report({ type: 'attempt.failed', attempt })
    },
    /** Nobody came: for a first word, or to go on. */
    endSearch: assign({
      failure: ({ context: { attempts, tokens, whyNobody } }) =>
        attempts.length > 0 ? toFailure(attempts, tokens) : whyNobody(),
    }),
    giveUp: assign({ failure: ({ context }) => toFailure(context.attempts, context.tokens) }),
  },
  guards: {
    hasChoice: ({ context }) => context.choice !== null,
    hasTriedInVain: ({ context }) => isInVain(context.attempts, context.tokens),
    isNearerToTurn: ({ context }) => context.isNearer(),
    isFirst: (_, position: number) => position === 0,
    isNearer: ({ context: { nearest } }, position: number) => position < nearest,
    isStale: ({ context }, attempt: number) => attempt !== context.attempts.length - 1,
    leadsElsewhere: ({ context: { attempts, attemptsMax, hasElsewhere } }, failed: Failure) => {
      const ended = withEnd(attempts, failed)
      const hasLarger = (): boolean => hasElsewhere(toExcluded(ended, 'none'), toSmallContext(ended))
      return nextStep({ attempts: ended, attemptsMax, hasLarger }) === 'elsewhere'
    },
    /**
     * A doubt is no proof: a worker is left only for another one. Which contexts were too small is no matter here: it is
     * other workers' word, and this one has taken the prompt.
     */
    isBetterElsewhere: (
      { context: { attempts, attemptsMax, hasElsewhere } },
      { code, isLasting, isCertain }: AttemptDoubted,
    ) =>
      isCertain ||
      (!areSpent(withEnd(attempts, { code }), attemptsMax) &&
        hasElsewhere(toExcluded(attempts, isLasting ? 'lost or busy' : 'none'), 0)),
  },
  delays: {
    deadline: ({ context }) => context.deadlineMs ?? limits.durationMsMax,
    discover: ({ context }) => context.discoverMs,
    recheck: recheckMs,
    solvingStall: ({ context }) => solvingDelayMs(context.stall, context.etaMs),
    openingStall: ({ context }) => openingDelayMs(context.stall, context.promptTokens),
    queuedStall: ({ context }) => queuedDelayMs(context.stall, context.etaMs),
    firstTokenStall: ({ context }) =>
      firstTokenDelayMs(context.stall, {
        // The next worker has to read the answer so far, too.
        promptTokens: context.promptTokens + context.tokens,
        etaMs: context.etaMs,
      }),
    gapStall: ({ context }) =>
      progressEveryMs +
      gapDelayMs(
        context.stall,
        context.tokens - context.tokensBefore,
        context.latestTokenAtMs - context.firstTokenAtMs,
      ),
    readerIdle: ({ context }) => context.stall.readerIdleMs,
  },
})

const stalled = request.raise(({ context }) => ({
  type: 'attempt.failed' as const,
  attempt: context.attempts.length - 1,
  code: 'QM_WORKER_STALLED' as const,
  tokens: context.tokens,
}))

const overworked = request.raise(({ context }) => ({
  type: 'attempt.failed' as const,
  attempt: context.attempts.length - 1,
  code: 'QM_EFFORT_REQUIRED' as const,
  message: 'The worker asks for more work than this computer does in a reasonable time.',
  tokens: context.tokens,
}))

/** A cancel, a deadline, a reader that went away: the worker is left, and it is not to blame. */
const abandon = (failure: Failure) =>
  [
    { type: 'reportDropped', params: failure },
    { type: 'abandon', params: failure },
  ] as const

const cancelled: Failure = { code: 'QM_CANCELLED' }

const isStale = {
  guard: { type: 'isStale', params: ({ event }: { event: AttemptEvent }) => event.attempt },
} as const

const progressed = { type: 'takeProgress', params: ({ event }: { event: Progress }) => event } as const

const takePosition = [
  { type: 'takePosition', params: ({ event }: { event: AttemptQueued }) => event },
  { type: 'report', params: ({ event }: { event: AttemptQueued }) => event },
] as const

/**
 * Targets of a position, from `opening` and `queued`. Only one that is nearer than all before starts the timer again: a
 * worker that names the same position for ever serves nobody.
 */
const positioned = [
  {
    guard: { type: 'isFirst', params: ({ event }: { event: AttemptQueued }) => event.position },
    target: 'starting',
    actions: takePosition,
  },
  {
    guard: { type: 'isNearer', params: ({ event }: { event: AttemptQueued }) => event.position },
    target: 'queued',
    reenter: true,
    actions: takePosition,
  },
  { actions: takePosition },
] as const

/**
 * One request of this node, from the search for a worker to the last token:
 * selecting → opening (→ solving → opening) → queued → starting → streaming → done | failed.
 *
 * An attempt that fails leads back to selecting, with what the reader has of the answer: the next worker goes on there.
 * The machine decides where a failure leads and how long silence is believed. Tokens do not pass through it: the
 * `attempt` actor hands them to the reader and says here only that they came.
 */
export const requestMachine = request.createMachine({
  id: 'request',
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({
    ...input,
    choice: null,
    attempts: [],
    etaMs: 0,
    nearest: Infinity,
    tokens: 0,
    tokensBefore: 0,
    firstTokenAtMs: 0,
    latestTokenAtMs: 0,
    finish: null,
    failure: null,
  }),
  initial: 'selecting',
  on: {
    'request.cancel': {
      target: '.failed',
      actions: [
        { type: 'reportDropped', params: ({ event }) => event.because ?? cancelled },
        { type: 'abandon', params: ({ event }) => event.because ?? cancelled },
      ],
    },
  },
  after: {
    deadline: { target: '.failed', actions: abandon({ code: 'QM_DEADLINE_PASSED' }) },
  },
  states: {
    selecting: {
      initial: 'choosing',
      after: {
        discover: [
          { guard: 'isNearerToTurn', target: '.looking', reenter: true },
          { target: 'failed', actions: 'endSearch' },
        ],
      },
      states: {
        choosing: {
          entry: { type: 'choose', params: 'none' },
          always: [
            { guard: 'hasChoice', target: '#request.attempting' },
            { guard: 'hasTriedInVain', target: 'returning' },
            { target: 'discovering', actions: { type: 'report', params: { type: 'request.waiting' } } },
          ],
        },
        /** Nobody is left to try; one that was lost may be back. */
        returning: {
          entry: { type: 'choose', params: 'lost' },
          always: [
            { guard: 'hasChoice', target: '#request.attempting' },
            { target: '#request.failed', actions: 'giveUp' },
          ],
        },
        discovering: {
          on: { 'workers.changed': 'looking' },
          after: { recheck: 'looking' },
        },
        /** As `choosing`, without saying again that it waits, and content with a worker that was tried before. */
        looking: {
          entry: { type: 'choose', params: 'lost or busy' },
          always: [{ guard: 'hasChoice', target: '#request.attempting' }, { target: 'discovering' }],
        },
      },
    },
    attempting: {
      entry: ['openAttempt', 'reportOpened'],
      invoke: [
        {
          id: 'attempt',
          src: 'attempt',
          input: ({ context }) => ({
            requestId: context.requestId,
            attempt: context.attempts.length - 1,
            choice: context.choice,
          }),
          onError: {
            actions: raise(({ context }) => ({
              type: 'attempt.failed',
              attempt: context.attempts.length - 1,
              code: 'QM_INTERNAL',
              tokens: context.tokens,
            })),
          },
        },
        {
          id: 'liveness',
          src: 'liveness',
          input: ({ context }) => ({
            workerId: context.choice?.workerId ?? '',
            attempt: context.attempts.length - 1,
            patience: toPatience(context.attempts),
            watch: context.watch,
          }),
          // Without it the stall timers are still there.
          onError: {},
        },
      ],
      initial: 'opening',
      on: {
        'attempt.started': [
          isStale,
          {
            target: '.streaming',
            actions: [
              { type: 'takeFirstToken', params: ({ event }) => event },
              { type: 'report', params: ({ event }) => event },
            ],
          },
        ],
        'attempt.doubted': [
          isStale,
          {
            guard: { type: 'isBetterElsewhere', params: ({ event }) => event },
            actions: raise(({ context, event: { attempt, code } }) => ({
              type: 'attempt.failed',
              attempt,
              code,
              tokens: context.tokens,
            })),
          },
        ],
        'attempt.failed': [
          isStale,
          {
            guard: { type: 'leadsElsewhere', params: ({ event }) => event },
            target: 'selecting',
            actions: [{ type: 'recordFailure', params: ({ event }) => event }, 'reportFailedAttempt'],
          },
          {
            target: 'failed',
            actions: [
              { type: 'recordFailure', params: ({ event }) => event },
              'reportFailedAttempt',
              'giveUp',
            ],
          },
        ],
        'attempt.finished': [
          isStale,
          { target: 'done', actions: { type: 'takeFinish', params: ({ event }) => event.finish } },
        ],
      },
      states: {
        /** The prompt is on its way; the worker has said nothing, unless that it asks for work first. */
        opening: {
          on: {
            'attempt.queued': [isStale, ...positioned],
            'attempt.solving': [
              isStale,
              {
                target: 'solving',
                actions: [
                  { type: 'takeWork', params: ({ event }) => event.etaMs },
                  { type: 'report', params: ({ event }) => event },
                ],
              },
            ],
          },
          after: { openingStall: { actions: stalled } },
        },
        /** The worker asks for work, and nothing is sent before it is done. */
        solving: {
          on: {
            'attempt.solved': [
              isStale,
              {
                target: 'opening',
                actions: [
                  { type: 'takeWork', params: 0 },
                  { type: 'report', params: ({ event }) => event },
                ],
              },
            ],
          },
          after: { solvingStall: { actions: overworked } },
        },
        /** Others go first. A word that it gets nearer keeps it alive. */
        queued: {
          on: { 'attempt.queued': [isStale, ...positioned] },
          after: { queuedStall: { actions: stalled } },
        },
        /** A slot has it: the prompt is being read. */
        starting: {
          on: { 'attempt.queued': isStale },
          after: { firstTokenStall: { actions: stalled } },
        },
        streaming: {
          initial: 'flowing',
          states: {
            flowing: {
              on: {
                'attempt.progressed': [isStale, { target: 'flowing', reenter: true, actions: progressed }],
                'attempt.held': [isStale, { target: 'held' }],
              },
              after: { gapStall: { actions: stalled } },
            },
            /** The reader is behind and the worker waits for it: silence is nobody's fault but the reader's. */
            held: {
              on: {
                'attempt.progressed': [isStale, { actions: progressed }],
                'attempt.resumed': [isStale, { target: 'flowing' }],
              },
              after: {
                readerIdle: { target: '#request.failed', actions: abandon({ code: 'QM_READER_TOO_SLOW' }) },
              },
            },
          },
        },
      },
    },
    done: { type: 'final', entry: 'reportEnd' },
    failed: { type: 'final', entry: 'reportEnd' },
  },
  output: ({ context: { requestId, failure, attempts } }) => ({ requestId, failure, attempts }),
})
