import { z } from 'zod'
import { limits } from '../../../protocol/index.ts'
import type { EmbedOptions } from '../../request/embed-options.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { callerFields } from '../requests/neutral.ts'
import { parseBody } from '../requests/parse.ts'
import { textOnly } from '../requests/text-only.ts'

/** Texts that one call may turn into vectors: with the widest ones, they are 20 MB as text. */
export const inputsMax = 256

const text = z.string().min(1).max(limits.promptCharsMax)

const texts = z
  .array(text)
  .min(1)
  .max(inputsMax, {
    error: ({ input: given }) =>
      `${Array.isArray(given) ? given.length : 'so many'} inputs are too many: send at most ${inputsMax} at once.`,
  })

const input = textOnly('Inputs', z.union([text, texts]).meta({ description: 'Text, or several texts.' }))

/** The body of `POST /v1/embeddings`. */
export const embeddingRequest = z.strictObject({
  model: z.string().min(1).max(256),
  input,
  encoding_format: z.enum(['float', 'base64']).nullish(),
  /** Numbers in a vector. It chooses a model; no vector is cut. */
  dimensions: z.number().int().min(1).max(limits.embeddingSizeMax).nullish(),
  user: callerFields.user,
})

export interface EmbeddingCall {
  readonly texts: readonly string[]
  readonly options: EmbedOptions
  readonly isBase64: boolean
}

/** @throws ApiError for what is wrong with the body, or not supported */
export function toEmbeddingCall(port: GatewayPort, body: unknown): EmbeddingCall {
  const request = parseBody(embeddingRequest, body)
  const size = request.dimensions ?? undefined
  const model = toModel(port, request.model, { embedding: size ?? 'any' })
  return {
    texts: typeof request.input === 'string' ? [request.input] : request.input,
    options: { ...(model !== undefined && { model }), ...(size !== undefined && { size }) },
    isBase64: request.encoding_format === 'base64',
  }
}
