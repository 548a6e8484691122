import { z } from 'zod'
import { ApiError } from '../api-error.ts'

export const streamFields = {
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().nullish(),
      /** Padding against listeners on the network path; there is none, and on loopback no path. */
      include_obfuscation: z.boolean().nullish(),
    })
    .nullish(),
  n: z.number().int().min(1).max(128).nullish(),
}

interface StreamRequest {
  readonly stream?: boolean | null | undefined
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | null | undefined
}

export function toStreaming({ stream, stream_options: options }: StreamRequest) {
  if (options && !stream) {
    throw new ApiError('"stream_options" may only be given together with "stream": true.', {
      code: 'invalid_value',
      param: 'stream_options',
    })
  }
  return { isStreamed: stream ?? false, hasUsage: options?.include_usage ?? false }
}

/** @throws ApiError for more answers than one call may ask for */
export function checkChoices(count: number, choicesMax: number, param = 'n'): number {
  if (count <= choicesMax) return count
  throw new ApiError(`One request may ask for ${choicesMax} answers at most, not ${count}.`, {
    code: 'invalid_value',
    param,
  })
}
