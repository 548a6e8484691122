import { tiers, type Tier } from '../../machines/scheduling/index.ts'
import type { DemoFacts, HandoverFacts } from './facts.ts'
import {
  allQuestions,
  isAnswered,
  judge,
  ofTier,
  range,
  seconds,
  waitedMs,
  type Verdict,
} from './promises.ts'

/** What the demo ends with; as JSON it is this very object. */
export interface DemoSummary {
  readonly isKept: boolean
  readonly seed: number
  readonly totalMs: number
  readonly questions: { readonly asked: number; readonly answered: number; readonly tokens: number }
  readonly stream: {
    readonly tokens: number
    readonly handovers: readonly HandoverFacts[]
    readonly isSame: boolean
    readonly text: string
  }
  readonly hostile: { readonly requests: number; readonly shutOutBy: readonly string[] }
  /** Milliseconds from a question to its first token while all asked at once, by tier. */
  readonly waits: readonly {
    readonly tier: Tier
    readonly questions: number
    readonly meanMs: number
    readonly longestMs: number
  }[]
  readonly promises: readonly Verdict[]
}

export function summarize(facts: DemoFacts): DemoSummary {
  const { seed, totalMs, crowd, reference, stream, hostile } = facts
  const questions = allQuestions(facts)
  const promises = judge(facts)
  const waits = tiers.flatMap((tier) => {
    const waited = ofTier(crowd, tier).flatMap((question) => waitedMs(question) ?? [])
    if (waited.length === 0) return []
    const meanMs = Math.round(waited.reduce((sum, ms) => sum + ms, 0) / waited.length)
    return [{ tier, questions: waited.length, meanMs, longestMs: Math.round(Math.max(...waited)) }]
  })
  return {
    isKept: promises.every(({ isKept }) => isKept),
    seed,
    totalMs: Math.round(totalMs),
    questions: {
      asked: questions.length,
      answered: questions.filter(isAnswered).length,
      tokens: questions.reduce((sum, { tokens }) => sum + tokens.length, 0),
    },
    stream: {
      tokens: stream.tokens.length,
      handovers: (stream.answer?.handovers ?? []).map((handover) => ({
        ...handover,
        gapMs: Math.round(handover.gapMs),
      })),
      isSame: stream.text === reference.text,
      text: stream.text,
    },
    hostile,
    waits,
    promises,
  }
}

const tierName = (tier: Tier): string => `${tier.slice(0, 1).toUpperCase()}${tier.slice(1)}`

/** The summary for people. */
export function toLines(facts: DemoFacts): readonly string[] {
  const { questions, waits, promises, totalMs, seed } = summarize(facts)
  const waited = waits.map(({ tier, questions: count, meanMs }) => {
    const which = `${tierName(tier)} ${range(ofTier(facts.crowd, tier))}`
    return count > 1 ? `${which} (${count}, mean ${seconds(meanMs)})` : which
  })
  const broken = promises.filter(({ isKept }) => !isKept).length
  return [
    ...promises.flatMap(({ promise, isKept, measured }) => [
      `${isKept ? '✓' : '✗'} ${promise}`,
      `  ${measured}`,
    ]),
    '',
    `first token after: ${waited.join(', ')}`,
    `${questions.answered} of ${questions.asked} questions answered, ${questions.tokens} tokens, ${seconds(totalMs)} in all (seed ${seed})`,
    broken === 0
      ? 'every promise was kept'
      : `${broken} of ${promises.length} promises ${broken === 1 ? 'was' : 'were'} BROKEN`,
  ]
}
