import type { Tier } from '../../machines/scheduling/index.ts'
import type { ErrorCode } from '../../protocol/index.ts'
import type { ClientName, WorkerName } from './mesh.ts'

/** What one try at a worker came to. */
export interface AttemptFacts {
  readonly worker: WorkerName
  readonly code?: ErrorCode | undefined
}

export interface HandoverFacts {
  readonly from: WorkerName
  readonly to: WorkerName
  readonly afterTokens: number
  readonly gapMs: number
}

/** One question, measured by its client. */
export interface QuestionFacts {
  readonly client: ClientName
  readonly tier: Tier
  readonly askedAtMs: number
  /** Sent to the worker that answered … */
  readonly sentAtMs: number
  /** … and known to stand in its queue. */
  readonly admittedAtMs: number
  readonly firstTokenAtMs: number | undefined
  /** What the reader was handed. */
  readonly tokens: readonly number[]
  readonly text: string
  readonly attempts: readonly AttemptFacts[]
  /** What came back at the end; absent when it failed. */
  readonly answer?:
    | {
        readonly text: string
        /** Of the whole answer, as its last worker counted. */
        readonly completionTokens: number
        /** In the queue of the worker that answered. */
        readonly queuedMs: number
        readonly handovers: readonly HandoverFacts[]
      }
    | undefined
  readonly failure?: { readonly code: ErrorCode; readonly message: string } | undefined
}

/** All that the demo measured: what its promises are judged by. */
export interface DemoFacts {
  readonly seed: number
  readonly totalMs: number
  /** The questions of all clients at once. */
  readonly crowd: readonly QuestionFacts[]
  /** A question whose answer nobody disturbed … */
  readonly reference: QuestionFacts
  /** … and the same again, its worker killed. */
  readonly stream: QuestionFacts
  readonly hostile: {
    /** As it counted itself. */
    readonly requests: number
    /** Clients that were seen to ask it no more. */
    readonly shutOutBy: readonly ClientName[]
  }
}
