import type { PeerId, Prompt } from '../../protocol/index.ts'
import type { GenerationResult } from '../inference/engine.port.ts'

/** What a worker earns with one request. Should a part of it throw, the intake goes on without. */
export interface Earning {
  /** The client pays nothing: it has used up its credit. */
  readonly isGratis: boolean
  /** Tokens that were sent, in order. */
  sent(tokens: readonly number[]): void
  /** The answer is complete. @returns the signed result, which goes with the last tokens; undefined if there is none */
  finished(result: GenerationResult): string | undefined
  /** It ended before, the first call counts: `isOwnFault` when the worker let the client down. */
  ended(isOwnFault: boolean, promptTokens: number): void
}

/** Where the worker's side of the evidence is kept. */
export interface EarningsPort {
  /**
   * Checks the offer that came with a prompt.
   *
   * @returns undefined when there is none
   * @throws QMeshError `QM_OFFER_INVALID`, `QM_EVIDENCE_INVALID`, `QM_ACCOUNT_BANNED`
   */
  begin(clientId: PeerId, prompt: Prompt): Earning | undefined
  /**
   * A client's signature under what it received; it may come after the end.
   *
   * @returns whether it can be the client's: nothing that is forged, shrinks, or is about an unknown request
   */
  acked(clientId: PeerId, requestId: string, evidence: string): 'ok' | 'late' | 'violation'
}

/** For a worker without an account. */
export const noEarnings: EarningsPort = { begin: () => undefined, acked: () => 'ok' }
