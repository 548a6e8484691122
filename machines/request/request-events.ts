import type { ErrorCode, Finish, ModelAd, PeerId, RequestId } from '../../protocol/index.ts'
import type { AttemptRecord, Failure } from './attempts.ts'

/** A worker chosen for one attempt. */
export interface Choice {
  readonly workerId: PeerId
  readonly model: ModelAd
}

/**
 * Chooses among the known workers, those excluded left out; null when there is none. A model with a context of more than
 * `smallContext` tokens goes first: one of so many was too small. Synchronous, never throws.
 */
export type ChoosePort = (exclude: ReadonlySet<PeerId>, smallContext: number) => Choice | null

/**
 * Whether `ChoosePort` would find somebody with a context of more than `smallContext` tokens: asked before a worker is
 * left that may still be alive. Never throws.
 */
export type HasElsewherePort = (exclude: ReadonlySet<PeerId>, smallContext: number) => boolean

/** Says why `ChoosePort` found nobody, once the wait for a worker is over. Never throws. */
export type WhyNobodyPort = () => Failure

/**
 * Whether somebody who waited for the same, and for longer, was given a worker since this was asked last: then it has come
 * nearer to its turn. Never throws.
 */
export type IsNearerPort = () => boolean

/** What the `attempt` actor is given. It ends itself never: it is stopped when the machine leaves the attempt. */
export interface AttemptInput {
  readonly requestId: RequestId
  /** Index of this attempt, from 0; every event it sends carries it, so that a stale one is recognised. */
  readonly attempt: number
  /** Null only if the machine were wrong; the actor then fails the attempt with `QM_INTERNAL`. */
  readonly choice: Choice | null
}

/** What the `attempt` actor says. One event per phase: tokens go past the machine, straight to the reader. */
export type AttemptEvent =
  | AttemptSolving
  | AttemptSolved
  | AttemptQueued
  /** The first token of this attempt came; the reader's stream holds `tokens`, those of earlier attempts included. */
  | {
      readonly type: 'attempt.started'
      readonly attempt: number
      readonly tokens: number
      readonly atMs: number
    }
  /** More tokens came; sent at most every `progressEveryMs`, enough to keep the stall timer honest. */
  | {
      readonly type: 'attempt.progressed'
      readonly attempt: number
      readonly tokens: number
      readonly atMs: number
    }
  /** The reader is behind, the worker waits for it: silence is not the worker's. */
  | { readonly type: 'attempt.held'; readonly attempt: number }
  | { readonly type: 'attempt.resumed'; readonly attempt: number }
  | { readonly type: 'attempt.finished'; readonly attempt: number; readonly finish: Finish }
  | AttemptFailed
  | AttemptDoubted

/** The worker seems to be gone, or says that it is going. Said again while it lasts. */
export interface AttemptDoubted {
  readonly type: 'attempt.doubted'
  readonly attempt: number
  readonly code: Extract<ErrorCode, 'QM_WORKER_LOST' | 'QM_DRAINING'>
  /** It has been silent for so long that a worker which was left on a doubt is worth another try. */
  readonly isLasting: boolean
  /** It has been silent for so long that waiting is of no use even where there is no other worker. */
  readonly isCertain: boolean
}

/** The worker asks for work, and gets the prompt when it is done: likely to take `etaMs`. */
export interface AttemptSolving {
  readonly type: 'attempt.solving'
  readonly attempt: number
  readonly bits: number
  readonly etaMs: number
}

/** The work is done, or not asked for any more, and the prompt is on its way. */
export interface AttemptSolved {
  readonly type: 'attempt.solved'
  readonly attempt: number
  /** Milliseconds that it took. */
  readonly ms: number
}

export interface AttemptQueued {
  readonly type: 'attempt.queued'
  readonly attempt: number
  /** Requests that go first; 0 means that a slot has it. */
  readonly position: number
  readonly etaMs: number
  readonly promptTokens: number
}

export interface AttemptFailed extends Failure {
  readonly type: 'attempt.failed'
  readonly attempt: number
  /** Tokens the reader's stream holds when the attempt failed. */
  readonly tokens: number
}

/** What a request reports to whoever asked, in order. The last one is `request.done` or `request.failed`, once. */
export type RequestFact =
  /** No worker is known, or none to go on with what another one began; said once per search. */
  | { readonly type: 'request.waiting' }
  | { readonly type: 'attempt.opened'; readonly attempt: number; readonly choice: Choice }
  | Pick<AttemptSolving, 'type' | 'bits' | 'etaMs'>
  | Pick<AttemptSolved, 'type' | 'ms'>
  | {
      readonly type: 'attempt.queued'
      readonly position: number
      readonly etaMs: number
      readonly promptTokens: number
    }
  | { readonly type: 'attempt.started'; readonly atMs: number }
  /** The worker refused, was lost or misbehaved: for its standing, by the blame of the code. */
  | { readonly type: 'attempt.failed'; readonly attempt: AttemptRecord }
  /** We left it: cancelled, deadline, reader gone. Nobody's fault but ours. */
  | { readonly type: 'attempt.dropped'; readonly attempt: AttemptRecord }
  | { readonly type: 'request.done'; readonly finish: Finish; readonly attempts: readonly AttemptRecord[] }
  | {
      readonly type: 'request.failed'
      readonly failure: Failure
      readonly attempts: readonly AttemptRecord[]
    }

/** Takes the facts of one request. Must not throw. */
export type ReportPort = (fact: RequestFact) => void
