import type { ModelSurvey } from '../../engine.port.ts'
import type { SurveyTask } from '../thread-messages.ts'
import { startLlama } from './loaded.ts'
import { readToolTemplate } from './model-tools.ts'
import { planLoad } from './plan.ts'
import type { VerifiedFile } from './verify-file.ts'

/**
 * The plan by which the model would be loaded if nothing else were: what others hold now may be gone by then.
 *
 * @throws QMeshError `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE`
 */
export async function surveyModel(
  { spec, options }: SurveyTask,
  { hash, kind }: VerifiedFile,
): Promise<ModelSurvey> {
  const llama = await startLlama(options.gpuLayers, () => undefined)
  const plan = await planLoad(llama, spec, options, { kind, isSurvey: true })
  const { contextTokens, slots, bytes, embeddingSize, metadata } = plan
  const tools = embeddingSize === undefined ? readToolTemplate(metadata.tokenizer)?.style : undefined
  return {
    id: spec.id,
    hash,
    contextTokens,
    slots,
    bytes,
    ...(embeddingSize && { embeddingSize }),
    ...(tools && { tools }),
  }
}
