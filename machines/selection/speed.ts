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
  /** Mean milliseconds between two tokens; undefined before the first answer of two tokens. */
  readonly tokenMs: number | undefined
  readonly answers: number
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
/** Weight of the newest measurement once there are enough. */
const newestWeight = 0.2

const term = (ms: number, halfwayMs: number): number => halfwayMs / (halfwayMs + Math.max(0, ms))

const mean = (past: number | undefined, sample: number, count: number): number =>
  past === undefined ? sample : past + (sample - past) * Math.max(newestWeight, 1 / (count + 1))

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
  withTerms({ firstTokenMs: undefined, firstTokens: 0, tokenMs: undefined, answers: 0 }, claim)

/** @param ms from sending the prompt to the first token: queue, prefill and network, as the client felt it. */
export function afterFirstToken(
  speed: Speed,
  { promptTokens, ms }: { readonly promptTokens: number; readonly ms: number },
  claim?: SpeedClaim,
): Speed {
  if (!(ms >= 0) || !(promptTokens >= 0)) return speed
  const scaledMs = (ms * (referencePromptTokens + fixedTokens)) / (promptTokens + fixedTokens)
  const firstTokenMs = mean(speed.firstTokenMs, scaledMs, speed.firstTokens)
  return withTerms({ ...speed, firstTokenMs, firstTokens: speed.firstTokens + 1 }, claim)
}

/** @param tokens of the whole answer; @param ms from its first token to its last. An answer of one teaches nothing. */
export function afterAnswer(
  speed: Speed,
  { tokens, ms }: { readonly tokens: number; readonly ms: number },
  claim?: SpeedClaim,
): Speed {
  if (!(ms >= 0) || !(tokens >= 2)) return withTerms({ ...speed, answers: speed.answers + 1 }, claim)
  const tokenMs = mean(speed.tokenMs, ms / (tokens - 1), speed.answers)
  return withTerms({ ...speed, tokenMs, answers: speed.answers + 1 }, claim)
}
