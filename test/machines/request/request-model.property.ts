import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { errorCatalogue, type ErrorCode, type Finish } from '../../../protocol/index.ts'
import type { AttemptEvent } from '../../../machines/request/index.ts'
import { createRequestRig, flatStall, type RequestRig } from './request-rig.ts'

/** What a request is, without states, actors or events: one phase, one silence and one deadline that run out. */
interface Model {
  phase:
    'discovering' | 'opening' | 'solving' | 'queued' | 'starting' | 'flowing' | 'held' | 'done' | 'failed'
  known: number
  tries: { readonly worker: number; code?: ErrorCode }[]
  silenceLeftMs: number
  deadlineLeftMs: number
  /** The least position that the present worker named. */
  nearest: number
  /** Milliseconds until it looks again, while no worker is known. */
  lookLeftMs: number
  tokens: number
  outcome: ErrorCode | 'done' | undefined
}

const silenceMs: Record<Model['phase'], number> = {
  discovering: 2_520,
  opening: flatStall.openingMs,
  solving: flatStall.openingMs,
  queued: flatStall.queuedMs,
  starting: flatStall.firstTokenMs,
  flowing: flatStall.gapMs + 250,
  held: flatStall.readerIdleMs,
  done: Infinity,
  failed: Infinity,
}

const attemptsMax = 3
/** Of the codes below, those after which a worker may be tried once more: at once, or by somebody who waits. */
const lost: readonly (ErrorCode | undefined)[] = ['QM_WORKER_LOST', 'QM_DRAINING']
const mayReturn = {
  none: [] as typeof lost,
  lost,
  'lost or busy': [...lost, 'QM_QUEUE_FULL', 'QM_EFFORT_REQUIRED'] as typeof lost,
}

const initialModel = (known: number): Model => {
  const model: Model = {
    phase: 'discovering',
    known,
    tries: [],
    silenceLeftMs: 0,
    deadlineLeftMs: 20_010,
    nearest: Infinity,
    lookLeftMs: 250,
    tokens: 0,
    outcome: undefined,
  }
  enter(model, 'discovering')
  look(model)
  return model
}

function enter(model: Model, phase: Model['phase']): void {
  model.phase = phase
  model.silenceLeftMs = silenceMs[phase]
}

/** The first worker that is not left out, or undefined. */
function choose({ known, tries }: Model, again: keyof typeof mayReturn): number | undefined {
  const excluded = tries.filter(({ code }) => !mayReturn[again].includes(code))
  const workers = Array.from({ length: known }, (_, worker) => worker)
  return workers.find((worker) => !excluded.some((tried) => tried.worker === worker))
}

function look(model: Model, again: keyof typeof mayReturn = 'lost or busy'): void {
  model.lookLeftMs = 250
  const worker = choose(model, again)
  if (worker === undefined) return
  model.tries.push({ worker })
  model.nearest = Infinity
  enter(model, 'opening')
}

function end(model: Model, outcome: ErrorCode | 'done'): void {
  const last = model.tries.at(-1)
  if (outcome !== 'done' && last) last.code ??= outcome
  model.outcome = outcome
  enter(model, outcome === 'done' ? 'done' : 'failed')
}

const isAttempting = ({ phase }: Model): boolean => !['discovering', 'done', 'failed'].includes(phase)

const codesOf = ({ tries }: Model) => tries.map(({ code }) => code)

/** What the reader is told when it is over. */
function verdict(model: Model): ErrorCode {
  const codes = codesOf(model)
  const code = codes.at(-1)
  if (code === undefined) return 'QM_NO_WORKERS'
  const isAgreed = codes.every((other) => other === code)
  const isFinal = errorCatalogue[code].retry === 'never'
  return model.tokens > 0 || isAgreed || isFinal ? code : 'QM_ATTEMPTS_EXHAUSTED'
}

/** A lost connection counts for little. */
const areSpent = (codes: readonly (ErrorCode | undefined)[]): boolean =>
  codes.filter((code) => code !== 'QM_WORKER_LOST').length >= attemptsMax || codes.length >= 4 * attemptsMax

function fail(model: Model, code: ErrorCode): void {
  const last = model.tries.at(-1)
  if (last) last.code = code
  const codes = codesOf(model)
  const { retry } = errorCatalogue[code]
  const mayRetry = retry === 'elsewhere' || codes.filter((other) => other === code).length === 1
  const isOver = areSpent(codes) || !mayRetry
  const isWorthWaiting = model.tokens > 0 || code === 'QM_WORKER_LOST' || code === 'QM_DRAINING'
  const isInVain = !isWorthWaiting && choose(model, 'none') === undefined
  if (isOver || (isInVain && choose(model, 'lost') === undefined)) {
    end(model, verdict(model))
    return
  }
  enter(model, 'discovering')
  look(model, isInVain ? 'lost' : 'none')
}

