import { explain, replay, type Reasons, type SelectionTrace } from '../../machines/selection/index.ts'
import { reasonsMax, type ChoiceExplanation, type WhyOptions } from './request-explanation.ts'

const ranks = ['chosen', 'in-band', 'below-band', 'later'] as const

const rankOf = (reason: Reasons): number =>
  'rejected' in reason ? ranks.length : ranks.indexOf(reason.standing)
const scoreOf = (reason: Reasons): number => ('rejected' in reason ? 0 : reason.score)

/** What a choice came from, for people: the best first. */
export function explainChoice(trace: SelectionTrace, options: WhyOptions = {}): ChoiceExplanation {
  const { workerId, manner, seed, reasons } = explain(trace)
  return {
    workerId,
    manner,
    seed,
    known: reasons.length,
    reasons: reasons
      .toSorted((a, b) => rankOf(a) - rankOf(b) || scoreOf(b) - scoreOf(a))
      .slice(0, reasonsMax)
      .map((reason) => ('rejected' in reason ? reason : { ...reason, terms: { ...reason.terms } })),
    ...(options.replay && { isReproduced: isReproduced(trace) }),
  }
}

function isReproduced(trace: SelectionTrace): boolean {
  const { trace: again } = replay(trace)
  return again.workerId === trace.workerId && again.modelId === trace.modelId && again.manner === trace.manner
}
