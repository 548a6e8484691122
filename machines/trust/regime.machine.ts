import { setup } from 'xstate'
import { ONE } from './fixed.ts'
import { type Alarms, isThird, quietSignal, type Regime, type RegimeSignal, stepSignal } from './regime.ts'

/** When the regime changes. Shares are Q16.16. */
export const regimeThresholds = {
  /** Above it trouble is here … */
  entropyHigh: Math.floor((45 * ONE) / 100),
  /** … below it trouble is over. The gap between the two stops flapping. */
  entropyLow: Math.ceil((30 * ONE) / 100),
  /** A rise of so much a round announces trouble. */
  derivativeHigh: Math.floor((15 * ONE) / 100),
  /** Rounds in a row that it takes. */
  alarmedRounds: 2,
  stormyRounds: 3,
  settledRounds: 5,
  /** Rounds that a regime is kept. */
  preStormRoundsMin: 5,
  stormRoundsMin: 50,
} as const

export interface RegimeContext {
  readonly signal: RegimeSignal
  /** Rounds seen in this regime. */
  readonly rounds: number
  /** Rounds in a row in which what leads on from here was so. */
  readonly streak: number
  /** Whether at least a third of the influence of my witnesses reports a storm. */
  readonly isWarned: boolean
}

export type RegimeCommand =
  /** A round is over; see `observe`. */
  | { readonly type: 'round.finished'; readonly alarms: Alarms }
  /** Influence of the witnesses of this node that report a storm, and of all of them, in Q16.16. Replaces the last count. */
  | { readonly type: 'votes.counted'; readonly storm: number; readonly total: number }

export interface RegimeEmitted {
  readonly type: 'regime.changed'
  readonly from: Regime
  readonly to: Regime
  /** Q16.16, of the round that made the difference. */
  readonly entropy: number
}

const { entropyHigh, entropyLow, derivativeHigh } = regimeThresholds

/** What has to hold in each regime, round after round, to leave it in the main direction. `rounds` includes this one. */
const leads: Readonly<Record<Regime, (signal: RegimeSignal, rounds: number) => boolean>> = {
  // The level too: a slow ramp never trips a derivative.
  calm: ({ entropy, derivative }) => derivative > derivativeHigh || entropy > entropyHigh,
  preStorm: ({ entropy }) => entropy > entropyHigh,
  storm: ({ entropy }, rounds) => entropy < entropyLow && rounds >= regimeThresholds.stormRoundsMin,
}

const regime = setup({
  types: {
    context: {} as RegimeContext,
    events: {} as RegimeCommand,
    emitted: {} as RegimeEmitted,
  },
  guards: {
    hasAlarm: ({ context }) => context.streak >= regimeThresholds.alarmedRounds,
    isWarned: ({ context }) => context.isWarned,
    isStormy: ({ context }) => context.streak >= regimeThresholds.stormyRounds,
    isSettled: ({ context }) => context.streak >= regimeThresholds.settledRounds,
    /** Not falling would do for a network in which nothing moves at all: a falling entropy would never come. */
    isFalseAlarm: ({ context: { signal, rounds, isWarned } }) =>
      !isWarned &&
      rounds >= regimeThresholds.preStormRoundsMin &&
      signal.derivative <= 0 &&
      signal.entropy < entropyLow,
  },
})

const countAgain = regime.assign({ rounds: 0, streak: 0 })
const countVotes = regime.assign({
  isWarned: ({ context, event }) =>
    event.type === 'votes.counted' ? isThird(event.storm, event.total) : context.isWarned,
})

/** Takes a round in. */
const note = (now: Regime) =>
  regime.assign(({ context, event }) => {
    if (event.type !== 'round.finished') return {}
    const signal = stepSignal(context.signal, event.alarms)
    const rounds = context.rounds + 1
    return { signal, rounds, streak: leads[now](signal, rounds) ? context.streak + 1 : 0 }
  })

const tell = (from: Regime, to: Regime) =>
  regime.emit(({ context }) => ({ type: 'regime.changed', from, to, entropy: context.signal.entropy }))

/**
 * How careful this node is, from what it checked itself, with hysteresis both ways. Others' votes can only make it look
 * closer, and only a third of its witnesses together: they never lead into a storm, and fewer of them do nothing.
 */
export const regimeMachine = regime.createMachine({
  id: 'regime',
  context: { signal: quietSignal, rounds: 0, streak: 0, isWarned: false },
  initial: 'calm',
  on: { 'votes.counted': { actions: countVotes } },
  states: {
    calm: {
      entry: countAgain,
      on: { 'round.finished': { actions: note('calm') } },
      always: [
        { guard: 'hasAlarm', target: 'preStorm', actions: tell('calm', 'preStorm') },
        { guard: 'isWarned', target: 'preStorm', actions: tell('calm', 'preStorm') },
      ],
    },
    preStorm: {
      entry: countAgain,
      on: { 'round.finished': { actions: note('preStorm') } },
      always: [
        { guard: 'isStormy', target: 'storm', actions: tell('preStorm', 'storm') },
        { guard: 'isFalseAlarm', target: 'calm', actions: tell('preStorm', 'calm') },
      ],
    },
    storm: {
      entry: countAgain,
      on: { 'round.finished': { actions: note('storm') } },
      always: { guard: 'isSettled', target: 'calm', actions: tell('storm', 'calm') },
    },
  },
})
