import { z } from 'zod'
import { limits, toUnitVector } from '../../../protocol/index.ts'
import type { EngineTarget } from './availability.ts'
import { brokenAnswer, EngineFault } from './engine-fault.ts'
import { openExchange, readWhole } from './exchange.ts'
import { toAddress } from './open-stream.ts'
import { toRefusal } from './refusal.ts'

const answerSchema = z.object({
  data: z
    .array(
      z.object({
        index: z.number().int().min(0).max(limits.embedTextsMax),
        embedding: z.array(z.number()).min(1).max(limits.embeddingSizeMax),
      }),
    )
    .max(limits.embedTextsMax),
  usage: z.object({ prompt_tokens: z.number().int().min(0) }).optional(),
})

/** Bytes of one number as text, with what stands between two, and of everything that is no number. */
const numberBytesMax = 32
const restBytesMax = 64 * 1024

export interface EngineEmbeddings {
  /** In the order of the texts, each of length 1. */
  readonly vectors: readonly Float32Array[]
  /** Tokens of all texts, as the engine counts them; undefined where it does not. */
  readonly promptTokens: number | undefined
}

/**
 * Has the engine make vectors of texts.
 *
 * @param withinMs milliseconds for all of it
 * @throws EngineFault for an answer that is none, or that has vectors without direction or of several sizes
 */
export async function callEmbeddings(
  { url, key, model }: EngineTarget,
  texts: readonly string[],
  { signal, withinMs }: { readonly signal: AbortSignal; readonly withinMs: number },
): Promise<EngineEmbeddings> {
  const body = { model, input: texts, encoding_format: 'float' }
  const untilMs = performance.now() + withinMs
  const exchange = await openExchange(toAddress(url, '/embeddings'), {
    key,
    body,
    accept: 'application/json',
    signal,
    answerMs: withinMs,
  })
  if (exchange.status !== 200) throw await toRefusal(exchange)
  const bytesMax = texts.length * limits.embeddingSizeMax * numberBytesMax + restBytesMax
  const text = await readWhole(exchange, Math.max(0, untilMs - performance.now()), bytesMax)
  return toEmbeddings(text, texts.length)
}

function toEmbeddings(text: string, count: number): EngineEmbeddings {
  let answer: z.output<typeof answerSchema>
  try {
    answer = answerSchema.parse(JSON.parse(text))
  } catch {
    throw brokenAnswer('what it says at /embeddings makes no sense')
  }
  const { data, usage } = answer
  const byIndex = new Map(data.map(({ index, embedding }) => [index, embedding]))
  const vectors = Array.from({ length: count }, (_, index) => toUnitVector(byIndex.get(index) ?? []))
  const size = vectors[0]?.length
  if (data.length !== count || !vectors.every((vector) => vector !== undefined && vector.length === size))
    throw brokenAnswer(
      `it gave ${data.length} embeddings of ${count}, or some of several sizes, or of no direction`,
    )
  return { vectors: vectors.flatMap((vector) => vector ?? []), promptTokens: usage?.prompt_tokens }
}

/**
 * Whether the model makes embeddings, found out by asking for one.
 *
 * @returns numbers in a vector; undefined when it makes none
 */
export async function tryEmbedding(target: EngineTarget, signal: AbortSignal): Promise<number | undefined> {
  try {
    const { vectors } = await callEmbeddings(target, ['a'], { signal, withinMs: target.patience.trialMs })
    return vectors[0]?.length
  } catch (error) {
    if (error instanceof EngineFault) return undefined
    throw error
  }
}
