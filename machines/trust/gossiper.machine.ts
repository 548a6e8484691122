import { assign, emit, fromCallback, fromPromise, raise, sendTo, setup } from 'xstate'
import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import { regimeMachine } from './regime.machine.ts'
import { type Alarms, noAlarms, type Regime, regimeTerms, type RegimeTerms } from './regime.ts'

export interface GossiperTimings {
  /** Milliseconds that a start waits for peers that say how much of this node's own log they hold. */
  readonly checkWaitMs: number
  /** Peers that are enough. */
  readonly peersToHear: number
  /** Milliseconds between two announcements, however fast the log grows. */
  readonly announceGapMs: number
  /** Milliseconds of an epoch. */
  readonly epochMs: number
  /** Milliseconds that the books have to open, to take in what was heard, and to close. */
  readonly bookMs: number
  readonly regimes: Readonly<Record<Regime, RegimeTerms>>
}

export const defaultGossiperTimings: GossiperTimings = {
  checkWaitMs: 15_000,
  peersToHear: 3,
  announceGapMs: 1_000,
  epochMs: 60_000,
  bookMs: 60_000,
  regimes: regimeTerms,
}

/**
 * What is known of the own log before it may grow. `new`: there is none yet. `begun`: some of it is here, and only peers
 * that hold some of it, too, can say whether it was longer. `elsewhere`: the keys were in use on another machine, so
 * there is a log that is not here; to begin another one would be a fork.
 */
export type OwnLogStory = 'new' | 'begun' | 'elsewhere'

export interface GossiperInput {
  /** `new` where left out. */
  readonly log?: OwnLogStory
  /** What is left out is as in `defaultGossiperTimings`. */
  readonly timings: Partial<GossiperTimings>
}

export interface GossiperContext {
  readonly timings: GossiperTimings
  readonly regime: Regime
  readonly log: OwnLogStory
  /** Peers that said how much of this node's own log they hold, and those that hold some of it. */
  readonly told: number
  readonly holders: number
  /** Entries of the own log, and those that were announced. */
  readonly length: number
  readonly announced: number
  readonly isCardNew: boolean
  readonly error: QMeshError | undefined
}

export type GossiperCommand =
  /** Closes the books and ends. */
  | { readonly type: 'score-gossiper.stop' }
  /** The own log has so many entries now. */
  | { readonly type: 'log.grew'; readonly length: number }
  | { readonly type: 'card.changed' }
  | { readonly type: 'regime.changed'; readonly to: Regime }

/** What the adapter reports. */
export type GossiperFact =
  /** Peers that said how much of the own log they hold, and those of them that hold some. */
  | { readonly type: 'gossip.told'; readonly peers: number; readonly holders: number }
  /** A round is over. Influence in Q16.16, of this node's witnesses that report a storm, and of all of them. */
  | {
      readonly type: 'gossip.observed'
      readonly alarms: Alarms
      readonly storm: number
      readonly total: number
    }

/** What the adapter is told to do. */
export type GossiperOrder =
  | { readonly type: 'gossip.round' }
  | { readonly type: 'gossip.announce'; readonly withCard: boolean }
  | { readonly type: 'gossip.regime'; readonly regime: Regime }
  | { readonly type: 'gossip.sweep' }

export type GossiperEmitted =
  /** The start-up check is over: the own log may grow. `told` may be 0 in a mesh of one. */
  | { readonly type: 'gossiper.ready'; readonly told: number }
  /** The log of these keys is elsewhere, and none of the peers met so far holds any of it: nothing is written before. */
  | { readonly type: 'gossiper.searching'; readonly told: number }
  | { readonly type: 'gossiper.failed'; readonly error: QMeshError }

export interface GossiperOutput {
  /** Why it ended although nobody asked it to, or what went wrong at the end. */
  readonly error: QMeshError | undefined
}

const notWired = (name: string): Promise<never> =>
  Promise.reject(new QMeshError('QM_INTERNAL', `no ${name} given`))

