import { GgufInsights, readGgufFileInfo } from 'node-llama-cpp'
import type { GgufInsightsResourceRequirements, GgufMetadata, Llama } from 'node-llama-cpp'
import { QMeshError, limits, toQMeshError } from '../../../../protocol/index.ts'
import type { EngineOptions, ModelSpec } from '../../engine.port.ts'
import { availableMemoryBytes } from '../../memory.ts'

/** Tokens of a slot's context where nothing is asked for: enough for a conversation, small beside the weights. */
const contextTokensDefault = 4_096
/** A context below this cannot hold a question and its answer. */
const contextTokensMin = 512
/** The same for a text of which an embedding is made: most models are trained for 512, and few pages have more. */
const embeddingContextDefault = 2_048
const embeddingContextMin = 128
const slotsDefault = { cpu: 4, gpu: 8 } as const
/** One actor per slot, and one actor has at most 100 children. */
const slotsMax = 64
/** Share of the available memory a model may take by default: the machine has other work. */
const memoryShare = 0.9

export interface LoadPlan {
  readonly contextTokens: number
  readonly slots: number
  /** Bytes that weights and context take. */
  readonly bytes: number
  /** Numbers in a vector, of a model that makes embeddings. */
  readonly embeddingSize?: number | undefined
  /** What the file says of itself. */
  readonly metadata: GgufMetadata
}

type Shape = Pick<LoadPlan, 'contextTokens' | 'slots'>

export interface PlanOptions {
  /** What the model is for. Default: it answers. */
  readonly kind?: 'chat' | 'embedding'
  /** It is not loaded now: what other models hold at the moment does not count, `memoryBytesMax` does. */
  readonly isSurvey?: boolean
}

const sum = ({ cpuRam, gpuVram }: GgufInsightsResourceRequirements): number => cpuRam + gpuVram
const megabytes = (bytes: number): number => Math.ceil(bytes / 1024 / 1024)

/**
 * Chooses context and slots so that weights and KV cache fit the memory. What the operator asked for is taken or
 * refused, never silently reduced; what was left open shrinks: first slots, then the context. A model that makes
 * embeddings has one slot, and no more context than it was trained for: it has no place for more tokens.
 *
 * @throws QMeshError `QM_MODEL_UNSUPPORTED`, `QM_MODEL_TOO_LARGE` with the numbers
 */
export async function planLoad(
  llama: Llama,
  spec: ModelSpec,
  options: EngineOptions,
  { kind = 'chat', isSurvey = false }: PlanOptions = {},
): Promise<LoadPlan> {
  const insights = await readInsights(llama, spec)
  const isEmbedding = kind === 'embedding'
  const embeddingSize = isEmbedding ? toEmbeddingSize(spec, insights) : undefined
  const trained = insights.trainContextSize ?? (isEmbedding ? contextTokensMin : contextTokensDefault)
  if (spec.contextTokens !== undefined && spec.contextTokens > limits.contextTokensMax) {
    throw new QMeshError('QM_MODEL_TOO_LARGE', `a context of ${spec.contextTokens} tokens is over the limit`)
  }
  const hasGpu = llama.gpu !== false && options.gpuLayers !== 0
  const gpuLayers = hasGpu ? (options.gpuLayers < 0 ? insights.totalLayers : options.gpuLayers) : 0
  const { free, gpuFree } = await freeMemory(llama, hasGpu)
  const weights = await insights.estimateModelResourceRequirementsV2({ gpuLayers })
  const { memoryBytesMax = Infinity } = options
  const usable = (free + gpuFree) * memoryShare
  const available = isSurvey && memoryBytesMax < Infinity ? memoryBytesMax : Math.min(usable, memoryBytesMax)
  const needs = async ({ contextTokens, slots }: Shape): Promise<number> => {
    const context = {
      contextSize: contextTokens,
      sequences: slots,
      modelGpuLayers: gpuLayers,
      ...(isEmbedding && { isEmbeddingContext: true, batchSize: contextTokens }),
    }
    // The exact estimate builds the graph, which takes for ever for an absurd context: the cache alone decides there.
    const cache = sum(
      insights.estimateContextResourceRequirements({ ...context, includeGraphOverhead: false }),
    )
    if (cache > available) return sum(weights) + cache
    return sum(weights) + sum(await insights.estimateContextResourceRequirementsV2(context))
  }
  const plans = isEmbedding
    ? embeddingCandidates(spec, trained)
    : candidates(spec, Math.min(trained, contextTokensDefault), hasGpu)
  for (const plan of plans) {
    const bytes = Math.ceil(await needs(plan))
    const { metadata } = insights.ggufFileInfo
    if (bytes <= available) return { ...plan, bytes, embeddingSize, metadata }
  }

  const smallest = plans.at(-1) ?? { contextTokens: contextTokensMin, slots: 1 }
  throw new QMeshError(
    'QM_MODEL_TOO_LARGE',
    `"${spec.path}" with a context of ${smallest.contextTokens} tokens and ${smallest.slots} slot(s) needs about ` +
      `${megabytes(await needs(smallest))} MB, ${megabytes(available)} MB are available; take a smaller model, ` +
      `fewer slots or a shorter context`,
  )
}

