import { z } from 'zod'
import { limits } from '../../../protocol/index.ts'
import { ApiError } from '../api-error.ts'
import type { Call } from '../call.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { checkToolModel } from '../tool-models.ts'
import { chatMessage, checkToolTurns, toMessage } from './content.ts'
import { callerFields, neutralChatFields } from './neutral.ts'
import { parseBody } from './parse.ts'
import { responseFormat, toJsonSchema } from './response-format.ts'
import { samplingFields, toSampling } from './sampling-fields.ts'
import { checkChoices, streamFields, toStreaming } from './stream-fields.ts'
import { checkOneForm, toolFields, toTools } from './tool-fields.ts'

/** The body of `POST /v1/chat/completions`. */
export const chatRequest = z.strictObject({
  model: z.string().min(1).max(256),
  messages: z.array(chatMessage).min(1).max(limits.chatMessagesMax),
  ...streamFields,
  ...samplingFields,
  max_completion_tokens: samplingFields.max_tokens,
  response_format: responseFormat.nullish(),
  ...toolFields,
  ...neutralChatFields,
  ...callerFields,
})

/** @throws ApiError for what is wrong with the body, or not supported */
export function toChatCall(port: GatewayPort, body: unknown, choicesMax: number): Call {
  const request = parseBody(chatRequest, body)
  const { max_tokens: older, max_completion_tokens: newer } = request
  if (typeof older === 'number' && typeof newer === 'number' && older !== newer) {
    throw new ApiError('"max_tokens" and "max_completion_tokens" say different things; give one of them.', {
      code: 'invalid_value',
      param: 'max_tokens',
    })
  }
  const count = checkChoices(request.n ?? 1, choicesMax)
  const messages = request.messages.map(toMessage)
  checkToolTurns(messages, 'messages')
  const jsonSchema = toJsonSchema(request.response_format)
  const tools = toTools(request)
  checkOneForm(jsonSchema, tools, 'response_format')
  const model = toModel(port, request.model)
  checkToolModel(port, model, messages, tools)
  const fields = { ...request, max_tokens: newer ?? older }
  return {
    ...toStreaming(request),
    model: request.model,
    prompts: 1,
    asks: Array.from({ length: count }, (_, index) => ({
      input: messages,
      options: {
        ...toSampling(fields, index),
        ...(model !== undefined && { model }),
        ...(jsonSchema !== undefined && { jsonSchema }),
        ...tools,
      },
    })),
  }
}