type Certainty = 'passing' | 'lasting' | 'certain'

/** A doubt counts only where there is somewhere better to be. */
function doubt(model: Model, code: ErrorCode, certainty: Certainty): void {
  const isLeft = !areSpent([...codesOf(model).slice(0, -1), code])
  if (certainty === 'certain') fail(model, code)
  else if (isLeft && choose(model, certainty === 'lasting' ? 'lost or busy' : 'none') !== undefined)
    fail(model, code)
}

/** A position keeps a request alive only by being nearer than all before. */
function stand(model: Model, position: number): void {
  const isNearer = position < model.nearest
  model.nearest = Math.min(model.nearest, position)
  if (position === 0) enter(model, 'starting')
  else if (isNearer) enter(model, 'queued')
}

function pass(model: Model): void {
  if (model.outcome) return
  model.silenceLeftMs -= 50
  model.deadlineLeftMs -= 50
  model.lookLeftMs -= 50
  const isSilent = model.silenceLeftMs <= 0
  if (model.deadlineLeftMs <= 0 && !(isSilent && model.silenceLeftMs < model.deadlineLeftMs)) {
    end(model, 'QM_DEADLINE_PASSED')
  } else if (isSilent && model.phase === 'discovering') end(model, verdict(model))
  else if (isSilent && model.phase === 'held') end(model, 'QM_READER_TOO_SLOW')
  else if (isSilent) fail(model, model.phase === 'solving' ? 'QM_EFFORT_REQUIRED' : 'QM_WORKER_STALLED')
  else if (model.phase === 'discovering' && model.lookLeftMs <= 0) look(model)
}

type Step = fc.Command<Model, RequestRig>

const view = (rig: RequestRig) => {
  const { value, context, output } = rig.actor.getSnapshot()
  const phase = typeof value === 'string' ? value : JSON.stringify(value).match(/"(\w+)"\}+$/)?.[1]
  const outcome = output && (output.failure?.code ?? 'done')
  return { phase, codes: context.attempts.map(({ code }) => code), outcome }
}

class Do implements Step {
  readonly #name: string
  readonly #onModel: (model: Model) => void
  readonly #onReal: (rig: RequestRig) => void
  readonly #applies: (model: Model) => boolean

  constructor(
    name: string,
    onModel: (model: Model) => void,
    onReal: (rig: RequestRig) => void,
    applies: (model: Model) => boolean = () => true,
  ) {
    this.#name = name
    this.#onModel = onModel
    this.#onReal = onReal
    this.#applies = applies
  }

  // An actor that has ended takes no events; what comes then is the dispatcher's to stop, and tested there.
  check = (model: Readonly<Model>): boolean => model.outcome === undefined && this.#applies(model)

  run(model: Model, rig: RequestRig): void {
    this.#onModel(model)
    this.#onReal(rig)
    const { phase, outcome } = model
    const codes = codesOf(model)
    assert.deepStrictEqual(view(rig), { phase, codes, outcome })
    // Only the latest attempt runs, and only while the request does: an attempt that leaks would occupy a slot.
    const running = rig.attempts.filter(({ stopped }) => stopped === 0).length
    assert.equal(running, isAttempting(model) ? 1 : 0)
    const ends = rig.facts.filter(({ type }) => type === 'request.done' || type === 'request.failed')
    assert.equal(ends.length, outcome ? 1 : 0)
    const closings = rig.facts.filter(({ type }) => type === 'attempt.failed' || type === 'attempt.dropped')
    assert.equal(closings.length, codes.filter((code) => code !== undefined).length)
  }

  toString = (): string => this.#name
}

const send = (rig: RequestRig, toEvent: (attempt: number) => AttemptEvent): void => {
  const attempt = rig.attempts.length - 1
  rig.attempts[attempt]?.send(toEvent(attempt))
}

const finish: Finish = {
  reason: 'stop',
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 4,
  queuedMs: 0,
  firstTokenMs: 0,
  totalMs: 0,
}

const isWaiting = ({ phase }: Model): boolean => phase === 'opening' || phase === 'queued'
const isStreaming = ({ phase }: Model): boolean => phase === 'flowing' || phase === 'held'

