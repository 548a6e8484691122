import { LlamaVocabularyType } from 'node-llama-cpp'
import type { Llama, LlamaEmbedding, LlamaEmbeddingContext, LlamaModel, Token } from 'node-llama-cpp'
import { QMeshError, type ModelHash } from '../../../../../protocol/index.ts'
import type { LoadedModel } from '../../../engine.port.ts'
import type { FromThread, LoadTask } from '../../thread-messages.ts'
import type { VitalSigns } from '../../vital-signs.ts'
import { limitThreads, startLlama, toBackend, toLoadError } from '../loaded.ts'
import { planLoad, type LoadPlan } from '../plan.ts'

/** The native side of a model that makes embeddings. */
export interface LoadedEmbedder {
  readonly facts: LoadedModel
  /** Without what the model wants around a text. */
  tokenize(text: string): Token[]
  /** With it. */
  encode(text: string): Token[]
  /** @param tokens at most `facts.contextTokens`, in one go: the engine ends its process over one more */
  embed(tokens: readonly Token[]): Promise<readonly number[]>
  close(): Promise<void>
}

/** Tokens that the engine's library wants to have free behind a text. */
const spareTokens = 8

/**
 * Plans memory, and only then lets native code see the file.
 *
 * @param hash SHA-256 of the file, which has been verified
 * @throws QMeshError `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE`
 */
export async function loadEmbedder(
  { spec, options, port }: LoadTask,
  hash: ModelHash,
  vitals: VitalSigns,
): Promise<LoadedEmbedder> {
  const llama = await startLlama(options.gpuLayers, (level, message) =>
    port.postMessage({ type: 'log', level, message } satisfies FromThread, []),
  )
  const plan = await planLoad(llama, spec, options, { kind: 'embedding' })
  const threads = limitThreads(llama, options.threads)
  const { model, context } = await loadNative(llama, { spec, options }, plan, threads)
  checkVector(spec, plan, await context.getEmbeddingFor(withEnds(model, model.tokenize('a', false))))
  const tokenize = (text: string): Token[] => vitals.nativeNow(() => model.tokenize(text, false))
  return {
    facts: {
      id: spec.id,
      hash,
      contextTokens: plan.contextTokens,
      slots: plan.slots,
      backend: toBackend(llama, model),
      threads,
      memoryMb: Math.ceil(plan.bytes / 1024 ** 2),
      embeddingSize: plan.embeddingSize,
    },
    tokenize,
    encode: (text) => withEnds(model, tokenize(text)),
    embed: async (tokens) => (await vitals.native(() => context.getEmbeddingFor([...tokens]))).vector,
    async close() {
      await context.dispose()
      await model.dispose()
    },
  }
}

/** What is advertised before the model is loaded comes from the header. @throws QMeshError `QM_MODEL_UNSUPPORTED` */
function checkVector(
  { path }: LoadTask['spec'],
  { embeddingSize }: LoadPlan,
  { vector }: LlamaEmbedding,
): void {
  if (vector.length === embeddingSize) return
  throw new QMeshError(
    'QM_MODEL_UNSUPPORTED',
    `"${path}" makes vectors of ${vector.length} numbers, and says that it makes some of ${embeddingSize ?? 0}`,
  )
}

async function loadNative(
  llama: Llama,
  { spec, options }: Pick<LoadTask, 'spec' | 'options'>,
  { contextTokens }: LoadPlan,
  threads: number,
): Promise<{ model: LlamaModel; context: LlamaEmbeddingContext }> {
  let model: LlamaModel | undefined
  const contextSize = contextTokens + spareTokens
  try {
    model = await llama.loadModel({
      modelPath: spec.path,
      useMlock: options.mlock,
      gpuLayers:
        options.gpuLayers < 0 ? { fitContext: { contextSize, embeddingContext: true } } : options.gpuLayers,
    })
    // All of a text has to be in one batch: every token looks at every other.
    const context = await model.createEmbeddingContext({ contextSize, batchSize: contextTokens, threads })
    return { model, context }
  } catch (error) {
    await model?.dispose()
    throw toLoadError(error)
  }
}

/**
 * Puts the tokens around a text that the model was trained with. The library does it, too, but not around nothing, and
 * not in front for one kind of vocabulary.
 */
function withEnds(model: LlamaModel, tokens: readonly Token[]): Token[] {
  const { bos, eos, sep, shouldPrependBosToken, shouldAppendEosToken } = model.tokens
  const isWordPiece = model.vocabularyType === LlamaVocabularyType.wpm
  const start = isWordPiece || shouldPrependBosToken ? bos : null
  const end = isWordPiece ? sep : shouldAppendEosToken ? eos : null
  return [...(start === null ? [] : [start]), ...tokens, ...(end === null ? [] : [end])]
}
