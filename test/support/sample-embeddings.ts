import { toUnitVector, type ModelHash } from '../../protocol/index.ts'
import { checkEmbedOptions, toParts, type EmbedOptions } from '../../actors/request/embed-options.ts'
import type { Embeddings } from '../../actors/request/embedder.ts'

/** A vector that tells its text, a little: equal for equal ones. */
export const sampleVector = (text: string, size = 4): Float32Array => {
  const vector = toUnitVector(
    Array.from({ length: size }, (_, at) => 1 + (text.codePointAt(at % text.length) ?? 0)),
  )
  if (!vector) throw new Error('a vector of nothing')
  return vector
}

/** What a mesh of paper makes of texts. Refuses what the real one refuses. */
export function sampleEmbeddings(
  texts: string | readonly string[],
  options: EmbedOptions = {},
  { workerId, modelHash }: { readonly workerId: string; readonly modelHash: ModelHash },
): Embeddings {
  const { model = 'tiny-bert', size = 4 } = checkEmbedOptions(options)
  const parts = toParts(typeof texts === 'string' ? [texts] : texts)
  return {
    vectors: parts.flat().map((text) => sampleVector(text, size)),
    size,
    modelId: model,
    modelHash,
    usage: { promptTokens: parts.flat().length },
    timings: { totalMs: 5 },
    requests: parts.map((part, index) => ({
      requestId: String(index).padStart(32, '0'),
      texts: part.length,
      workerId,
      attempts: [],
    })),
  }
}
