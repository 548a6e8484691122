import type { ModelAd, ModelId } from '../../protocol/index.ts'

export interface ToolNeeds {
  /** A model that can be offered functions. */
  readonly tools?: boolean | undefined
}

/** Names that are listed. */
const namesMax = 8

/** Whether a model can be offered functions, where there are some to offer. */
export const knowsTools = ({ tools }: Pick<ModelAd, 'tools'>, needs: ToolNeeds): boolean =>
  needs.tools !== true || tools !== undefined

/**
 * Why nobody can be offered functions, and which models can.
 *
 * @param modelId that was asked for; undefined where any would do
 * @param known all models of known workers
 */
export function explainNoTools(modelId: ModelId | undefined, known: readonly ModelAd[]): string {
  const able = new Set(known.filter(({ tools }) => tools !== undefined).map(({ id }) => id))
  const list = [...able].toSorted().slice(0, namesMax)
  const what =
    modelId === undefined
      ? 'No chat template of a known model knows functions'
      : `The chat template of the model "${modelId}" knows no functions`
  const others =
    list.length > 0
      ? `these models support tools: ${list.map((id) => `"${id}"`).join(', ')}`
      : 'no known model supports tools'
  return `${what}; ${others}.`
}
