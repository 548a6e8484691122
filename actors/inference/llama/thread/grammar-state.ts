import { LlamaGrammarEvaluationState } from 'node-llama-cpp'
import type { Llama, LlamaGrammar, LlamaModel } from 'node-llama-cpp'
import { QMeshError } from '../../../../protocol/index.ts'

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
): LlamaGrammarEvaluationState {
  const state = new LlamaGrammarEvaluationState({ model, grammar })
  const { AddonSampler } = (llama as unknown as GrammarBindings)._bindings
  const { _state } = state as unknown as { readonly _state: unknown }
  try {
    for (const token of tokens) AddonSampler.acceptGrammarEvaluationStateToken(_state, token)
  } catch (error) {
    throw new QMeshError('QM_RESUME_INVALID', 'the tokens to resume after do not match the JSON schema', {
      cause: error,
    })
  }
  return state
}
