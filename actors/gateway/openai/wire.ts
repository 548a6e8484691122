import { z } from 'zod'

/** What OpenAI's API answers, as far as this gateway does: the types of the code and the OpenAPI document are one. */

const count = z.number().int().min(0)
const seconds = z.number().int()
const textFinishReason = z.enum(['stop', 'length'])
const finishReason = z.enum(['stop', 'length', 'tool_calls'])
const toolCall = z.strictObject({
  id: z.string(),
  type: z.literal('function'),
  /** The arguments are JSON text as the model wrote it: it may be wrong. */
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
})
/** The first part of a call has all of it, the others only `index` and more of the arguments. */
const toolCallDelta = z.strictObject({
  index: count,
  id: z.string().optional(),
  type: z.literal('function').optional(),
  function: z.strictObject({ name: z.string().optional(), arguments: z.string() }),
})

export const usageWire = z.strictObject({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.strictObject({ cached_tokens: count }),
})

export const chatCompletionWire = z.strictObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: seconds,
  model: z.string(),
  /** The weights: equal fingerprints, equal weights. */
  system_fingerprint: z.string(),
  choices: z.array(
    z.strictObject({
      index: count,
      message: z.strictObject({
        role: z.literal('assistant'),
        /** Null where the answer is calls and nothing else. */
        content: z.string().nullable(),
        refusal: z.null(),
        tool_calls: z.array(toolCall).optional(),
      }),
      logprobs: z.null(),
      finish_reason: finishReason,
    }),
  ),
  usage: usageWire,
})

export const chatChunkWire = z.strictObject({
  id: z.string(),
  object: z.literal('chat.completion.chunk'),
  created: seconds,
  model: z.string(),
  choices: z.array(
    z.strictObject({
      index: count,
      delta: z.strictObject({
        role: z.literal('assistant').optional(),
        content: z.string().optional(),
        tool_calls: z.array(toolCallDelta).optional(),
      }),
      logprobs: z.null(),
      finish_reason: finishReason.nullable(),
    }),
  ),
  /** Present when asked for: null but in the last chunk. */
  usage: usageWire.nullable().optional(),
})

export const completionWire = z.strictObject({
  id: z.string(),
  object: z.literal('text_completion'),
  created: seconds,
  model: z.string(),
  system_fingerprint: z.string().optional(),
  choices: z.array(
    z.strictObject({
      index: count,
      text: z.string(),
      logprobs: z.null(),
      finish_reason: textFinishReason.nullable(),
    }),
  ),
  /** In a stream, present when asked for: null but in the last chunk. */
  usage: usageWire.nullable().optional(),
})

export const modelWire = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  created: seconds,
  owned_by: z.literal('qmesh'),
  /** Tokens of prompt and answer together, at the worker with most room. */
  context_length: count,
  /** Known workers that hold it. */
  workers: count,
  /** Numbers in a vector, of a model that makes embeddings and answers nothing. */
  embedding_size: count.optional(),
  /** Whether it can be offered tools. */
  tools: z.boolean(),
})

export const modelListWire = z.strictObject({ object: z.literal('list'), data: z.array(modelWire) })

export const errorWire = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    /** The part of the request that is wrong. */
    param: z.string().nullable(),
    code: z.string(),
    /** The mesh's own code: see docs/ERRORS.md. */
    qmesh_code: z.string(),
  }),
})

export type ToolCallWire = z.infer<typeof toolCall>
export type ToolCallDeltaWire = z.infer<typeof toolCallDelta>
export type Usage = z.infer<typeof usageWire>
export type ChatCompletion = z.infer<typeof chatCompletionWire>
export type ChatChunk = z.infer<typeof chatChunkWire>
export type Completion = z.infer<typeof completionWire>
export type ModelList = z.infer<typeof modelListWire>
export type Model = z.infer<typeof modelWire>