/** From the largest wish to the smallest plan that makes sense. */
function candidates(spec: ModelSpec, contextDefault: number, hasGpu: boolean): Shape[] {
  const contexts =
    spec.contextTokens === undefined ? halves(contextDefault, contextTokensMin) : [spec.contextTokens]
  const slots =
    spec.slots === undefined
      ? halves(hasGpu ? slotsDefault.gpu : slotsDefault.cpu, 1)
      : [Math.min(spec.slots, slotsMax)]
  return contexts.flatMap((contextTokens) => slots.map((count) => ({ contextTokens, slots: count })))
}

/** The same, where every text is read in one go: working memory grows with the square of the context. */
function embeddingCandidates({ contextTokens }: ModelSpec, trained: number): Shape[] {
  const contexts =
    contextTokens === undefined
      ? halves(Math.min(trained, embeddingContextDefault), embeddingContextMin)
      : [Math.min(contextTokens, trained)]
  return contexts.map((tokens) => ({ contextTokens: tokens, slots: 1 }))
}

/** @throws QMeshError `QM_MODEL_UNSUPPORTED` */
function toEmbeddingSize({ path }: ModelSpec, { ggufFileInfo, embeddingVectorSize }: GgufInsights): number {
  const { embedding_length_out: out } = ggufFileInfo.architectureMetadata as {
    readonly embedding_length_out?: unknown
  }
  const size = typeof out === 'number' && out > 0 ? out : (embeddingVectorSize ?? 0)
  if (size >= 1 && size <= limits.embeddingSizeMax) return size
  throw new QMeshError(
    'QM_MODEL_UNSUPPORTED',
    `"${path}" makes vectors of ${size} numbers, at most ${limits.embeddingSizeMax} cross the mesh`,
  )
}

function halves(from: number, min: number): number[] {
  const values = [from]
  for (let value = Math.floor(from / 2); value >= min; value = Math.floor(value / 2)) values.push(value)
  return values
}

async function freeMemory(llama: Llama, hasGpu: boolean): Promise<{ free: number; gpuFree: number }> {
  const free = await availableMemoryBytes()
  if (!hasGpu) return { free, gpuFree: 0 }
  const vram = await llama.getVramState()
  // Memory shared by processor and GPU must not be counted twice.
  return { free, gpuFree: Math.max(0, vram.free - vram.unifiedSize) }
}

async function readInsights(llama: Llama, spec: ModelSpec): Promise<GgufInsights> {
  let insights: GgufInsights
  try {
    const info = await readGgufFileInfo(spec.path, { sourceType: 'filesystem', logWarnings: false })
    insights = await GgufInsights.from(info, llama)
  } catch (error) {
    throw toQMeshError(error, 'QM_MODEL_FILE_INVALID')
  }
  if (!insights.isSupportedByLlamaCpp || !insights.hasDecoder) {
    const architecture = insights.ggufFileInfo.metadata.general.architecture
    throw new QMeshError(
      'QM_MODEL_UNSUPPORTED',
      `"${spec.path}" is a model of architecture "${architecture}", which this engine cannot generate text with`,
    )
  }
  return insights
}
