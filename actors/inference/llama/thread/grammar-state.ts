import { performance } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { LlamaGrammarEvaluationState } from 'node-llama-cpp'
import type { Llama, LlamaGrammar, LlamaModel, Token } from 'node-llama-cpp'
import { QMeshError } from '../../../../protocol/index.ts'
import type { VitalSigns } from '../vital-signs.ts'
import type { CallGatePorts } from './call-gate.ts'

/** The part of the library's inside that moves a grammar on by a token that was not drawn here. */
interface GrammarBindings {
  readonly _bindings: {
    readonly AddonSampler: { acceptGrammarEvaluationStateToken(state: unknown, token: number): void }
  }
}

/** Milliseconds that all streams of the thread wait at a time, and in which any grammar of use is moved on. */
const sliceMs = 5
const moveMsMax = 2_000

/**
 * How far an answer is in its grammar. One that is ambiguous takes tens of milliseconds for a token, and whoever asks may
 * send thousands: other streams go on between them, and the whole is bounded.
 *
 * @param tokens of the answer that other workers drew, from the first one on
 * @param throwIfClosed called before native code is entered again after others had their turn
 * @throws QMeshError `QM_RESUME_INVALID` when they are not what the grammar allows, or take too long
 */
export async function toGrammarState(
  { llama, model }: { readonly llama: Llama; readonly model: LlamaModel },
  grammar: LlamaGrammar,
  tokens: readonly number[],
  vitals: VitalSigns,
  throwIfClosed: () => void,
): Promise<LlamaGrammarEvaluationState> {
  const state = vitals.nativeNow(() => new LlamaGrammarEvaluationState({ model, grammar }))
  const { AddonSampler } = (llama as unknown as GrammarBindings)._bindings
  const { _state } = state as unknown as { readonly _state: unknown }
  // Each token is a call of its own: thousands of them take a while, and only one that takes for ever is a hang.
  const accept = (token: number): void =>
    vitals.nativeNow(() => AddonSampler.acceptGrammarEvaluationStateToken(_state, token))
  try {
    let spentMs = 0
    let sinceMs = performance.now()
    for (const token of tokens) {
      accept(token)
      const ms = performance.now() - sinceMs
      if (ms < sliceMs) continue
      spentMs += ms
      if (spentMs > moveMsMax) {
        throw new QMeshError(
          'QM_RESUME_INVALID',
          'the JSON schema takes too long to follow up to where it was',
        )
      }
      await nextTurn()
      throwIfClosed()
      sinceMs = performance.now()
    }
  } catch (error) {
    if (error instanceof QMeshError) throw error
    throw new QMeshError('QM_RESUME_INVALID', 'the tokens to resume after do not match the JSON schema', {
      cause: error,
    })
  }
  return state
}

/** Tokens of the beginning of a call; without the space that some tokenizers put in front. */
export const toCallTokens = (
  { model }: { readonly model: LlamaModel },
  text: string,
  vitals: VitalSigns,
): readonly Token[] =>
  vitals.nativeNow(() => (text === '' ? [] : model.tokenize(text, false, 'trimLeadingSpace')))

/** What a `CallGate` needs of the engine. The calls of a model begin with little text, so nobody waits for it. */
export function toGatePorts(
  loaded: { readonly llama: Llama; readonly model: LlamaModel },
  grammar: LlamaGrammar,
  vitals: VitalSigns,
): CallGatePorts {
  const { model, llama } = loaded
  const { AddonSampler } = (llama as unknown as GrammarBindings)._bindings
  const follow = (state: LlamaGrammarEvaluationState, token: number): boolean => {
    const { _state } = state as unknown as { readonly _state: unknown }
    try {
      vitals.nativeNow(() => AddonSampler.acceptGrammarEvaluationStateToken(_state, token))
      return true
    } catch {
      return false
    }
  }
  return {
    follow,
    begin(text) {
      const state = vitals.nativeNow(() => new LlamaGrammarEvaluationState({ model, grammar }))
      return toCallTokens(loaded, text, vitals).every((token) => follow(state, token)) ? state : undefined
    },
  }
}
