import { z } from 'zod'
import { limits, promptSchema, samplingSchema } from '../../../protocol/index.ts'
import type { Call } from '../call.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { checkToolTurns, content, toText } from '../requests/content.ts'
import { neutral } from '../requests/neutral.ts'
import { parseBody } from '../requests/parse.ts'
import { toSampling } from '../requests/sampling-fields.ts'
import { checkToolModel } from '../tool-models.ts'
import { messageParam, toMessages } from './message-content.ts'
import { toolFields, toTools } from './message-tools.ts'

/** The body of `POST /v1/messages`. */
export const messageRequest = z.strictObject({
  model: z.string().min(1).max(256),
  max_tokens: promptSchema.shape.maxTokens,
  messages: z
    .array(messageParam)
    .min(1)
    .max(limits.chatMessagesMax - 1),
  system: content.nullish(),
  stream: z.boolean().nullish(),
  stop_sequences: z
    .array(z.string().min(1).max(limits.stopStringCharsMax))
    .max(limits.stopStringsMax)
    .nullish(),
  temperature: z.number().min(0).max(1).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: samplingSchema.shape.topK.unwrap().nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  service_tier: z.enum(['auto', 'standard_only']).nullish(),
  ...toolFields,
  thinking: neutral('thinking', 'models of the mesh do not think apart', { type: 'disabled' }),
  mcp_servers: neutral('mcp_servers', 'nothing is run', []),
  container: neutral('container', 'nothing is run'),
  context_management: neutral('context_management', 'the conversation is sent as it is'),
  output_config: neutral('output_config', 'use "response_format" of /v1/chat/completions', {}),
})

/** @throws ApiError for what is wrong with the body, or not supported */
export function toMessageCall(
  port: GatewayPort,
  body: unknown,
): Call & { readonly stops: readonly string[]; readonly hasTools: boolean } {
  const request = parseBody(messageRequest, body)
  const { system } = request
  const perMessage = request.messages.map(toMessages)
  const messages = perMessage.flat()
  checkToolTurns(
    messages,
    'messages',
    perMessage.flatMap((made, index) => made.map(() => index)),
  )
  const stops = request.stop_sequences ?? []
  const tools = toTools(request)
  const model = toModel(port, request.model)
  checkToolModel(port, model, messages, tools)
  return {
    model: request.model,
    prompts: 1,
    isStreamed: request.stream ?? false,
    hasUsage: true,
    stops,
    hasTools: tools.tools !== undefined,
    asks: [
      {
        input: [...(system ? [{ role: 'system' as const, content: toText(system) }] : []), ...messages],
        options: {
          ...toSampling({ ...request, stop: stops }, 0),
          ...(model !== undefined && { model }),
          ...tools,
        },
      },
    ],
  }
}
