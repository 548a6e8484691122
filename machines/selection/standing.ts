import { errorCatalogue, limits, type ErrorCode } from '../../protocol/index.ts'

/**
 * What this client holds against a worker, from its own experience alone. A value: every event makes a new one.
 *
 * The breaker is closed at first, open after `standingTerms.failuresMax` failures in a row, and half-open when its
 * time is over: then one request at a time goes through as a probe. A success closes it; a failure opens it for twice
 * as long, up to a bound. Refusals are no fault, but a worker that always refuses would look just as idle as one that
 * always fails, so each refusal after another doubles a pause, and after a few only one request at a time goes there.
 */
export interface Standing {
  /** Failures as queued requests, as of `failureAtMs`; it halves every half-life. */
  readonly failureLoad: number
  readonly failureAtMs: number
  readonly failuresInRow: number
  /** How often the breaker opened without a success in between; 0 while closed. */
  readonly openings: number
  readonly isOpen: boolean
  readonly openUntilMs: number
  /** When the probe under way began; undefined without one. */
  readonly probeSinceMs: number | undefined
  readonly refusalsInRow: number
  /** Requests in a row of which it said that they are the client's own fault. */
  readonly verdictsInRow: number
  readonly pausedUntilMs: number
  /** Requests at once that a worker is trusted with; what is open beyond counts as queued. Grows by success. */
  readonly allowance: number
}

export const standingTerms = {
  /** Failures in a row that open the breaker. */
  failuresMax: 3,
  openMs: { first: 5_000, max: 300_000 },
  /** A probe of which nothing was heard for so long is given up. */
  probeMsMax: 600_000,
  /** Queued requests that one failure counts for, and for how long. */
  failureWork: 4,
  failureWorkMax: 400,
  failureHalfLifeMs: 30_000,
  pauseMs: { first: 500, max: 30_000 },
  /** Refusals in a row after which it gets one request at a time. */
  refusalsMax: 3,
  /** Verdicts in a row that are believed. */
  verdictsMax: 3,
  /** Pause after each one beyond that others share: short, for it is probably the client after all. */
  verdictPauseMs: 2_000,
  allowance: { first: 4, max: 64 },
} as const

export const freshStanding: Standing = {
  failureLoad: 0,
  failureAtMs: 0,
  failuresInRow: 0,
  openings: 0,
  isOpen: false,
  openUntilMs: 0,
  probeSinceMs: undefined,
  refusalsInRow: 0,
  verdictsInRow: 0,
  pausedUntilMs: 0,
  allowance: standingTerms.allowance.first,
}

/** Below this, queued work is the rest of something long past. */
const negligibleWork = 0.5

/** Queued requests that past failures still count for. */
export function failureWork({ failureLoad, failureAtMs }: Standing, nowMs: number): number {
  if (failureLoad === 0) return 0
  const work = failureLoad * 2 ** (-Math.max(0, nowMs - failureAtMs) / standingTerms.failureHalfLifeMs)
  return work < negligibleWork ? 0 : work
}

/** Whether a request may go there: `undefined`, or why not. */
export type Barrier = 'breaker-open' | 'probe-under-way' | 'refused-lately'

export function barrier(standing: Standing, nowMs: number): Barrier | undefined {
  if (standing.isOpen) {
    if (nowMs < standing.openUntilMs) return 'breaker-open'
    const { probeSinceMs } = standing
    if (probeSinceMs !== undefined && nowMs - probeSinceMs < standingTerms.probeMsMax)
      return 'probe-under-way'
  }
  return nowMs < standing.pausedUntilMs ? 'refused-lately' : undefined
}

/** Requests that it may have open: few once it has turned several down in a row, until it has answered one. */
export function openMax({ refusalsInRow, verdictsInRow, allowance }: Standing): number {
  const { refusalsMax, verdictsMax } = standingTerms
  if (refusalsInRow >= refusalsMax) return 1
  return refusalsInRow > 0 || verdictsInRow > verdictsMax ? allowance : limits.requestsPerPeerMax
}

/** When the barrier opens by itself, in milliseconds of the clock. */
export const barrierEndMs = (standing: Standing): number =>
  Math.max(
    standing.pausedUntilMs,
    standing.isOpen ? standing.openUntilMs : 0,
    standing.probeSinceMs === undefined ? 0 : standing.probeSinceMs + standingTerms.probeMsMax,
  )

export const afterStart = (standing: Standing, nowMs: number): Standing =>
  standing.isOpen ? { ...standing, probeSinceMs: nowMs } : standing

export const afterSuccess = (standing: Standing): Standing => ({
  ...standing,
  failuresInRow: 0,
  openings: 0,
  isOpen: false,
  openUntilMs: 0,
  probeSinceMs: undefined,
  refusalsInRow: 0,
  verdictsInRow: 0,
  pausedUntilMs: 0,
  allowance: Math.min(standingTerms.allowance.max, standing.allowance + 1),
})

