import {
  errorCatalogue,
  type ErrorCode,
  type ModelHash,
  type ModelId,
  type PeerId,
} from '../../protocol/index.ts'

/** One try at one worker, kept for the reader's result and for "why". */
export interface AttemptRecord {
  readonly workerId: PeerId
  readonly modelId: ModelId
  readonly modelHash: ModelHash
  /** Tokens of prompt and answer that the worker said its model holds. */
  readonly contextTokens: number
  /** When it began, on the clock of the request's `now`. */
  readonly atMs: number
  /** Why it ended; absent while it runs and when it answered. */
  readonly code?: ErrorCode | undefined
  readonly message?: string | undefined
  readonly retryAfterMs?: number | undefined
}

export interface Failure {
  readonly code: ErrorCode
  readonly message?: string | undefined
  readonly retryAfterMs?: number | undefined
}

/** A worker's `never` counts only when this many workers say it: one liar must not end a request. */
const opinionsForNever = 2

/** Codes that a worker may answer a prompt with. Any other would let it speak for the client, e.g. `QM_CANCELLED`. */
const workerCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'QM_MESSAGE_INVALID',
  'QM_MESSAGE_UNEXPECTED',
  'QM_FRAME_NOT_JSON',
  'QM_FRAME_TOO_LONG',
  'QM_TOO_MANY_VIOLATIONS',
  'QM_MODEL_UNKNOWN',
  'QM_MODEL_KIND',
  'QM_CONTEXT_EXCEEDED',
  'QM_JSON_SCHEMA_INVALID',
  'QM_CHAT_TEMPLATE_FAILED',
  'QM_RESUME_INVALID',
  'QM_DUPLICATE_REQUEST',
  'QM_OFFER_INVALID',
  'QM_EVIDENCE_INVALID',
  'QM_ACCOUNT_BANNED',
  'QM_QUEUE_FULL',
  'QM_RATE_LIMITED',
  'QM_EFFORT_REQUIRED',
  'QM_OVERLOADED',
  'QM_DRAINING',
  'QM_DEADLINE_PASSED',
  'QM_READER_TOO_SLOW',
  'QM_INFERENCE_FAILED',
  'QM_ENGINE_CRASHED',
  'QM_ENGINE_HUNG',
])

/** What a worker's word is taken for: a code that is not a worker's to say is itself a misbehaviour. */
export const toWorkerCode = (code: ErrorCode): ErrorCode =>
  workerCodes.has(code) ? code : 'QM_WORKER_MISBEHAVED'

export interface Standstill {
  /** Every attempt so far, the one that just failed last, with its code. */
  readonly attempts: readonly AttemptRecord[]
  readonly attemptsMax: number
  /** Whether a worker is left whose context is larger than all that were too small. Absent: none is. */
  readonly hasLarger?: () => boolean
}

/** The largest context of those that were too small, in tokens; 0 when none was. */
export const toSmallContext = (attempts: readonly AttemptRecord[]): number =>
  Math.max(
    0,
    ...attempts
      .filter(({ code }) => code === 'QM_CONTEXT_EXCEEDED')
      .map(({ contextTokens }) => contextTokens),
  )

/** Attempts that ended with nothing but a lost connection, for each one that counts. */
const lostPerAttemptMax = 4

/**
 * Whether the attempts are spent. A connection that is lost tells more about the network than about the request: when all
 * of a client's break at once, trying each worker once more must not be the end of it.
 */
export function areSpent(attempts: readonly AttemptRecord[], attemptsMax: number): boolean {
  const counting = attempts.filter(({ code }) => code !== 'QM_WORKER_LOST')
  return counting.length >= attemptsMax || attempts.length >= lostPerAttemptMax * attemptsMax
}

const patienceMax = 8

/**
 * Times the usual silence that the next worker is believed. When one after the other seems to be gone it is this
 * client's own network or computer that stands still, and running through all workers would not help.
 */
export const toPatience = (attempts: readonly AttemptRecord[]): number =>
  Math.min(patienceMax, 2 ** attempts.filter(({ code }) => code === 'QM_WORKER_LOST').length)

