import { basename } from 'node:path'
import type { ModelSpec } from '../actors/inference/engine.port.ts'
import { builtInModelId, type ModelHash, type ModelId, QMeshError, toModelId } from '../protocol/index.ts'
import { availableMemoryBytes } from '../actors/inference/memory.ts'
import { builtInModel } from './built-in-model.ts'
import { isModelPath, type Config } from './config/index.ts'

/**
 * What the configuration means by its models.
 *
 * @param store of models that were fetched or added, found by their names
 * @throws QMeshError `QM_MODEL_FILE_MISSING` for a name that is neither a path nor a model this node has,
 *   `QM_CONFIG_INVALID` for two models with one id
 */
export async function toModelSpecs(
  { models, contextTokens, slots }: Config,
  store?: {
    find(
      name: string,
    ):
      | { readonly path: string; readonly hash: ModelHash; readonly manifest: { readonly id: ModelId } }
      | undefined
  },
): Promise<ModelSpec[]> {
  const toSpec = async (model: Config['models'][number]): Promise<ModelSpec> => {
    if (typeof model !== 'string') {
      const { pinned, keepLoaded, sha256, ...said } = model
      const id = model.id ?? toModelId(basename(model.path))
      const keepLoadedMs = keepLoaded === undefined ? undefined : keepLoaded * 1_000
      return { contextTokens, slots, ...said, id, isPinned: pinned, keepLoadedMs, expectedHash: sha256 }
    }
    if (model === builtInModelId) return { ...(await builtInModel()), contextTokens, slots }
    const stored = isModelPath(model) ? undefined : store?.find(model)
    if (stored) {
      const { path, hash, manifest } = stored
      return { id: manifest.id, path, expectedHash: hash, contextTokens, slots }
    }
    if (!isModelPath(model)) {
      throw new QMeshError(
        'QM_MODEL_FILE_MISSING',
        `this node has no model called "${model}"; fetch it with "qmesh-node models pull ${model}", or give the path of a GGUF file, such as ./${model}.gguf, or "${builtInModelId}"`,
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

/** Of the memory that is free at the start, for models that come and go: the machine has other work. */
const memoryShare = 0.9

/**
 * Bytes that all models may take together once some come after the start: what those take that are loaded, and a share of
 * what is free.
 *
 * @param loadedMb megabytes of each that is loaded
 */
export async function toLateBudget(
  { memoryBudget }: Pick<Config, 'memoryBudget'>,
  loadedMb: readonly number[],
  available: () => Promise<number> = availableMemoryBytes,
): Promise<number> {
  if (memoryBudget !== undefined) return memoryBudget * 1024 ** 2
  const loadedBytes = loadedMb.reduce((sum, megabytes) => sum + megabytes, 0) * 1024 ** 2
  return loadedBytes + Math.floor((await available()) * memoryShare)
}

/**
 * Bytes that all loaded models may take together; undefined where each is loaded at the start and stays.
 *
 * @param available bytes that are free now
 */
export async function toMemoryBudget(
  { memoryBudget }: Config,
  models: readonly ModelSpec[],
  available: () => Promise<number> = availableMemoryBytes,
): Promise<number | undefined> {
  if (memoryBudget !== undefined) return memoryBudget * 1024 ** 2
  if (!models.some(({ load }) => load === 'demand')) return undefined
  return Math.floor((await available()) * memoryShare)
}
