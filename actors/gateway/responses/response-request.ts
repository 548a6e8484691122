import { z } from 'zod'
import { limits, promptSchema, type ChatMessage } from '../../../protocol/index.ts'
import type { Call } from '../call.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { content, toText } from '../requests/content.ts'
import { callerFields, neutral } from '../requests/neutral.ts'
import { isUnsupported, parseBody } from '../requests/parse.ts'
import { toJsonSchema } from '../requests/response-format.ts'
import { toSampling } from '../requests/sampling-fields.ts'

const noToolCalls = 'models of the mesh are not asked for tool calls yet'

/** A message; other items, such as calls of tools, are refused by their name. */
const inputItem = z
  .looseObject({
    type: z.string().max(64).optional(),
    role: z.enum(['user', 'assistant', 'system', 'developer']).optional(),
    content: content.optional(),
  })
  .superRefine((item, context) => {
    if (item.type !== undefined && item.type !== 'message') {
      const message = `Input of the type "${item.type}" is not supported: only messages are.`
      context.addIssue({ code: 'custom', message, path: ['type'], params: isUnsupported })
      return
    }
    for (const name of ['role', 'content'] as const) {
      if (item[name] === undefined)
        context.addIssue({ code: 'custom', message: `a message has a "${name}"`, path: [name] })
    }
  })

const format = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    name: z.string().max(64).optional(),
    description: z.string().max(4_096).optional(),
    schema: z.record(z.string(), z.unknown()),
    strict: z.boolean().nullish(),
  }),
])

/** The body of `POST /v1/responses`. */
export const responseRequest = z.strictObject({
  model: z.string().min(1).max(256),
  input: z.union([
    z.string().max(limits.promptCharsMax),
    z
      .array(inputItem)
      .min(1)
      .max(limits.chatMessagesMax - 1),
  ]),
  instructions: z.string().max(limits.promptCharsMax).nullish(),
  max_output_tokens: promptSchema.shape.maxTokens.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.boolean().nullish() }).nullish(),
  text: z
    .strictObject({
      format: format.nullish(),
      verbosity: neutral('verbosity', 'verbosity cannot be set', 'medium'),
    })
    .nullish(),
  truncation: neutral('truncation', 'what does not fit is refused, not cut', 'disabled'),
  store: neutral('store', 'this node keeps no answers', false),
  background: neutral('background', 'this node keeps no answers', false),
  previous_response_id: neutral('previous_response_id', 'this node keeps no answers: send the conversation'),
  conversation: neutral('conversation', 'this node keeps no answers: send the conversation'),
  prompt: neutral('prompt', 'this node keeps no templates'),
  include: neutral('include', 'there is nothing more to include', []),
  reasoning: neutral('reasoning', 'reasoning cannot be set', {}),
  tools: neutral('tools', noToolCalls, []),
  tool_choice: neutral('tool_choice', noToolCalls, 'none', 'auto'),
  parallel_tool_calls: z.boolean().nullish(),
  max_tool_calls: neutral('max_tool_calls', noToolCalls),
  top_logprobs: neutral('top_logprobs', 'workers do not send probabilities', 0),
  ...callerFields,
})
export type ResponseRequest = z.output<typeof responseRequest>

/** @throws ApiError for what is wrong with the body, or not supported */
export function toResponseCall(
  port: GatewayPort,
  body: unknown,
): Call & { readonly request: ResponseRequest } {
  const request = parseBody(responseRequest, body)
  const { instructions, input, text } = request
  const model = toModel(port, request.model)
  const given = text?.format
  const jsonSchema = toJsonSchema(
    given?.type === 'json_schema' ? { type: given.type, json_schema: { schema: given.schema } } : given,
  )
  return {
    model: request.model,
    prompts: 1,
    isStreamed: request.stream ?? false,
    hasUsage: true,
    request,
    asks: [
      {
        input: [
          ...(instructions ? [{ role: 'system' as const, content: instructions }] : []),
          ...(typeof input === 'string'
            ? [{ role: 'user' as const, content: input }]
            : input.map((item): ChatMessage => ({
                role: item.role === 'developer' ? 'system' : (item.role ?? 'user'),
                content: toText(item.content ?? ''),
              }))),
        ],
        options: {
          ...toSampling({ ...request, max_tokens: request.max_output_tokens }, 0),
          ...(model !== undefined && { model }),
          ...(jsonSchema !== undefined && { jsonSchema }),
        },
      },
    ],
  }
}