/** The worker was lost, not the request: it may come back, or another come. */
const lostCodes: readonly ErrorCode[] = [
  'QM_WORKER_LOST',
  'QM_DRAINING',
  'QM_ENGINE_CRASHED',
  'QM_ENGINE_HUNG',
  // It offered the model, and has lost it: while it loads it again.
  'QM_MODEL_UNKNOWN',
]

/**
 * Whether a request that finds nobody else, and none of those it lost back again, fails at once. An answer that was
 * begun is worth waiting for. Without one, a refusal or a failure is said at once, and whoever asked decides whether to
 * ask again.
 */
export function isInVain(attempts: readonly AttemptRecord[], tokens: number): boolean {
  const code = attempts.at(-1)?.code
  return tokens === 0 && code !== undefined && !lostCodes.includes(code)
}

/**
 * Where a failed attempt leads. Another worker costs the reader nothing before the first token, and after it only the
 * time in which that worker reads what there is: it goes on where this one stopped.
 */
export function nextStep({ attempts, attemptsMax, hasLarger }: Standstill): 'elsewhere' | 'fail' {
  const code = attempts.at(-1)?.code ?? 'QM_INTERNAL'
  if (areSpent(attempts, attemptsMax)) return 'fail'
  const { retry } = errorCatalogue[code]
  if (retry === 'elsewhere') return 'elsewhere'
  if (!workerCodes.has(code)) return 'fail'
  // What is too long for the small may fit the large: theirs is the opinion that counts.
  if (code === 'QM_CONTEXT_EXCEEDED' && hasLarger?.()) return 'elsewhere'
  return attempts.filter((attempt) => attempt.code === code).length < opinionsForNever ? 'elsewhere' : 'fail'
}

/** Which of the workers that were tried a search takes again, by how their attempts ended. */
const takenAgain = {
  none: new Set<ErrorCode>(),
  /** They may be back meanwhile. */
  lost: new Set(lostCodes),
  /** When there is no other: it was not their work that failed. */
  'lost or busy': new Set<ErrorCode>([
    ...lostCodes,
    'QM_OVERLOADED',
    'QM_QUEUE_FULL',
    'QM_RATE_LIMITED',
    // It may ask for less by then.
    'QM_EFFORT_REQUIRED',
  ]),
} as const satisfies Record<string, ReadonlySet<ErrorCode>>
export type Again = keyof typeof takenAgain

/** Workers that are left out of the next choice. */
export const toExcluded = (attempts: readonly AttemptRecord[], again: Again): ReadonlySet<PeerId> =>
  new Set(
    attempts
      .filter(({ code }) => code === undefined || !takenAgain[again].has(code))
      .map(({ workerId }) => workerId),
  )

/**
 * What the reader is told when no worker is left or the attempts are spent: the workers' own code when they agree or
 * when the last word was a verdict on the request itself, `QM_ATTEMPTS_EXHAUSTED` with every reason otherwise.
 */
export function toFailure(attempts: readonly AttemptRecord[], tokens: number): Failure {
  const last = attempts.at(-1)
  if (!last?.code) return { code: 'QM_NO_WORKERS' }
  const retryAfterMs = earliestRetry(attempts)
  const isAgreed = attempts.every(({ code }) => code === last.code)
  if (errorCatalogue[last.code].retry === 'never' || (isAgreed && tokens === 0)) {
    return { code: last.code, message: last.message, retryAfterMs }
  }
  const reasons = attempts.map(({ workerId, code }) => `${workerId.slice(0, 8)}… ${code ?? 'unknown'}`)
  if (tokens > 0) {
    return {
      code: last.code,
      message:
        `No other worker could go on after ${tokens} tokens (${reasons.join(', ')}): ` +
        (last.message ?? errorCatalogue[last.code].sentence),
      retryAfterMs,
    }
  }
  return {
    code: 'QM_ATTEMPTS_EXHAUSTED',
    message: `Every worker that was tried refused or failed: ${reasons.join(', ')}.`,
    retryAfterMs,
  }
}

function earliestRetry(attempts: readonly AttemptRecord[]): number | undefined {
  const hints = attempts.flatMap(({ retryAfterMs }) => (retryAfterMs === undefined ? [] : [retryAfterMs]))
  return hints.length > 0 ? Math.min(...hints) : undefined
}