/** The client went away: nothing was learnt. A probe's turn is over all the same, or probing would have no bound. */
export const afterCancel = (standing: Standing): Standing =>
  standing.probeSinceMs === undefined
    ? standing
    : {
        ...standing,
        probeSinceMs: undefined,
        openUntilMs: Math.max(standing.openUntilMs, standing.probeSinceMs + standingTerms.openMs.first),
      }

const doubled = ({ first, max }: { readonly first: number; readonly max: number }, times: number): number =>
  Math.min(max, first * 2 ** Math.min(times, 30))

function afterOwnFailure(standing: Standing, nowMs: number): Standing {
  const failuresInRow = standing.failuresInRow + 1
  // Sent before the breaker opened: one crash that takes many requests along is no more than the three that opened it.
  if (standing.isOpen && standing.probeSinceMs === undefined) return { ...standing, failuresInRow }
  const failureLoad = failureWork(standing, nowMs) + standingTerms.failureWork
  const failed: Standing = {
    ...standing,
    failuresInRow,
    failureLoad: Math.min(standingTerms.failureWorkMax, failureLoad),
    failureAtMs: nowMs,
    allowance: Math.max(1, Math.floor(standing.allowance / 2)),
  }
  // Once it is open, only a failed probe opens it for longer.
  if (!standing.isOpen && failuresInRow < standingTerms.failuresMax) return failed
  return {
    ...failed,
    isOpen: true,
    openings: standing.openings + 1,
    openUntilMs: nowMs + doubled(standingTerms.openMs, standing.openings),
    probeSinceMs: undefined,
  }
}

function afterRefusal(standing: Standing, nowMs: number, retryAfterMs: number): Standing {
  const { first, max } = standingTerms.pauseMs
  // Several refused at once are one refusal: they were sent before the first was known.
  const again = nowMs >= standing.pausedUntilMs
  const refusalsInRow = standing.refusalsInRow + (again ? 1 : 0)
  const pauseMs = Math.max(doubled({ first, max }, refusalsInRow - 1), Math.min(max, retryAfterMs))
  return {
    ...afterCancel(standing),
    refusalsInRow,
    pausedUntilMs: again ? nowMs + pauseMs : standing.pausedUntilMs,
  }
}

/** What an error says about the worker. `verdict`: it blames the client. */
export type Judgement = 'failure' | 'refusal' | 'verdict' | 'nothing'

/** Codes that only this client gives itself: no worker's word, and no news about one. */
const ownCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'QM_CANCELLED',
  'QM_TOO_MANY_REQUESTS',
  'QM_REQUEST_INVALID',
  'QM_REQUEST_UNKNOWN',
  'QM_NODE_STOPPED',
])

/** A worker is only asked for models that it advertises, of the kind that it advertises: it was mistaken itself. */
const mistaken: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['QM_MODEL_UNKNOWN', 'QM_MODEL_KIND'])

/** By the catalogue's blame, with the exception of `mistaken`, which counts as a refusal. */
export function judge(code: ErrorCode): Judgement {
  if (ownCodes.has(code)) return 'nothing'
  const { blame } = errorCatalogue[code]
  if (blame === 'worker') return 'failure'
  return blame === 'client' && !mistaken.has(code) ? 'verdict' : 'refusal'
}

/**
 * A client may be wrong a few times. A worker that finds every request wrong is a black hole with an excuse: where
 * others answer the same client, each further verdict is a refusal, with pauses that double.
 */
function afterVerdict(standing: Standing, nowMs: number, isOdd: boolean): Standing {
  const { verdictsMax, verdictPauseMs } = standingTerms
  // As with refusals: what was sent before the first one was known is one verdict with it.
  const isNews = nowMs >= standing.pausedUntilMs
  const verdictsInRow = standing.verdictsInRow + (isNews ? 1 : 0)
  const judged: Standing = { ...afterCancel(standing), verdictsInRow }
  if (!isNews || verdictsInRow <= verdictsMax) return judged
  return isOdd ? afterRefusal(judged, nowMs, 0) : { ...judged, pausedUntilMs: nowMs + verdictPauseMs }
}

export interface FailureNews {
  /** What the worker asked for; bounded, because a worker must not be able to hide for ever. */
  readonly retryAfterMs?: number
  /** Whether others answer this client while this worker blames it. */
  readonly isOdd?: boolean
}

export function afterFailure(
  standing: Standing,
  code: ErrorCode,
  nowMs: number,
  { retryAfterMs = 0, isOdd = false }: FailureNews = {},
): Standing {
  switch (judge(code)) {
    case 'failure':
      return afterOwnFailure(standing, nowMs)
    case 'refusal':
      return afterRefusal(standing, nowMs, retryAfterMs)
    case 'verdict':
      return afterVerdict(standing, nowMs, isOdd)
    case 'nothing':
      return afterCancel(standing)
  }
}
