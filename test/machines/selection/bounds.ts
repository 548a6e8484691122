import { limits, type ErrorCode } from '../../../protocol/index.ts'
import type { Candidate } from '../../../machines/selection/candidate.ts'
import { explain } from '../../../machines/selection/explain.ts'
import type { SelectionTrace } from '../../../machines/selection/select.ts'
import { standingTerms } from '../../../machines/selection/standing.ts'

/** How a worker turns down everything it gets. `shared-verdict`: nobody else answers the client either. */
export type Manner = 'failure' | 'refusal' | 'verdict' | 'shared-verdict' | 'mixed'

export const codesOf: Readonly<Record<Manner, readonly [ErrorCode, ...ErrorCode[]]>> = {
  failure: ['QM_INFERENCE_FAILED', 'QM_ENGINE_CRASHED', 'QM_WORKER_LOST', 'QM_WORKER_STALLED'],
  refusal: [
    'QM_QUEUE_FULL',
    'QM_OVERLOADED',
    'QM_MODEL_UNKNOWN',
    'QM_INTERNAL',
    'QM_RATE_LIMITED',
    'QM_DRAINING',
  ],
  verdict: ['QM_CONTEXT_EXCEEDED', 'QM_DEADLINE_PASSED', 'QM_JSON_SCHEMA_INVALID', 'QM_READER_TOO_SLOW'],
  'shared-verdict': ['QM_CONTEXT_EXCEEDED', 'QM_CHAT_TEMPLATE_FAILED', 'QM_RESUME_INVALID'],
  mixed: ['QM_INFERENCE_FAILED', 'QM_QUEUE_FULL', 'QM_CONTEXT_EXCEEDED'],
}

interface Growing {
  readonly first: number
  readonly max: number
}

/** Times that a wait doubles until it is as long as it gets. */
const doublings = ({ first, max }: Growing): number => Math.ceil(Math.log2(max / first))

/** Turns in a window when each waits for the one before and for a time that doubles. */
const turns = (wait: Growing, windowMs: number): number => doublings(wait) + 2 + windowMs / wait.max

/**
 * Requests that one client gives, in any window of so many milliseconds, to a worker that answers none of them.
 * @param atOnce how many it may have open: what the wire allows, or less where somebody else is free.
 */
export function requestsMax(
  manner: Manner,
  windowMs: number,
  atOnce: number = limits.requestsPerPeerMax,
): number {
  const { failuresMax, refusalsMax, verdictsMax, verdictPauseMs, openMs, pauseMs, allowance } = standingTerms
  switch (manner) {
    case 'failure':
      return atOnce + (failuresMax - 1) + turns(openMs, windowMs)
    case 'refusal':
      return atOnce + allowance.first * (refusalsMax - 1) + turns(pauseMs, windowMs)
    case 'verdict':
      return atOnce + verdictsMax + allowance.first * refusalsMax + turns(pauseMs, windowMs)
    case 'shared-verdict':
      return atOnce + verdictsMax + allowance.first * (windowMs / verdictPauseMs + 1)
    case 'mixed':
      return (
        requestsMax('failure', windowMs, atOnce) +
        requestsMax('refusal', windowMs, atOnce) +
        requestsMax('verdict', windowMs, atOnce)
      )
  }
}

/** What a worker gets at once while somebody else has nothing waiting: it has answered nothing to be trusted with more. */
export const atOnceBesideIdle = standingTerms.allowance.first + 1

/** The most of these ascending times that lie within one window. */
export function busiestWindow(timesMs: readonly number[], windowMs: number): number {
  let most = 0
  let from = 0
  for (let to = 0; to < timesMs.length; to++) {
    while ((timesMs[to] ?? 0) - (timesMs[from] ?? 0) >= windowMs) from++
    most = Math.max(most, to - from + 1)
  }
  return most
}

/**
 * The most that one of `places` gets when so many throw one die each: by Chernoff's bound, the chance that any gets more
 * is below one in 10¹².
 */
export function diceMax(throws: number, places: number): number {
  const mean = 1 / places
  const isLikely = (most: number): boolean => {
    const part = most / throws
    const rest = part < 1 ? (1 - part) * Math.log((1 - part) / (1 - mean)) : 0
    return places * Math.exp(-throws * (part * Math.log(part / mean) + rest)) > 1e-12
  }
  let most = Math.ceil(throws * mean)
  while (most < throws && isLikely(most + 1)) most++
  return most
}

const openAt = ({ load, unreported }: Candidate): number => load.slotsBusy + load.queueLength + unreported
const slotsOf = ({ load }: Candidate): number => Math.max(1, load.slots)

/**
 * How far a conversation's worker is above 1.25 times the mean of the band, the new request counted in, by all that the
 * client knew: 0 or less is within the bound.
 */
export function affinityExcess(trace: SelectionTrace): number {
  const band = new Set(
    explain(trace).reasons.flatMap((row) =>
      'standing' in row && ['chosen', 'in-band'].includes(row.standing) ? [row.workerId] : [],
    ),
  )
  const members = trace.candidates.filter(({ workerId }) => band.has(workerId))
  const chosen = members.find(({ workerId }) => workerId === trace.workerId)
  if (chosen === undefined) return Infinity
  const open = members.reduce((sum, member) => sum + openAt(member), 1)
  const slots = members.reduce((sum, member) => sum + slotsOf(member), 0)
  return openAt(chosen) + 1 - Math.ceil((1.25 * open * slotsOf(chosen)) / slots)
}
