import type { Tier } from '../../machines/scheduling/index.ts'
import type { ErrorCode, PeerId, Prompt } from '../../protocol/index.ts'

/** Records what this worker does for clients, beside what they recorded, if they say where that is. Must not throw. */
export interface ServeTracer {
  begin(prompt: Prompt, client: { readonly id: PeerId; readonly tier: Tier }): ServeTrace
}

export interface ServeTrace {
  /** It got a slot. */
  started(queuedMs: number): void
  firstToken(): void
  /** The first call counts. @param end tokens given here; without a code they are all that was wanted */
  ended(end: ServeEnd): void
}

export interface ServeEnd {
  readonly tokens: number
  readonly promptTokens: number
  readonly code?: ErrorCode | undefined
}
