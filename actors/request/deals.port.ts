import type { Finish, PeerId, Prompt, PromptEvidence } from '../../protocol/index.ts'

/**
 * What a client owes a worker for its part of one answer. Every piece of evidence goes with a message that is sent
 * anyway, except the last. Nothing here throws.
 */
export interface Deal {
  /** Goes with the prompt. */
  readonly evidence: PromptEvidence
  /** The worker counted the prompt's tokens. */
  admitted(promptTokens: number): void
  /** Tokens that the worker delivered, in order. */
  took(tokens: readonly number[]): void
  /** The client's signature under what came so far; goes with an acknowledgement. */
  tick(): string | undefined
  /** It ended before its end, by the client's will or not: what was delivered counts. */
  close(): string
  /** The signature under the whole; as `close` when the worker's result is not what was delivered. */
  finish(finish: Finish): string
}

/** Where the evidence comes from. */
export interface DealsPort {
  /**
   * Undefined when there is nothing to offer: the worker is this node's own, or this node has no account.
   *
   * @throws QMeshError `QM_ACCOUNT_BANNED`: no offer is made to a banned worker, and no prompt is sent
   */
  begin(workerId: PeerId, prompt: Prompt): Deal | undefined
}
