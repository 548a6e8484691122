import { z } from 'zod'
import { limits } from '../limits.ts'

export const chatMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().max(limits.promptCharsMax),
})
export type ChatMessage = z.infer<typeof chatMessageSchema>

export const samplingSchema = z.object({
  /** 0 is greedy. Default 0.6. */
  temperature: z.number().min(0).max(5).default(0.6),
  /** Tokens considered, by rank; 0 switches it off. */
  topK: z.number().int().min(0).max(1_000).default(40),
  topP: z.number().gt(0).max(1).default(0.95),
  minP: z.number().min(0).max(1).default(0.05),
  /** 1 switches it off, and is the default: greedy then means the likeliest token, which others can check. */
  repeatPenalty: z.number().min(0.5).max(2).default(1),
  /** Tokens back that the repeat penalty looks at. */
  repeatLastTokens: z.number().int().min(0).max(1_024).default(64),
  /** Same seed, same prompt, same engine and processor: same answer. Absent: the worker draws one. */
  seed: z.number().int().min(0).max(0xffff_ffff).optional(),
})
export type Sampling = z.infer<typeof samplingSchema>

export const defaultSampling: Sampling = samplingSchema.parse({})