const gossiper = setup({
  types: {
    input: {} as GossiperInput,
    context: {} as GossiperContext,
    events: {} as GossiperCommand | GossiperFact,
    emitted: {} as GossiperEmitted,
    output: {} as GossiperOutput,
  },
  actors: {
    /** Opens the books. */
    open: fromPromise<void>(() => notWired('books')),
    /** Gossips over the connections there are, until it is stopped; closes the books then. */
    gossip: fromCallback<GossiperOrder>(() => {}),
    /** Takes in what peers hold of the own log; rejects when this node must not go on by itself. */
    settle: fromPromise<void>(() => notWired('check')),
    close: fromPromise<void>(() => notWired('closing')),
    regime: regimeMachine,
  },
  actions: {
    noteError: assign({ error: (_, params: { error: unknown }) => toQMeshError(params.error) }),
    round: sendTo('gossip', { type: 'gossip.round' } satisfies GossiperOrder),
    countVotes: sendTo('regime', ({ event }) =>
      event.type === 'gossip.observed'
        ? { type: 'votes.counted' as const, storm: event.storm, total: event.total }
        : { type: 'votes.counted' as const, storm: 0, total: 0 },
    ),
    weigh: sendTo('regime', ({ event }) => ({
      type: 'round.finished' as const,
      alarms: event.type === 'gossip.observed' ? event.alarms : noAlarms,
    })),
    sweep: sendTo('gossip', { type: 'gossip.sweep' } satisfies GossiperOrder),
    announce: sendTo('gossip', ({ context }): GossiperOrder => ({
      type: 'gossip.announce',
      withCard: context.isCardNew,
    })),
    tellRegime: sendTo('gossip', ({ context }): GossiperOrder => ({
      type: 'gossip.regime',
      regime: context.regime,
    })),
  },
  delays: {
    bookDeadline: ({ context }) => context.timings.bookMs,
    checkWait: ({ context }) => context.timings.checkWaitMs,
    epoch: ({ context }) => context.timings.epochMs,
    announceGap: ({ context }) => context.timings.announceGapMs,
    roundInterval: ({ context: { timings, regime } }) => timings.regimes[regime].roundMs,
    headInterval: ({ context: { timings, regime } }) => timings.regimes[regime].headIntervalMs,
  },
  guards: {
    isHeard: ({ context }) => isHeard(context),
    isMissing: ({ context: { log, holders } }) => log === 'elsewhere' && holders === 0,
    isUnmet: ({ context: { log, told } }) => log === 'begun' && told === 0,
    isFound: ({ context }) => context.holders > 0,
    hasNews: ({ context }) => context.isCardNew || context.length > context.announced,
    isWorthTelling: ({ context }) => isWorthTelling(context),
  },
})

/** Peers without any of a log that has begun somewhere cannot say how long it is, and one alone may know an old end. */
const isHeard = ({ log, told, holders, timings: { peersToHear } }: GossiperContext): boolean =>
  (log === 'new' ? told : holders) >= peersToHear

/** A head is told at once when the log grew by a twentieth; peers reckon with less until the interval is over. */
const worthShare = 20

const isWorthTelling = ({ isCardNew, length, announced }: GossiperContext): boolean =>
  isCardNew || (length > announced && worthShare * (length - announced) >= announced)

const noteTold = gossiper.assign({
  told: ({ context, event }) => (event.type === 'gossip.told' ? event.peers : context.told),
  holders: ({ context, event }) => (event.type === 'gossip.told' ? event.holders : context.holders),
})
const noteLength = gossiper.assign({
  length: ({ context, event }) =>
    event.type === 'log.grew' ? Math.max(context.length, event.length) : context.length,
})
const noteRegime = gossiper.assign({
  regime: ({ context, event }) => (event.type === 'regime.changed' ? event.to : context.regime),
})
const noteAnnounced = gossiper.assign({ announced: ({ context }) => context.length, isCardNew: false })

const late = (what: string) =>
  gossiper.assign({
    error: ({ context }) =>
      new QMeshError('QM_LOG_DAMAGED', `the books did not ${what} within ${context.timings.bookMs} ms`),
  })

/**
 * Owns this node's part in the scores network: opens the books, lets peers say what they hold of the own log before
 * that log may grow (a node restored from a backup would fork it), then holds rounds, announces, and closes the books
 * at the end. It fails as a whole: whoever owns it starts it again.
 */
