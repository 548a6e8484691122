import type { Choice, RequestFact } from '../../machines/request/index.ts'
import type { ErrorCode, ModelId, RequestId, Traceparent } from '../../protocol/index.ts'

/**
 * Records the way of requests so that it can be put together with what other machines recorded. It is told of every
 * request in this order: `asked`, what happens, and `ended`, each once. Must not throw.
 */
export interface RequestTracer {
  /** `traceparent`: the step of whoever asks that this request belongs to. */
  asked(question: {
    readonly requestId: RequestId
    readonly modelId: ModelId | undefined
    readonly traceparent: Traceparent | undefined
  }): void
  /**
   * A worker is about to be asked, which `attempt.opened` says as well, before or after.
   *
   * @param attempt its index, from 0
   * @returns what the worker is told; undefined: nothing
   */
  asking(requestId: RequestId, attempt: number, choice: Choice): Traceparent | undefined
  observe(requestId: RequestId, fact: RequestFact): void
  /** Tokens went to the reader. */
  delivered(requestId: RequestId, tokens: number): void
  /** @param code why it failed; absent: it was answered */
  ended(requestId: RequestId, code?: ErrorCode): void
}
