/**
 * How long silence is believed to be work. A fixed time-out is a cliff: too short for a long prompt on a slow machine,
 * too long for a fast stream that died. So each timer has a floor, grows with the prompt or with the pace seen so far,
 * and has a ceiling, because the figures it grows with are claims of the worker.
 */
export interface StallPolicy {
  /** Milliseconds from the prompt to the worker's first word, for a short prompt. */
  readonly openingMs: number
  /** Least milliseconds of silence while waiting in the worker's queue; getting nearer starts it again. */
  readonly queuedMs: number
  /** Times the worker's own estimate that it may be late by. */
  readonly etaFactor: number
  /** Least milliseconds from the slot to the first token. */
  readonly firstTokenMs: number
  /** Milliseconds granted per token of the prompt, whatever the worker's pace. */
  readonly promptTokenMs: number
  /** Least milliseconds between two tokens. */
  readonly gapMs: number
  /** Times the mean gap of this stream that one gap may last. */
  readonly gapFactor: number
  /** Most milliseconds that any timer above may reach. */
  readonly stallMsMax: number
  /** Milliseconds the reader may leave the answer lying before it counts as gone. */
  readonly readerIdleMs: number
}

/**
 * The gap is generous on purpose: another request's prefill in the same batch stops every stream of a host for seconds.
 */
export const defaultStallPolicy: StallPolicy = {
  openingMs: 10_000,
  queuedMs: 60_000,
  etaFactor: 4,
  firstTokenMs: 30_000,
  promptTokenMs: 50,
  gapMs: 15_000,
  gapFactor: 50,
  stallMsMax: 600_000,
  readerIdleMs: 600_000,
}

/** Times the milliseconds expected that the own work for a worker may take: chance and other searches add to it. */
const solvingFactor = 8

/** Then somebody else is asked: the worker asks for more than this computer can give. */
export const solvingDelayMs = (policy: StallPolicy, etaMs: number): number =>
  capped(policy, policy.openingMs + solvingFactor * etaMs)

/** A prompt has to be sent, parsed and tokenized before the worker can answer: a millisecond a token is plenty. */
export const openingDelayMs = (policy: StallPolicy, promptTokens: number): number =>
  capped(policy, policy.openingMs + promptTokens)

/** A position changes rarely in a long queue, and the worker speaks only when it does: wait for the ETA and more. */
export const queuedDelayMs = (policy: StallPolicy, etaMs: number): number =>
  capped(policy, Math.max(policy.queuedMs, policy.etaFactor * etaMs))

export interface PrefillSeen {
  readonly promptTokens: number
  readonly etaMs: number
}

export const firstTokenDelayMs = (policy: StallPolicy, { promptTokens, etaMs }: PrefillSeen): number =>
  capped(
    policy,
    Math.max(policy.firstTokenMs + policy.promptTokenMs * promptTokens, policy.etaFactor * etaMs),
  )

/**
 * @param tokens received so far in this stream
 * @param streamMs milliseconds between the first and the latest of them
 */
export function gapDelayMs(policy: StallPolicy, tokens: number, streamMs: number): number {
  const meanGapMs = tokens > 1 ? streamMs / (tokens - 1) : 0
  return capped(policy, Math.max(policy.gapMs, policy.gapFactor * meanGapMs))
}

const capped = (policy: StallPolicy, ms: number): number => Math.min(policy.stallMsMax, Math.ceil(ms))
