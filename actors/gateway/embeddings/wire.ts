import { z } from 'zod'

/** What `POST /v1/embeddings` answers. */
export const embeddingListWire = z.strictObject({
  object: z.literal('list'),
  data: z.array(
    z.strictObject({
      object: z.literal('embedding'),
      index: z.number().int().min(0),
      /** Numbers, or, with `encoding_format` `base64`, the same as 32-bit floats in little-endian order. */
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  model: z.string(),
  usage: z.strictObject({
    prompt_tokens: z.number().int().min(0),
    total_tokens: z.number().int().min(0),
  }),
})
export type EmbeddingList = z.infer<typeof embeddingListWire>
