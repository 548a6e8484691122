import { limits } from '../../../protocol/index.ts'
import { modelLimits, type ModelFacts } from '../../../protocol/models/index.ts'
import { checkGgufFile, type GgufHeader } from '../../inference/gguf/header.ts'
import { toQuantization } from './quantization.ts'

/**
 * What a GGUF file says of itself, read within bounds.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`
 */
export const readModelFacts = (path: string): ModelFacts => toModelFacts(checkGgufFile(path))

export function toModelFacts({ metadata, keys, elements }: GgufHeader): ModelFacts {
  const architecture = plain(metadata.get('general.architecture')) || 'unknown'
  const get = (name: string, max: number): number | null =>
    whole(metadata.get(`${architecture}.${name}`), max)
  const parameters = Array.from(elements.values()).reduce((sum, count) => sum + count, 0)
  return {
    architecture,
    quantization: toQuantization(metadata.get('general.file_type'), elements),
    parameters: whole(parameters, modelLimits.parametersMax),
    contextTokens: get('context_length', limits.contextTokensMax),
    embeddingLength: get('embedding_length', modelLimits.embeddingLengthMax),
    hasChatTemplate: keys.has('tokenizer.chat_template'),
  }
}

/** Text that may be shown: the file is anybody's. */
const plain = (value: unknown): string =>
  typeof value === 'string'
    ? value
        .replaceAll(/[^\u0020-\u007e]/g, '')
        .slice(0, modelLimits.factBytesMax)
        .trim()
    : ''

function whole(value: unknown, max: number): number | null {
  const number = typeof value === 'bigint' ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 1 && number <= max
    ? number
    : null
}
