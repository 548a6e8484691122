import { z } from 'zod'
import { limits, promptSchema, samplingSchema } from '../../../protocol/index.ts'
import type { Call } from '../call.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { content, toText } from '../requests/content.ts'
import { neutral } from '../requests/neutral.ts'
import { parseBody } from '../requests/parse.ts'
import { toSampling } from '../requests/sampling-fields.ts'

const noToolCalls = 'models of the mesh are not asked for tool calls yet'

/** The body of `POST /v1/messages`. */
export const messageRequest = z.strictObject({
  model: z.string().min(1).max(256),
  max_tokens: promptSchema.shape.maxTokens,
  messages: z
    .array(z.strictObject({ role: z.enum(['user', 'assistant']), content }))
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
  tools: neutral('tools', noToolCalls, []),
  tool_choice: neutral('tool_choice', noToolCalls, { type: 'auto' }, { type: 'none' }),
  thinking: neutral('thinking', 'models of the mesh do not think apart', { type: 'disabled' }),
  mcp_servers: neutral('mcp_servers', noToolCalls, []),
  container: neutral('container', 'nothing is run'),
  context_management: neutral('context_management', 'the conversation is sent as it is'),
  output_config: neutral('output_config', 'use "response_format" of /v1/chat/completions', {}),
})

/** @throws ApiError for what is wrong with the body, or not supported */
export function toMessageCall(
  port: GatewayPort,
  body: unknown,
): Call & { readonly stops: readonly string[] } {
  const request = parseBody(messageRequest, body)
  const { system, messages } = request
  const stops = request.stop_sequences ?? []
  const model = toModel(port, request.model)
  return {
    model: request.model,
    prompts: 1,
    isStreamed: request.stream ?? false,
    hasUsage: true,
    stops,
    asks: [
      {
        input: [
          ...(system ? [{ role: 'system' as const, content: toText(system) }] : []),
          ...messages.map(({ role, content: given }) => ({ role, content: toText(given) })),
        ],
        options: { ...toSampling({ ...request, stop: stops }, 0), ...(model !== undefined && { model }) },
      },
    ],
  }
}
