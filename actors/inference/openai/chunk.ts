import { z } from 'zod'
import { brokenAnswer, toQuote } from './engine-fault.ts'

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

const errorSchema = z.union([
  z.string(),
  z.object({ message: z.string().nullish(), code: z.unknown().optional() }),
])

const chunkSchema = z.object({
  choices: z
    .array(
      z.object({
        /** Of a chat. */
        delta: z.object({ content: z.string().nullish() }).nullish(),
        /** Of a completion without a chat. */
        text: z.string().nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .max(16)
    .nullish(),
  usage: z.object({ prompt_tokens: count.nullish() }).nullish(),
  error: errorSchema.nullish(),
})

/** What one event of a stream says. */
export interface Chunk {
  readonly text: string
  /** Why the answer ends, in the engine's words; undefined while it goes on. */
  readonly reason: string | undefined
  readonly promptTokens: number | undefined
}

/** @throws EngineFault for what is no such event, and for one that says that the engine failed */
export function toChunk(data: string): Chunk {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    throw brokenAnswer('an event that is not JSON')
  }
  const { success, data: chunk } = chunkSchema.safeParse(value)
  if (!success) throw brokenAnswer('an event of another shape than this API has')
  if (chunk.error !== undefined && chunk.error !== null)
    throw brokenAnswer(`an error in mid-answer: ${toQuote(errorText(chunk.error))}`)
  const choice = chunk.choices?.[0]
  return {
    text: choice?.delta?.content ?? choice?.text ?? '',
    reason: choice?.finish_reason ?? undefined,
    promptTokens: chunk.usage?.prompt_tokens ?? undefined,
  }
}

const errorText = (error: z.output<typeof errorSchema>): string =>
  typeof error === 'string' ? error : (error.message ?? '')

const errorBodySchema = z.object({ error: errorSchema })

/** What the body of a refusal says, in one line and not too long; empty when it says nothing that can be read. */
export function toErrorText(body: string): { readonly text: string; readonly code: string } {
  try {
    const { error } = errorBodySchema.parse(JSON.parse(body))
    const code = typeof error === 'object' ? error.code : undefined
    return { text: toQuote(errorText(error)), code: typeof code === 'string' ? code : '' }
  } catch {
    return { text: '', code: '' }
  }
}
