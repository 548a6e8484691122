import { z } from 'zod'
import { limits, promptSchema, samplingSchema } from '../../../protocol/index.ts'
import type { AskOptions } from '../../request/ask-options.ts'

const stopString = z.string().min(1).max(limits.stopStringCharsMax)

/** Parameters of sampling and length that all APIs share. What is left out, or null, is the mesh's default. */
export const samplingFields = {
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: samplingSchema.shape.topK.unwrap().nullish(),
  min_p: samplingSchema.shape.minP.unwrap().nullish(),
  repetition_penalty: samplingSchema.shape.repeatPenalty.unwrap().nullish(),
  seed: z.number().int().min(0).max(0xffff_ffff).nullish(),
  stop: z.union([stopString, z.array(stopString).max(limits.stopStringsMax)]).nullish(),
  max_tokens: promptSchema.shape.maxTokens.nullish(),
}

type SamplingFields = { [Key in keyof typeof samplingFields]?: z.output<(typeof samplingFields)[Key]> }

/** The smallest `top_p` there is: 0, which clients send, means the likeliest token, and so does this. */
const topPMin = 1e-6

/** @param index of the choice: each has a seed of its own, or they would all be one */
export function toSampling(fields: SamplingFields, index: number): AskOptions {
  const { temperature, top_p: topP, top_k: topK, min_p: minP, repetition_penalty: penalty } = fields
  const { seed, stop, max_tokens: maxTokens } = fields
  return withoutAbsent({
    temperature,
    topP: typeof topP === 'number' ? Math.max(topP, topPMin) : undefined,
    topK,
    minP,
    repeatPenalty: penalty,
    seed: typeof seed === 'number' ? (seed + index) % 2 ** 32 : undefined,
    stop: typeof stop === 'string' ? [stop] : stop,
    maxTokens,
  })
}

/** Drops what is null or undefined: `AskOptions` has neither. */
function withoutAbsent(options: Record<string, unknown>): AskOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  )
}
