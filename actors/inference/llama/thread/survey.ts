import type { ModelHash } from '../../../../protocol/index.ts'
import type { ModelSurvey } from '../../engine.port.ts'
import type { SurveyTask } from '../thread-messages.ts'
import { startLlama } from './loaded.ts'
import { planLoad } from './plan.ts'

/**
 * The plan by which the model would be loaded if nothing else were: what others hold now may be gone by then.
 *
 * @param hash SHA-256 of the file, which has been verified
 * @throws QMeshError `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE`
 */
export async function surveyModel({ spec, options }: SurveyTask, hash: ModelHash): Promise<ModelSurvey> {
  const llama = await startLlama(options.gpuLayers, () => undefined)
  const { contextTokens, slots, bytes } = await planLoad(llama, spec, options, true)
  return { id: spec.id, hash, contextTokens, slots, bytes }
}
