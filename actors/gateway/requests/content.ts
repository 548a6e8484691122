import { z } from 'zod'
import { findToolTurnFault, limits, toolCallSchema, type ChatMessage } from '../../../protocol/index.ts'
import { ApiError } from '../api-error.ts'
import { isUnsupported } from './parse.ts'
import { neutral } from './neutral.ts'

const text = z.string().max(limits.promptCharsMax)

/** The parts that are text, by what the APIs call them. */
const textTypes: ReadonlySet<string> = new Set(['text', 'input_text', 'output_text'])

/** One part of a message. Anything but text is refused by its name. */
export const contentPart = z
  .looseObject({ type: z.string().max(64), text: text.optional() })
  .superRefine((part, context) => {
    if (!textTypes.has(part.type)) {
      const message = `Content of the type "${part.type}" is not supported: only text is.`
      context.addIssue({ code: 'custom', message, path: ['type'], params: isUnsupported })
    } else if (part.text === undefined) {
      context.addIssue({ code: 'custom', message: 'a part of the type "text" has a "text"', path: ['text'] })
    }
  })

/** Text, as it is or in parts. */
export const content = z.union([text, z.array(contentPart).min(1).max(limits.chatMessagesMax)])
export type Content = z.output<typeof content>

/** Parts become lines, as in other servers for open models. */
export const toText = (given: Content): string =>
  typeof given === 'string' ? given : given.map((part) => part.text ?? '').join('\n')

const noNames = 'chat templates have no place for names'
const callId = toolCallSchema.shape.id
const name = neutral('name', noNames)

/** A call that the model made. */
const toolCall = z.strictObject({
  id: callId,
  type: z.literal('function'),
  function: z.strictObject({
    name: toolCallSchema.shape.name,
    arguments: toolCallSchema.shape.arguments,
  }),
})

/** The messages of a chat, as OpenAI has them. */
export const chatMessage = z.discriminatedUnion(
  'role',
  [
    z.strictObject({ role: z.literal('system'), content, name }),
    z.strictObject({ role: z.literal('developer'), content, name }),
    z.strictObject({ role: z.literal('user'), content, name }),
    z.strictObject({
      role: z.literal('assistant'),
      /** May be missing where there are calls. */
      content: content.nullish(),
      name,
      refusal: neutral('refusal', 'a refusal is an answer like any other'),
      audio: neutral('audio', 'only text is answered'),
      tool_calls: z.array(toolCall).max(limits.toolCallsMax).nullish(),
      function_call: neutral('function_call', 'use "tool_calls" instead'),
      annotations: neutral('annotations', 'only text is read', []),
    }),
    /** Its name is the call's, which has it already. */
    z.strictObject({
      role: z.literal('tool'),
      content,
      tool_call_id: callId,
      name: z.string().max(limits.toolNameCharsMax).nullish(),
    }),
  ],
  {
    error: 'the role must be one of "system", "developer", "user", "assistant" and "tool"',
  },
)

/** Templates know no developers: what they say is what systems say. */
export function toMessage(message: z.output<typeof chatMessage>): ChatMessage {
  const { role } = message
  if (role === 'tool') return { role, content: toText(message.content), toolCallId: message.tool_call_id }
  if (role !== 'assistant')
    return { role: role === 'developer' ? 'system' : role, content: toText(message.content) }
  const calls = message.tool_calls ?? []
  return {
    role,
    content: toText(message.content ?? ''),
    ...(calls.length > 0 && { toolCalls: calls.map(({ id, function: called }) => ({ id, ...called })) }),
  }
}

/**
 * Calls and their results have to belong together.
 *
 * @param origins which part of the request each message comes from, where they are not one and the same
 * @throws ApiError naming the first that does not
 */
export function checkToolTurns(
  messages: readonly ChatMessage[],
  param: string,
  origins?: readonly number[],
): void {
  const fault = findToolTurnFault(messages)
  if (!fault) return
  const { detail } = fault
  const index = origins?.[fault.index] ?? fault.index
  throw new ApiError(`The message "${param}[${index}]" is not valid: ${detail}.`, {
    code: 'invalid_value',
    param: `${param}[${index}]`,
  })
}
