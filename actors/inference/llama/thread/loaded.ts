import { getLlama, LlamaVocabularyType } from 'node-llama-cpp'
import type { Llama, LlamaContext, LlamaLogLevel, LlamaModel, Token } from 'node-llama-cpp'
import { toQMeshError, type ModelHash, type QMeshError } from '../../../../protocol/index.ts'
import type { LoadedModel } from '../../engine.port.ts'
import type { FromThread, LoadTask } from '../thread-messages.ts'
import type { VitalSigns } from '../vital-signs.ts'
import { readToolTemplate, withCallMarks } from './model-tools.ts'
import { planLoad, type LoadPlan } from './plan.ts'
import { createPromptEncoder, type PromptEncoder } from './prompt.ts'
import { SequencePool } from './sequence-pool.ts'
import type { PieceDecoder } from './token-text.ts'

/** The native side of one host: what a thread holds between load and close. */
export interface Loaded {
  readonly llama: Llama
  readonly model: LlamaModel
  readonly facts: LoadedModel
  readonly pool: SequencePool
  readonly prompts: PromptEncoder
  readonly decoder: PieceDecoder
  /** The same for answers that may call functions. */
  readonly callDecoder: PieceDecoder
  /** Token ids are below it. */
  readonly vocabularySize: number
  close(): Promise<void>
}

/**
 * Plans memory, and only then lets native code see the file.
 *
 * @param hash SHA-256 of the file, which has been verified
 * @throws QMeshError `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE`
 */
export async function loadModel(
  { spec, options, port }: LoadTask,
  hash: ModelHash,
  vitals: VitalSigns,
): Promise<Loaded> {
  const llama = await startLlama(options.gpuLayers, (level, message) =>
    port.postMessage({ type: 'log', level, message } satisfies FromThread, []),
  )
  const plan = await planLoad(llama, spec, options)
  const threads = limitThreads(llama, options.threads)
  const { model, context } = await loadNative(llama, { spec, options }, plan, threads)
  const { tokenizer } = model.fileInfo.metadata
  const toolTemplate = readToolTemplate(tokenizer)
  const decoder = createDecoder(model, vitals)
  const sequences = Array.from({ length: plan.slots }, () => context.getSequence())
  return {
    llama,
    model,
    pool: new SequencePool(sequences),
    prompts: createPromptEncoder(model, vitals, toolTemplate),
    decoder,
    callDecoder: toolTemplate ? withCallMarks(decoder, toolTemplate, tokenizer) : decoder,
    vocabularySize: tokenizer?.ggml.tokens.length ?? 0,
    facts: {
      id: spec.id,
      hash,
      contextTokens: plan.contextTokens,
      slots: plan.slots,
      backend: toBackend(llama, model),
      threads,
      ...(toolTemplate && { tools: toolTemplate.style }),
      memoryMb: Math.ceil(
        [model.memoryUsage, context.memoryUsage].reduce((sum, { ram, vram }) => sum + ram + vram, 0) /
          1024 ** 2,
      ),
    },
    // The backend itself stays: it belongs to the process, and other hosts may be using it.
    async close() {
      await context.dispose()
      await model.dispose()
    },
  }
}

export const toBackend = (llama: Llama, model: LlamaModel): LoadedModel['backend'] =>
  llama.gpu === false || model.gpuLayers === 0 ? 'cpu' : llama.gpu

/** More threads than cores that do maths make it slower by orders of magnitude: they spin while they wait. */
export function limitThreads(llama: Llama, wanted: number): number {
  const threads = Math.max(1, Math.min(wanted, llama.cpuMathCores))
  llama.maxThreads = threads
  return threads
}

/** The engine's library in this thread, with the lines of its log. */
export async function startLlama(
  gpuLayers: number,
  log: (level: LlamaLogLevel, message: string) => void,
): Promise<Llama> {
  const options = {
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logger: log,
    // The operator's memory is checked by our own plan, against what control groups allow.
    ramPadding: 0,
  } as const
  try {
    return await getLlama({ ...options, gpu: gpuLayers === 0 ? false : 'auto' })
  } catch (error) {
    throw toQMeshError(error, 'QM_MODEL_UNSUPPORTED')
  }
}

async function loadNative(
  llama: Llama,
  { spec, options }: Pick<LoadTask, 'spec' | 'options'>,
  { contextTokens, slots }: LoadPlan,
  threads: number,
): Promise<{ model: LlamaModel; context: LlamaContext }> {
  let model: LlamaModel | undefined
  try {
    model = await llama.loadModel({
      modelPath: spec.path,
      useMlock: options.mlock,
      gpuLayers:
        options.gpuLayers < 0 ? { fitContext: { contextSize: contextTokens * slots } } : options.gpuLayers,
    })
    const context = await model.createContext({
      sequences: slots,
      contextSize: contextTokens,
      threads: { ideal: threads, min: threads },
      failedCreationRemedy: false,
    })
    return { model, context }
  } catch (error) {
    await model?.dispose()
    throw toLoadError(error)
  }
}

/** The header was sound, so what failed is either memory or something this build of the engine cannot do. */
export function toLoadError(error: unknown): QMeshError {
  const isMemory = error instanceof Error && /memory|vram|too large|allocate/i.test(error.message)
  return toQMeshError(error, isMemory ? 'QM_MODEL_TOO_LARGE' : 'QM_MODEL_UNSUPPORTED')
}

/**
 * Tokenizers that write spaces in front of words drop the one at the very beginning. A fixed token in front, whose
 * text is cut off again, makes a token's text the same wherever it stands.
 */
function createDecoder(model: LlamaModel, vitals: VitalSigns): PieceDecoder {
  const anchor: Token[] = model.vocabularyType === LlamaVocabularyType.bpe ? [] : model.tokenize('a', false)
  const anchorChars = model.detokenize(anchor).length
  const detokenize = (tokens: readonly number[]): string =>
    model.detokenize([...anchor, ...(tokens as Token[])]).slice(anchorChars)
  return { decode: (tokens) => vitals.nativeNow(() => detokenize(tokens)) }
}
