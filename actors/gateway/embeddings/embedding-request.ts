import { z } from 'zod'
import { limits } from '../../../protocol/index.ts'
import type { EmbedOptions } from '../../request/embed-options.ts'
import { ApiError } from '../api-error.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { callerFields } from '../requests/neutral.ts'
import { parseBody } from '../requests/parse.ts'
import { textOnly } from '../requests/text-only.ts'

const text = z.string().min(1).max(limits.promptCharsMax)

/** How many texts there may be is a bound of the gateway, which says so in words; this one bounds what is looked at. */
const input = textOnly(
  'Inputs',
  z.union([text, z.array(text).min(1).max(65_536)]).meta({ description: 'Text, or several texts.' }),
)

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
export function toEmbeddingCall(port: GatewayPort, body: unknown, inputsMax: number): EmbeddingCall {
  const request = parseBody(embeddingRequest, body)
  const texts = typeof request.input === 'string' ? [request.input] : request.input
  if (texts.length > inputsMax) {
    throw new ApiError(`${texts.length} inputs are too many: send at most ${inputsMax} at once.`, {
      code: 'invalid_value',
      param: 'input',
    })
  }
  const size = request.dimensions ?? undefined
  const model = toModel(port, request.model, { embedding: size ?? 'any' })
  return {
    texts,
    options: { ...(model !== undefined && { model }), ...(size !== undefined && { size }) },
    isBase64: request.encoding_format === 'base64',
  }
}
