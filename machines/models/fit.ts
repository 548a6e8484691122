import type { ModelFacts } from '../../protocol/models/index.ts'

/** Bytes that a model takes with a context of so many tokens, weights included. */
export interface MemoryNeed {
  readonly contextTokens: number
  readonly bytes: number
}

/** Whether a model fits this machine, and with how long a context. */
export interface Fit {
  readonly fits: boolean
  /** The longest context that fits; 0 when none does. */
  readonly contextTokens: number
  /** Bytes for that context, or for the smallest one when none fits. */
  readonly needBytes: number
  readonly availableBytes: number
  /** Worked out from a few facts, because the file is not here: 30 % off is possible. */
  readonly isEstimate: boolean
}

/** Share of the available memory that a model may take: the machine has other work. */
export const memoryShare = 0.9
/** Tokens below which a context cannot hold a question and its answer. */
export const contextTokensMin = 512

/** Contexts worth asking about, shortest first: doubled each time, and what the model was trained for at the end. */
export function contextSteps(trainedTokens: number): readonly number[] {
  const steps: number[] = []
  for (let tokens = contextTokensMin; tokens < trainedTokens; tokens *= 2) steps.push(tokens)
  return [...steps, Math.max(1, trainedTokens)]
}

/** @param needs for one or more contexts, in any order */
export function fitModel(needs: readonly MemoryNeed[], freeBytes: number, isEstimate = false): Fit {
  const availableBytes = Math.max(0, Math.floor(freeBytes * memoryShare))
  const ordered = needs.toSorted((a, b) => a.contextTokens - b.contextTokens)
  const best = ordered.findLast(({ bytes }) => bytes <= availableBytes)
  return {
    fits: best !== undefined,
    contextTokens: best?.contextTokens ?? 0,
    needBytes: (best ?? ordered[0])?.bytes ?? 0,
    availableBytes,
    isEstimate,
  }
}

/** Bits that one parameter takes on average, the tables beside the weights included. */
const bitsPerParameter: Readonly<Record<string, number>> = {
  F32: 32,
  F16: 16,
  BF16: 16,
  Q8_0: 8.6,
  Q6_K: 6.7,
  Q5_K_M: 5.8,
  Q5_K_S: 5.6,
  Q5_1: 6.1,
  Q5_0: 5.6,
  Q4_K_M: 5.1,
  Q4_K_S: 4.8,
  Q4_1: 5.1,
  Q4_0: 4.7,
  Q3_K_L: 4.5,
  Q3_K_M: 4.2,
  Q3_K_S: 3.8,
  Q2_K: 3.4,
}
const bitsUnknown = 8

/** Bytes that the engine takes beside weights and cache. */
const overheadBytes = 128 * 1024 ** 2

/**
 * Memory needs of a model whose file is not here, from its facts.
 *
 * @param fileBytes size of its file where it is known
 * @returns nothing when too little is known to say anything
 */
export function estimateNeeds(
  { parameters, quantization, embeddingLength, contextTokens }: ModelFacts,
  fileBytes: number | null,
): readonly MemoryNeed[] {
  const bits = bitsPerParameter[quantization.toUpperCase()] ?? bitsUnknown
  const weights = fileBytes ?? (parameters === null ? null : (parameters * bits) / 8)
  if (weights === null) return []
  // Keys and values of 16 bits. Layers are about parameters / (12 × width²), and grouped attention, which nearly all
  // of today's models have, shares each key among four heads or more.
  const width = embeddingLength ?? 2_048
  const layers = Math.max(6, Math.min(128, Math.round((parameters ?? weights) / (12 * width ** 2))))
  const bytesPerToken = (2 * 2 * layers * width) / 4
  return contextSteps(contextTokens ?? 4_096).map((tokens) => ({
    contextTokens: tokens,
    bytes: Math.ceil(weights + overheadBytes + bytesPerToken * tokens),
  }))
}
