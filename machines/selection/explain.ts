import type { PeerId } from '../../protocol/index.ts'
import { isLoadable, type Rejection } from './candidate.ts'
import {
  assess,
  effortMsOf,
  groups,
  queueAvailability,
  selectionTerms,
  type Manner,
  type SelectionTrace,
} from './select.ts'

/** One candidate's part in a choice. */
export type Reasons =
  | { readonly workerId: PeerId; readonly rejected: Rejection }
  | {
      readonly workerId: PeerId
      readonly modelId: string
      /** `later` when a group before it was not empty. */
      readonly standing: 'chosen' | 'in-band' | 'below-band' | 'later'
      readonly group: (typeof groups)[number]
      readonly score: number
      readonly terms: {
        readonly health: number
        readonly responsiveness: number
        readonly performance: number
        readonly queueAvailability: number
        /** Waiting requests, ours and failures counted in. */
        readonly queued: number
        /** Milliseconds that loading the model takes first; absent when it is loaded. */
        readonly loadMs?: number
        /** Zero bits that it asks for, and the milliseconds that they are likely to take; absent when it asks for none. */
        readonly effortBits?: number
        readonly effortMs?: number
      }
    }

export interface Explanation {
  readonly workerId: PeerId | null
  readonly manner: Manner | null
  readonly seed: number
  readonly reasons: readonly Reasons[]
}

/** Works out, for people, why a choice was made: for each candidate the reason it is out, or every term of its score. */
export function explain(trace: SelectionTrace): Explanation {
  const excluded = new Set(trace.query.exclude)
  const rows = trace.candidates.map((candidate) => ({
    candidate,
    result: excluded.has(candidate.workerId)
      ? ('excluded' as const)
      : assess(candidate, trace.query, trace.atMs),
  }))
  const assessed = rows.flatMap(({ result }) => (typeof result === 'string' ? [] : [result]))
  const group = Math.min(...assessed.map((assessment) => assessment.group))
  const best = Math.max(0, ...assessed.filter((one) => one.group === group).map(({ score }) => score))
  const reasons = rows.map(({ candidate, result }): Reasons => {
    const { workerId, load, speed } = candidate
    if (typeof result === 'string') return { workerId, rejected: result }
    const inBand = result.score >= best * (1 - selectionTerms.band)
    return {
      workerId,
      modelId: result.model.id,
      standing:
        workerId === trace.workerId
          ? 'chosen'
          : result.group > group
            ? 'later'
            : inBand
              ? 'in-band'
              : 'below-band',
      group: groups[result.group % groups.length] ?? 'queued',
      score: result.score,
      terms: {
        health: load.healthScore / 100,
        responsiveness: speed.responsiveness,
        performance: speed.performance,
        queueAvailability: queueAvailability(candidate, result.queued),
        queued: result.queued,
        ...(isLoadable(result.model) && { loadMs: result.model.loadMs ?? 0 }),
        ...(load.effortBits && { effortBits: load.effortBits, effortMs: effortMsOf(candidate) }),
      },
    }
  })
  return { workerId: trace.workerId, manner: trace.manner, seed: trace.seed, reasons }
}
