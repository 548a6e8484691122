import type { ErrorCode } from '../../protocol/index.ts'
import type { Rejection } from './candidate.ts'
import { explain } from './explain.ts'
import type { SelectionTrace } from './select.ts'

/** Why nobody was chosen, in the words of the error that a request ends with. */
export interface NoChoice {
  readonly code: Extract<ErrorCode, 'QM_NO_WORKERS' | 'QM_OVERLOADED' | 'QM_QUEUE_FULL'>
  /** Workers that hold what was asked for, by the reason they are out. */
  readonly barred: ReadonlyMap<Rejection, number>
}

/** Reasons that say that a worker does not hold what was asked for: it was never a candidate. */
const strangers: ReadonlySet<Rejection> = new Set([
  'protocol',
  'model',
  'model-hash',
  'model-kind',
  'context',
  'tools',
  'excluded',
])
const full: readonly Rejection[] = ['queue-full', 'at-limit']
const busy: readonly Rejection[] = ['overloaded', 'not-accepting', 'refused-lately']

/** Nobody there, everybody busy, and everybody full are different troubles, and only the first is about finding. */
export function explainNoChoice(trace: SelectionTrace): NoChoice {
  const barred = new Map<Rejection, number>()
  for (const reason of explain(trace).reasons) {
    if (!('rejected' in reason) || strangers.has(reason.rejected)) continue
    barred.set(reason.rejected, (barred.get(reason.rejected) ?? 0) + 1)
  }
  const has = (reasons: readonly Rejection[]): boolean => reasons.some((reason) => barred.has(reason))
  const code = has(full) ? 'QM_QUEUE_FULL' : has(busy) ? 'QM_OVERLOADED' : 'QM_NO_WORKERS'
  return { code, barred }
}
