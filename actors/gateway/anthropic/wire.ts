import { z } from 'zod'

/** What Anthropic's API answers, as far as this gateway does. */

const count = z.number().int().min(0)

const usageWire = z.strictObject({
  /** Without those that were cached. */
  input_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  output_tokens: count,
})

const stopReason = z.enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use'])

const block = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  z.strictObject({
    type: z.literal('tool_use'),
    id: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
])

export const messageWire = z.strictObject({
  id: z.string(),
  type: z.literal('message'),
  role: z.literal('assistant'),
  model: z.string(),
  content: z.array(block),
  /** Null in the first event of a stream. */
  stop_reason: stopReason.nullable(),
  /** Which one it was; null also where several were given, as workers do not say. */
  stop_sequence: z.string().nullable(),
  usage: usageWire,
})

export const messageErrorWire = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({ type: z.string(), message: z.string(), qmesh_code: z.string() }),
})

export type Message = z.infer<typeof messageWire>
export type MessageBlock = z.infer<typeof block>
export type MessageUsage = z.infer<typeof usageWire>
