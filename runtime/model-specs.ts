import { basename } from 'node:path'
import type { ModelSpec } from '../actors/inference/engine.port.ts'
import { builtInModelId, QMeshError, toModelId } from '../protocol/index.ts'
import { builtInModel } from './built-in-model.ts'
import { isModelPath, type Config } from './config/index.ts'

/**
 * What the configuration means by its models.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING` for a name that is neither a path nor a model this node has,
 *   `QM_CONFIG_INVALID` for two models with one id
 */
export async function toModelSpecs({ models, contextTokens, slots }: Config): Promise<ModelSpec[]> {
  const toSpec = async (model: Config['models'][number]): Promise<ModelSpec> => {
    if (typeof model !== 'string') {
      const id = model.id ?? toModelId(basename(model.path))
      return { contextTokens, slots, ...model, id }
    }
    if (model === builtInModelId) return { ...(await builtInModel()), contextTokens, slots }
    if (!isModelPath(model)) {
      throw new QMeshError(
        'QM_MODEL_FILE_MISSING',
        `this node has no model called "${model}"; give the path of a GGUF file, such as ./${model}.gguf, or "${builtInModelId}"`,
      )
    }
    return { id: toModelId(basename(model)), path: model, contextTokens, slots }
  }
  const specs = await Promise.all(models.map(toSpec))
  const ids = new Set<string>()
  for (const { id } of specs) {
    if (ids.has(id)) {
      throw new QMeshError(
        'QM_CONFIG_INVALID',
        `two models are called "${id}": give one of them another name, as { id = "other", path = "…" }`,
      )
    }
    ids.add(id)
  }
  return specs
}
