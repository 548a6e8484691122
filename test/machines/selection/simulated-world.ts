import type { SelectionTrace } from '../../../machines/selection/select.ts'
import type { ErrorCode } from '../../../protocol/index.ts'

/** How a worker lets every request down: with which code, and after how long. */
export interface Letdown {
  readonly code: ErrorCode
  /** Milliseconds from the prompt's arrival to the error; `Infinity` is silence until the client's stall timer. */
  readonly afterMs: number
  /** Whether a first token comes before the end. */
  readonly firstToken: boolean
  readonly retryAfterMs: number
}

export interface WorkerSpec {
  readonly slots: number
  readonly queueCapacity: number
  /** Mean milliseconds from the first token of an answer to its last. */
  readonly answerMs: number
  /** Mean milliseconds of reading a prompt. */
  readonly promptMs: number
  readonly letdown?: Letdown | undefined
  /** Its status says idle, healthy and empty, whatever is true. */
  readonly isLying?: boolean | undefined
  /** It leaves every so often, and is back after a tenth of that. */
  readonly leavesEveryMs?: number | undefined
}

export interface World {
  readonly seed: number
  readonly workers: readonly WorkerSpec[]
  /** Clients, each with a directory of its own. */
  readonly clients: number
  readonly requests: number
  /**
   * `load`: requests that arrive, at any client, over those that the honest workers can answer. `each`: every client
   * has so many open, and asks the next when one has ended.
   */
  readonly arrivals: { readonly load: number } | { readonly each: number }
  /** Milliseconds of the way from one node to another. */
  readonly delayMs: number
  /** Least milliseconds between two statuses of a worker. */
  readonly statusEveryMs: number
  /** Part by which times vary around their mean; health varies by up to twenty times as many points. */
  readonly noise: number
  /** Conversations that each client holds at a time; 0: every request stands alone. */
  readonly conversations?: number
}

export interface Sent {
  readonly client: number
  readonly worker: number
  readonly atMs: number
  readonly trace: SelectionTrace
}

/** An attempt that its worker let down, or lost by leaving. */
export interface Failed {
  readonly client: number
  readonly worker: number
  readonly code: ErrorCode
}

export interface Outcome {
  readonly sent: readonly Sent[]
  /** Answers by worker. */
  readonly served: readonly number[]
  /** Requests and answers by client. */
  readonly asked: readonly number[]
  readonly answered: readonly number[]
  /** Looks for a worker that found nobody, by client. */
  readonly inVain: readonly number[]
  readonly failed: readonly Failed[]
  /** Milliseconds until the last request had ended. */
  readonly endMs: number
}
