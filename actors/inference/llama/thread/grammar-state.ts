import { LlamaGrammarEvaluationState } from 'node-llama-cpp'
import type { Llama, LlamaGrammar, LlamaModel } from 'node-llama-cpp'
import { QMeshError } from '../../../../protocol/index.ts'
import type { VitalSigns } from '../vital-signs.ts'

/** The part of the library's inside that moves a grammar on by a token that was not drawn here. */
interface GrammarBindings {
  readonly _bindings: {
    readonly AddonSampler: { acceptGrammarEvaluationStateToken(state: unknown, token: number): void }
  }
}

/**
 * How far an answer is in its grammar.
 *
 * @param tokens of the answer that other workers drew, from the first one on
 * @throws QMeshError `QM_RESUME_INVALID` when they are not what the grammar allows
 */
export function toGrammarState(
  { llama, model }: { readonly llama: Llama; readonly model: LlamaModel },
  grammar: LlamaGrammar,
  tokens: readonly number[],
  vitals: VitalSigns,
): LlamaGrammarEvaluationState {
  const state = vitals.nativeNow(() => new LlamaGrammarEvaluationState({ model, grammar }))
  const { AddonSampler } = (llama as unknown as GrammarBindings)._bindings
  const { _state } = state as unknown as { readonly _state: unknown }
  // Each token is a call of its own: thousands of them take a while, and only one that takes for ever is a hang.
  const accept = (token: number): void =>
    vitals.nativeNow(() => AddonSampler.acceptGrammarEvaluationStateToken(_state, token))
  try {
    for (const token of tokens) accept(token)
  } catch (error) {
    if (error instanceof QMeshError) throw error
    throw new QMeshError('QM_RESUME_INVALID', 'the tokens to resume after do not match the JSON schema', {
      cause: error,
    })
  }
  return state
}
