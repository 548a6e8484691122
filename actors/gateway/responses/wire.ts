import { z } from 'zod'

/** What OpenAI's Responses API answers, as far as this gateway does. */

const count = z.number().int().min(0)

const outputText = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.never()),
})

const outputMessage = z.strictObject({
  type: z.literal('message'),
  id: z.string(),
  status: z.enum(['in_progress', 'completed', 'incomplete']),
  role: z.literal('assistant'),
  content: z.array(outputText),
})

const outputCall = z.strictObject({
  type: z.literal('function_call'),
  id: z.string(),
  call_id: z.string(),
  name: z.string(),
  /** JSON text as the model wrote it: it may be wrong. */
  arguments: z.string(),
  status: z.enum(['in_progress', 'completed', 'incomplete']),
})

const outputItem = z.discriminatedUnion('type', [outputMessage, outputCall])

export const responseWire = z.strictObject({
  id: z.string(),
  object: z.literal('response'),
  created_at: z.number().int(),
  status: z.enum(['in_progress', 'completed', 'incomplete']),
  error: z.null(),
  incomplete_details: z.strictObject({ reason: z.literal('max_output_tokens') }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: count.nullable(),
  metadata: z.record(z.string(), z.unknown()),
  model: z.string(),
  output: z.array(outputItem),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.null(),
  /** Nothing is kept: what was answered cannot be asked for again. */
  store: z.literal(false),
  temperature: z.number().nullable(),
  text: z.strictObject({ format: z.looseObject({ type: z.string() }) }),
  /** As it was asked for. */
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]),
  tools: z.array(z.looseObject({ type: z.string() })),
  top_p: z.number().nullable(),
  truncation: z.literal('disabled'),
  usage: z
    .strictObject({
      input_tokens: count,
      input_tokens_details: z.strictObject({ cached_tokens: count }),
      output_tokens: count,
      output_tokens_details: z.strictObject({ reasoning_tokens: count }),
      total_tokens: count,
    })
    .nullable(),
})

export type Response = z.infer<typeof responseWire>
export type OutputMessage = z.infer<typeof outputMessage>
export type OutputCall = z.infer<typeof outputCall>
export type OutputItem = z.infer<typeof outputItem>