const steps = [
  fc.nat(60).map((ticks) => {
    const repeat = (each: () => void): void => {
      for (let tick = 0; tick < ticks; tick++) each()
    }
    return new Do(
      `pass ${ticks * 50} ms`,
      (model) => repeat(() => pass(model)),
      (rig) => rig.pass(ticks * 50),
    )
  }),
  fc.boolean().map(
    (isTold) =>
      new Do(
        `appear ${isTold ? 'aloud' : 'silently'}`,
        (model) => {
          model.known++
          if (isTold && model.phase === 'discovering') look(model)
        },
        (rig) => {
          rig.state.known++
          if (isTold) rig.actor.send({ type: 'workers.changed' })
        },
      ),
  ),
  fc.nat(2).map(
    (position) =>
      new Do(
        `position ${position}`,
        (model) => {
          if (isWaiting(model)) stand(model, position)
        },
        (rig) =>
          send(rig, (attempt) => ({ type: 'attempt.queued', attempt, position, etaMs: 0, promptTokens: 0 })),
        isAttempting,
      ),
  ),
  fc.boolean().map(
    (isDone) =>
      new Do(
        isDone ? 'solved' : 'solve',
        (model) => {
          if (model.phase === (isDone ? 'solving' : 'opening')) enter(model, isDone ? 'opening' : 'solving')
        },
        (rig) =>
          send(rig, (attempt) =>
            isDone
              ? { type: 'attempt.solved', attempt, ms: 0 }
              : { type: 'attempt.solving', attempt, bits: 1, etaMs: 0 },
          ),
        isAttempting,
      ),
  ),
  fc.constant(
    new Do(
      'start',
      (model) => {
        model.tokens = 1
        enter(model, 'flowing')
      },
      (rig) => {
        const tokens = rig.actor.getSnapshot().context.tokens + 1
        send(rig, (attempt) => ({ type: 'attempt.started', attempt, tokens, atMs: rig.clock.now() }))
      },
      (model) => isAttempting(model) && !isStreaming(model),
    ),
  ),
  fc.constant(
    new Do(
      'progress',
      (model) => {
        if (model.phase === 'flowing') enter(model, 'flowing')
      },
      (rig) =>
        send(rig, (attempt) => ({ type: 'attempt.progressed', attempt, tokens: 2, atMs: rig.clock.now() })),
      isAttempting,
    ),
  ),
  fc.boolean().map(
    (isHeld) =>
      new Do(
        isHeld ? 'hold' : 'resume',
        (model) => {
          if (model.phase === (isHeld ? 'flowing' : 'held')) enter(model, isHeld ? 'held' : 'flowing')
        },
        (rig) => send(rig, (attempt) => ({ type: isHeld ? 'attempt.held' : 'attempt.resumed', attempt })),
        isAttempting,
      ),
  ),
  fc
    .constantFrom<ErrorCode>('QM_QUEUE_FULL', 'QM_WORKER_LOST', 'QM_CONTEXT_EXCEEDED', 'QM_WORKER_MISBEHAVED')
    .map(
      (code) =>
        new Do(
          `fail ${code}`,
          (model) => fail(model, code),
          (rig) => {
            const tokens = rig.actor.getSnapshot().context.tokens
            send(rig, (attempt) => ({ type: 'attempt.failed', attempt, code, tokens }))
          },
          isAttempting,
        ),
    ),
  fc
    .tuple(
      fc.constantFrom('QM_WORKER_LOST' as const, 'QM_DRAINING' as const),
      fc.constantFrom<Certainty>('passing', 'lasting', 'certain'),
    )
    .map(([code, certainty]) => {
      const [isLasting, isCertain] = [certainty !== 'passing', certainty === 'certain']
      return new Do(
        `${certainty} doubt ${code}`,
        (model) => doubt(model, code, certainty),
        (rig) => send(rig, (attempt) => ({ type: 'attempt.doubted', attempt, code, isLasting, isCertain })),
        isAttempting,
      )
    }),
  fc.constant(
    new Do(
      'finish',
      (model) => end(model, 'done'),
      (rig) => send(rig, (attempt) => ({ type: 'attempt.finished', attempt, finish })),
      isAttempting,
    ),
  ),
  fc.constant(
    new Do(
      'stale',
      () => {},
      (rig) => {
        rig.actor.send({ type: 'attempt.finished', attempt: rig.attempts.length, finish })
        rig.actor.send({
          type: 'attempt.failed',
          attempt: rig.attempts.length - 2,
          code: 'QM_INTERNAL',
          tokens: 0,
        })
      },
    ),
  ),
  fc.constant(
    new Do(
      'cancel',
      (model) => end(model, 'QM_CANCELLED'),
      (rig) => rig.actor.send({ type: 'request.cancel' }),
    ),
  ),
]

/** Steps that keep a request going come more often than those that end it: deep histories are the interesting ones. */
const [pass50, appear, position, start, progress, hold, ...ending] = steps
const weighted = [
  ...ending,
  ...Array.from({ length: 4 }, () => [pass50, appear, position, start, progress, hold]).flat(),
]

test('the request machine does what a model without machine does', () => {
  const check = (): void =>
    fc.assert(
      fc.property(
        fc.nat(3),
        fc.commands(
          weighted.filter((step) => step !== undefined),
          { maxCommands: 40, size: 'max' },
        ),
        (known, commands) => {
          fc.modelRun(
            () => ({
              model: initialModel(known),
              real: createRequestRig({ attemptsMax }, known),
            }),
            commands,
          )
        },
      ),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 500) },
    )
  expect(check).not.toThrow()
})
