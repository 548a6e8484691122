import { createActor, fromCallback, SimulatedClock, type ActorRefFrom } from 'xstate'
import type { ModelAd } from '../../../protocol/index.ts'
import {
  requestMachine,
  type AttemptEvent,
  type AttemptInput,
  type LifeSigns,
  type RequestFact,
  type RequestInput,
  type StallPolicy,
} from '../../../machines/request/index.ts'

export const model: ModelAd = { id: 'tiny', hash: 'a'.repeat(64), contextTokens: 4_096, slots: 2 }

export const toWorkerId = (index: number): string => index.toString(16).padStart(64, '0')

/** Timers that do not grow, so that a model can count them. */
export const flatStall: StallPolicy = {
  openingMs: 1_000,
  queuedMs: 2_000,
  etaFactor: 0,
  firstTokenMs: 3_000,
  promptTokenMs: 0,
  gapMs: 1_500,
  gapFactor: 0,
  stallMsMax: 600_000,
  readerIdleMs: 4_000,
}

/** Of a worker that is not there any more. */
export const silent: LifeSigns = { heardAtMs: 0, silenceMsMax: 150, ping: () => {}, sample: () => {} }

export interface RequestRig {
  readonly clock: SimulatedClock
  readonly actor: ActorRefFrom<typeof requestMachine>
  readonly facts: RequestFact[]
  /** Attempts begun, in order, and how often each was stopped. */
  readonly attempts: { readonly input: AttemptInput; stopped: number; send(event: AttemptEvent): void }[]
  /** Workers known, of which the first that is not excluded is chosen, and what shows that they live. */
  readonly state: {
    known: number
    signs: LifeSigns | null
    /** Workers that stand still: of these nothing is heard, whatever `signs` are. */
    readonly still: Set<string>
    isLeaving: boolean
    /** By which the clock of the node has jumped. */
    jumpedMs: number
  }
  pass(ms: number): void
}

export function createRequestRig(over: Partial<RequestInput> = {}, known = 2): RequestRig {
  const clock = new SimulatedClock()
  const facts: RequestFact[] = []
  const state: RequestRig['state'] = { known, signs: null, still: new Set(), isLeaving: false, jumpedMs: 0 }
  const attempts: RequestRig['attempts'] = []
  const attempt = fromCallback<{ type: 'never' }, AttemptInput, AttemptEvent>(({ input, sendBack }) => {
    const entry = { input, stopped: 0, send: sendBack }
    attempts.push(entry)
    return () => {
      entry.stopped++
    }
  })
  const input: RequestInput = {
    requestId: 'f'.repeat(32),
    choose: (exclude) => {
      for (let index = 0; index < state.known; index++) {
        if (!exclude.has(toWorkerId(index))) return { workerId: toWorkerId(index), model }
      }
      return null
    },
    hasElsewhere: (exclude, smallContext) =>
      model.contextTokens > smallContext &&
      Array.from({ length: state.known }, (_, index) => toWorkerId(index)).some((id) => !exclude.has(id)),
    watch: {
      signsOf: (workerId) => (state.still.has(workerId) ? silent : state.signs),
      isLeaving: () => state.isLeaving,
      now: () => clock.now() + state.jumpedMs,
    },
    whyNobody: () => ({ code: 'QM_NO_WORKERS' }),
    isNearer: () => false,
    report: (fact) => void facts.push(fact),
    now: () => clock.now(),
    promptTokens: 0,
    attemptsMax: 3,
    discoverMs: 2_520,
    deadlineMs: 20_010,
    stall: flatStall,
    ...over,
  }
  const rig: RequestRig = {
    clock,
    facts,
    attempts,
    state,
    actor: createActor(requestMachine.provide({ actors: { attempt } }), { clock, input }),
    pass: (ms) => {
      for (let passed = 0; passed < ms; passed += 50) clock.increment(Math.min(50, ms - passed))
    },
  }
  rig.actor.start()
  return rig
}
