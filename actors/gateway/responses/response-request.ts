import { z } from 'zod'
import { limits, promptSchema } from '../../../protocol/index.ts'
import type { Call } from '../call.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { checkToolTurns } from '../requests/content.ts'
import { callerFields, neutral } from '../requests/neutral.ts'
import { parseBody } from '../requests/parse.ts'
import { toJsonSchema } from '../requests/response-format.ts'
import { toSampling } from '../requests/sampling-fields.ts'
import { checkOneForm } from '../requests/tool-fields.ts'
import { checkToolModel } from '../tool-models.ts'
import { inputItem, toMessages } from './response-input.ts'
import { toolFields, toTools } from './response-tools.ts'

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
  ...toolFields,
  max_tool_calls: neutral('max_tool_calls', 'the mesh runs no tools of its own'),
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
  const { messages, origins } =
    typeof input === 'string'
      ? { messages: [{ role: 'user' as const, content: input }], origins: [0] }
      : toMessages(input)
  checkToolTurns(messages, 'input', origins)
  const model = toModel(port, request.model)
  const tools = toTools(request)
  checkToolModel(port, model, messages, tools)
  const given = text?.format
  const jsonSchema = toJsonSchema(
    given?.type === 'json_schema' ? { type: given.type, json_schema: { schema: given.schema } } : given,
  )
  checkOneForm(jsonSchema, tools, 'text')
  return {
    model: request.model,
    prompts: 1,
    isStreamed: request.stream ?? false,
    hasUsage: true,
    request,
    asks: [
      {
        input: [...(instructions ? [{ role: 'system' as const, content: instructions }] : []), ...messages],
        options: {
          ...tools,
          ...toSampling({ ...request, max_tokens: request.max_output_tokens }, 0),
          ...(model !== undefined && { model }),
          ...(jsonSchema !== undefined && { jsonSchema }),
        },
      },
    ],
  }
}