export const gossiperMachine = gossiper.createMachine({
  id: 'score-gossiper',
  context: ({ input }) => ({
    timings: { ...defaultGossiperTimings, ...input.timings },
    regime: 'calm',
    log: input.log ?? 'new',
    told: 0,
    holders: 0,
    length: 0,
    announced: 0,
    isCardNew: false,
    error: undefined,
  }),
  initial: 'opening',
  output: ({ context }) => ({ error: context.error }),
  on: {
    'log.grew': { actions: noteLength },
    'card.changed': { actions: gossiper.assign({ isCardNew: true }) },
    'regime.changed': { actions: noteRegime },
  },
  states: {
    opening: {
      invoke: {
        src: 'open',
        onDone: 'open',
        onError: {
          target: 'closing',
          actions: { type: 'noteError', params: ({ event }) => ({ error: event.error }) },
        },
      },
      after: { bookDeadline: { target: 'closing', actions: late('open') } },
      on: { 'score-gossiper.stop': 'closing' },
    },
    open: {
      invoke: [
        {
          src: 'gossip',
          id: 'gossip',
          onError: {
            target: 'closing',
            actions: { type: 'noteError', params: ({ event }) => ({ error: event.error }) },
          },
        },
        {
          src: 'regime',
          id: 'regime',
          onSnapshot: {
            guard: ({ context, event }) => event.snapshot.value !== context.regime,
            actions: raise(({ event }) => ({
              type: 'regime.changed' as const,
              to: event.snapshot.value,
            })),
          },
          onError: {
            target: 'closing',
            actions: { type: 'noteError', params: ({ event }) => ({ error: event.error }) },
          },
        },
      ],
      initial: 'listening',
      entry: 'tellRegime',
      on: {
        'score-gossiper.stop': 'closing',
        'gossip.told': { actions: noteTold },
        'gossip.observed': { actions: ['countVotes', 'weigh'] },
        'regime.changed': { actions: [noteRegime, 'tellRegime'] },
      },
      states: {
        /**
         * Peers say what they hold of the own log. A new one goes on after a while though nobody is met; one that has
         * begun has nothing to lose by waiting for the first peer, without whom nothing is earned or paid.
         */
        listening: {
          always: { guard: 'isHeard', target: 'settling' },
          // The first word of a peer is when the others have their time to speak: before, there was nobody to hear.
          on: {
            'gossip.told': {
              guard: 'isUnmet',
              target: 'listening',
              reenter: true,
              actions: noteTold,
            },
          },
          after: {
            checkWait: [
              { guard: 'isUnmet', target: 'listening', reenter: true, actions: 'sweep' },
              {
                guard: 'isMissing',
                target: 'searching',
                actions: emit(({ context }) => ({ type: 'gossiper.searching', told: context.told })),
              },
              { target: 'settling' },
            ],
          },
        },
        /** Without end: only a peer that holds some of the log ends it, and after it others have their time to speak. */
        searching: {
          // What waits for the log is kept in a file meanwhile.
          entry: ['round', 'sweep'],
          always: { guard: 'isFound', target: 'listening' },
          after: { roundInterval: { target: 'searching', reenter: true } },
        },
        settling: {
          invoke: {
            src: 'settle',
            onDone: {
              target: 'gossiping',
              actions: emit(({ context }) => ({ type: 'gossiper.ready', told: context.told })),
            },
            onError: {
              target: '#score-gossiper.closing',
              actions: { type: 'noteError', params: ({ event }) => ({ error: event.error }) },
            },
          },
          // To go on unchecked is what the check is there to prevent.
          after: { bookDeadline: { target: '#score-gossiper.closing', actions: late('pass the check') } },
        },
        gossiping: {
          type: 'parallel',
          states: {
            rounds: {
              initial: 'holding',
              states: {
                holding: { entry: 'round', always: 'resting' },
                resting: {
                  after: { roundInterval: 'holding' },
                  // The interval of the regime before would be waited out.
                  on: {
                    'regime.changed': {
                      target: 'resting',
                      reenter: true,
                      actions: [noteRegime, 'tellRegime'],
                    },
                  },
                },
              },
            },
            news: {
              initial: 'quiet',
              states: {
                announcing: { entry: ['announce', noteAnnounced], always: 'pausing' },
                pausing: {
                  after: { announceGap: 'quiet' },
                },
                quiet: {
                  always: { guard: 'isWorthTelling', target: 'announcing' },
                  after: { headInterval: [{ guard: 'hasNews', target: 'announcing' }, { target: 'idle' }] },
                },
                /** Nothing was told for a whole interval: the next news is told at once. */
                idle: { always: { guard: 'hasNews', target: 'announcing' } },
              },
            },
            sweeps: {
              initial: 'resting',
              states: {
                resting: { after: { epoch: 'sweeping' } },
                sweeping: { entry: 'sweep', always: 'resting' },
              },
            },
          },
        },
      },
    },
    closing: {
      entry: gossiper.enqueueActions(({ context, enqueue }) => {
        if (context.error) enqueue.emit({ type: 'gossiper.failed', error: context.error })
      }),
      invoke: {
        src: 'close',
        onDone: 'ended',
        onError: {
          target: 'ended',
          actions: { type: 'noteError', params: ({ event }) => ({ error: event.error }) },
        },
      },
      after: { bookDeadline: { target: 'ended', actions: late('close') } },
    },
    ended: { type: 'final' },
  },
})
