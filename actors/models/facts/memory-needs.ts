import { contextSteps, type MemoryNeed } from '../../../machines/models/fit.ts'
import { toQMeshError } from '../../../protocol/index.ts'
import { checkGgufFile } from '../../inference/gguf/header.ts'
import { toGgufKind } from '../../inference/gguf/model-kind.ts'

/** Contexts longer than this are not asked about: no machine at home holds them. */
const contextTokensMax = 1_048_576

/**
 * What a model takes on this machine, by the engine's own arithmetic: weights, cache and working memory of one slot.
 * Nothing of the file but its header is read, and none of it by native code.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`
 */
export async function readMemoryNeeds(path: string): Promise<readonly MemoryNeed[]> {
  // The engine's reader trusts the counts of a header; ours does not.
  const kind = toGgufKind(checkGgufFile(path))
  const { GgufInsights, readGgufFileInfo } = await import('node-llama-cpp')
  try {
    const info = await readGgufFileInfo(path, { sourceType: 'filesystem', logWarnings: false })
    const insights = await GgufInsights.from(info)
    const weights = insights.estimateModelResourceRequirements({ gpuLayers: 0 })
    const trained = Math.min(insights.trainContextSize ?? 4_096, contextTokensMax)
    return contextSteps(trained).map((contextTokens) => {
      const context = insights.estimateContextResourceRequirements({
        contextSize: contextTokens,
        sequences: 1,
        modelGpuLayers: 0,
        ...(kind === 'chat' ? {} : { isEmbeddingContext: true, batchSize: contextTokens }),
      })
      return { contextTokens, bytes: weights.cpuRam + weights.gpuVram + context.cpuRam + context.gpuVram }
    })
  } catch (error) {
    throw toQMeshError(error, 'QM_MODEL_UNSUPPORTED')
  }
}
