import type { Tier } from '../../machines/scheduling/index.ts'
import type { DemoFacts, QuestionFacts } from './facts.ts'

/** Something QMesh promises, and whether the demo saw it kept. */
export interface Verdict {
  readonly promise: string
  readonly isKept: boolean
  /** The numbers behind it, and what is wrong if it was broken. */
  readonly measured: string
}

/** Milliseconds by which the first tokens of two requests that began together may come in another order. */
const blurMs = 150
/** Failures of a worker after which a client asks it no more. */
const failuresMax = 3
/** How much earlier than a Master a Bronze may have come and still be overtaken: a little less than its head start. */
const sameTimeMs = 4_500

export const judge = (facts: DemoFacts): readonly Verdict[] => [
  judgeStream(facts),
  judgeTokens(facts),
  judgeHostile(facts),
  judgeTiers(facts),
]

export const isAnswered = ({ answer }: QuestionFacts): boolean => answer !== undefined

export const allQuestions = ({ crowd, reference, stream }: DemoFacts): readonly QuestionFacts[] => [
  ...crowd,
  reference,
  stream,
]

/** Milliseconds from the question to its first token. */
export const waitedMs = ({ askedAtMs, firstTokenAtMs }: QuestionFacts): number | undefined =>
  firstTokenAtMs === undefined ? undefined : firstTokenAtMs - askedAtMs

export const ofTier = (questions: readonly QuestionFacts[], tier: Tier): readonly QuestionFacts[] =>
  questions.filter((question) => question.tier === tier)

function judgeStream({ reference, stream }: DemoFacts): Verdict {
  const handovers = stream.answer?.handovers ?? []
  const isSame = stream.text === reference.text && stream.tokens.join() === reference.tokens.join()
  const isKept = isAnswered(reference) && isAnswered(stream) && handovers.length > 0 && isSame
  const [first] = handovers
  const wrong = stream.failure
    ? `it failed with ${stream.failure.code}`
    : reference.failure
      ? `the undisturbed one failed with ${reference.failure.code}`
      : first
        ? 'the two answers differ'
        : 'it was over before its worker died'
  const gaps = handovers.map(
    ({ from, to, afterTokens, gapMs }) =>
      `${from} was lost after ${afterTokens} of ${stream.tokens.length} tokens, ${to} went on ${Math.round(gapMs)} ms later`,
  )
  return {
    promise: 'A stream survives its worker, and is the answer it would have been',
    isKept,
    measured: [...(isKept ? [] : [wrong]), ...gaps].join('; '),
  }
}

function judgeTokens(facts: DemoFacts): Verdict {
  const answered = allQuestions(facts).filter(isAnswered)
  const wrong = answered.filter(
    ({ answer, tokens, text }) => answer?.completionTokens !== tokens.length || answer.text !== text,
  )
  const received = answered.reduce((sum, { tokens }) => sum + tokens.length, 0)
  const sent = answered.reduce((sum, { answer }) => sum + (answer?.completionTokens ?? 0), 0)
  return {
    promise: 'No token is lost or comes twice',
    isKept: answered.length > 0 && wrong.length === 0,
    measured:
      `${received} of ${sent} tokens in ${answered.length} answers` +
      (wrong.length > 0 ? `; ${wrong.length} of them do not add up` : ''),
  }
}

function judgeHostile(facts: DemoFacts): Verdict {
  const questions = allQuestions(facts)
  const { requests, shutOutBy } = facts.hostile
  const unanswered = questions.filter((question) => !isAnswered(question))
  const isItsAnswer = ({ attempts }: QuestionFacts): boolean =>
    attempts.some(({ worker, code }) => worker === 'hostile' && code === undefined)
  const believed = questions.filter(isItsAnswer)
  const fallen = new Map<string, number>()
  for (const { client, attempts } of questions) {
    const failures = attempts.filter(({ worker }) => worker === 'hostile').length
    fallen.set(client, (fallen.get(client) ?? 0) + failures)
  }
  const mustShutOut = [...fallen].filter(([, failures]) => failures >= failuresMax).map(([client]) => client)
  const isShutOut = mustShutOut.every((client) => shutOutBy.some((other) => other === client))
  const codes = unanswered.map(({ client, failure }) => `${client} got ${failure?.code ?? 'nothing'}`)
  return {
    promise: 'A worker that cheats costs nobody an answer, and is shut out',
    isKept:
      requests > 0 && unanswered.length === 0 && believed.length === 0 && shutOutBy.length > 0 && isShutOut,
    measured: [
      `${questions.length - unanswered.length} of ${questions.length} questions answered`,
      ...codes,
      `it got ${requests} requests, answered ${believed.length} and was shut out by ${list(shutOutBy)}`,
    ].join('; '),
  }
}

function judgeTiers({ crowd }: DemoFacts): Verdict {
  const bronze = ofTier(crowd, 'bronze')
  const masters = ofTier(crowd, 'master').filter(isAnswered)
  const rivals = masters.map((master) => bronze.filter((other) => isRival(master, other)))
  const ahead = masters.flatMap(
    (master, index) => rivals[index]?.filter((other) => startedMs(other) < startedMs(master) - blurMs) ?? [],
  )
  const served = bronze.filter(isAnswered)
  const overtaken = new Set(rivals.flat()).size
  const isKept = overtaken > 0 && ahead.length === 0 && served.length === bronze.length
  return {
    promise: 'Whoever gave more goes first, and nobody starves',
    isKept,
    measured: [
      `Master came last and went before ${overtaken - new Set(ahead).size} of ${overtaken} waiting Bronze`,
      `waited ${range(masters)}, Bronze ${range(bronze)}`,
      `${served.length} of ${bronze.length} Bronze served`,
    ].join('; '),
  }
}

const startedMs = ({ firstTokenAtMs = Infinity }: QuestionFacts): number => firstTokenAtMs

/**
 * Whether a Bronze stood in the same queue when the Master came to it. The instants are those of the clients, and are
 * taken so that the one that had a slot by then is never among them, however late a message was.
 */
function isRival(master: QuestionFacts, { answer, attempts, sentAtMs }: QuestionFacts): boolean {
  return (
    answer !== undefined &&
    attempts.at(-1)?.worker === master.attempts.at(-1)?.worker &&
    sentAtMs < master.sentAtMs &&
    sentAtMs > master.sentAtMs - sameTimeMs &&
    sentAtMs + answer.queuedMs > master.admittedAtMs
  )
}

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

export function range(questions: readonly QuestionFacts[]): string {
  const waits = questions.flatMap((question) => waitedMs(question) ?? [])
  if (waits.length === 0) return 'without end'
  const [least, most] = [seconds(Math.min(...waits)), seconds(Math.max(...waits))]
  return least === most ? least : `${least.slice(0, -2)} to ${most}`
}

export const list = (names: readonly string[]): string => (names.length > 0 ? names.join(', ') : 'nobody')
