/** What a worker says about itself. Only a prior: it is outweighed by answers, and forgotten after five. */
export interface SpeedClaim {
  /** Milliseconds to the first token of a prompt of `referencePromptTokens`. */
  readonly firstTokenMs: number
  /** Milliseconds between two tokens. */
  readonly tokenMs: number
}

/** How fast a worker was for this client. A value: every answer makes a new one. */
export interface Speed {
  /** Mean milliseconds to the first token, scaled to a prompt of `referencePromptTokens`; undefined before the first. */
  readonly firstTokenMs: number | undefined
  readonly firstTokens: number
  /** When the latest first token came; 0 before the first. */
  readonly firstTokenAtMs: number
  /** Mean milliseconds between two tokens; undefined before the first answer of two tokens. */
  readonly tokenMs: number | undefined
  readonly answers: number
  readonly answerAtMs: number
  /** 0–1, from `firstTokenMs`. */
  readonly responsiveness: number
  /** 0–1, from `tokenMs`. */
  readonly performance: number
}

export const referencePromptTokens = 256
/** A request costs something besides reading the prompt, as much as so many tokens of it. */
const fixedTokens = 64
/** Where a term is one half: an ordinary worker. */
const halfway = { firstTokenMs: 500, tokenMs: 50 } as const
/** Answers after which a claim weighs nothing. */
export const claimAnswers = 5
/** Weight of the newest measurement once there are enough; the rest is that of the four before, so to speak. */
const newestWeight = 0.2
const countMax = 1 / newestWeight - 1
const outlierMin = 3
/** After so long, half as many measurements stand against a better one, and all of them are too old to rely on. */
export const speedHalfLifeMs = 30_000

const term = (ms: number, halfwayMs: number): number => halfwayMs / (halfwayMs + Math.max(0, ms))

interface Past {
  readonly ms: number | undefined
  readonly count: number
  readonly ageMs: number
}

/**
 * A worker found slow is hardly asked again: when it is and does better, that must outweigh what it did long ago. And
 * one long wait behind others must not make it look slow: a sample counts as three times what is usual, or as what is
 * ordinary, at most.
 */
function mean(past: Past, sampleMs: number, ordinaryMs: number): number {
  if (past.ms === undefined) return sampleMs
  const fading = sampleMs < past.ms ? 2 ** (-Math.max(0, past.ageMs) / speedHalfLifeMs) : 1
  const against = Math.min(countMax, past.count) * fading
  const boundedMs = Math.min(sampleMs, Math.max(ordinaryMs, outlierMin * past.ms))
  return past.ms + (boundedMs - past.ms) / (against + 1)
}

/** A measurement mixed with the claim, which weighs less with every measurement. */
function blended(ms: number | undefined, count: number, claimedMs: number, halfwayMs: number): number {
  if (ms === undefined) return term(claimedMs, halfwayMs)
  const weight = Math.max(0, claimAnswers - count) / claimAnswers
  return weight * term(claimedMs, halfwayMs) + (1 - weight) * term(ms, halfwayMs)
}

function withTerms(
  speed: Omit<Speed, 'responsiveness' | 'performance'>,
  claim: SpeedClaim | undefined,
): Speed {
  const { firstTokenMs, tokenMs } = claim ?? halfway
  return {
    ...speed,
    responsiveness: blended(speed.firstTokenMs, speed.firstTokens, firstTokenMs, halfway.firstTokenMs),
    performance: blended(speed.tokenMs, speed.answers, tokenMs, halfway.tokenMs),
  }
}

/** @param claim absent: taken for an ordinary worker. */
export const unknownSpeed = (claim?: SpeedClaim): Speed =>
  withTerms(
    {
      firstTokenMs: undefined,
      firstTokens: 0,
      firstTokenAtMs: 0,
      tokenMs: undefined,
      answers: 0,
      answerAtMs: 0,
    },
    claim,
  )

/** @param ms from sending the prompt to the first token: queue, prefill and network, as the client felt it. */
export function afterFirstToken(
  speed: Speed,
  { promptTokens, ms }: { readonly promptTokens: number; readonly ms: number },
  nowMs: number,
  claim?: SpeedClaim,
): Speed {
  if (!(ms >= 0) || !(promptTokens >= 0)) return speed
  const scaledMs = (ms * (referencePromptTokens + fixedTokens)) / (promptTokens + fixedTokens)
  const { firstTokens, firstTokenAtMs } = speed
  const past = { ms: speed.firstTokenMs, count: firstTokens, ageMs: nowMs - firstTokenAtMs }
  const firstTokenMs = mean(past, scaledMs, halfway.firstTokenMs)
  return withTerms({ ...speed, firstTokenMs, firstTokens: firstTokens + 1, firstTokenAtMs: nowMs }, claim)
}

/** @param tokens of the whole answer; @param ms from its first token to its last. An answer of one teaches nothing. */
export function afterAnswer(
  speed: Speed,
  { tokens, ms }: { readonly tokens: number; readonly ms: number },
  nowMs: number,
  claim?: SpeedClaim,
): Speed {
  const answers = speed.answers + 1
  if (!(ms >= 0) || !(tokens >= 2)) return withTerms({ ...speed, answers }, claim)
  const past = { ms: speed.tokenMs, count: speed.answers, ageMs: nowMs - speed.answerAtMs }
  const tokenMs = mean(past, ms / (tokens - 1), halfway.tokenMs)
  return withTerms({ ...speed, tokenMs, answers, answerAtMs: nowMs }, claim)
}
