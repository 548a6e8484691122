import { z } from 'zod'
import { limits, type ChatMessage } from '../../../protocol/index.ts'
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
const noToolCalls = 'models of the mesh are not asked for tool calls yet'
const name = neutral('name', noNames)

/** The messages of a chat, as OpenAI has them. */
export const chatMessage = z.discriminatedUnion(
  'role',
  [
    z.strictObject({ role: z.literal('system'), content, name }),
    z.strictObject({ role: z.literal('developer'), content, name }),
    z.strictObject({ role: z.literal('user'), content, name }),
    z.strictObject({
      role: z.literal('assistant'),
      content,
      name,
      refusal: neutral('refusal', 'a refusal is an answer like any other'),
      audio: neutral('audio', 'only text is answered'),
      tool_calls: neutral('tool_calls', noToolCalls, []),
      function_call: neutral('function_call', noToolCalls),
      annotations: neutral('annotations', 'only text is read', []),
    }),
  ],
  {
    error:
      'the role must be one of "system", "developer", "user" and "assistant"; answers of tools are not supported',
  },
)

/** Templates know no developers: what they say is what systems say. */
export const toMessage = (message: z.output<typeof chatMessage>): ChatMessage => ({
  role: message.role === 'developer' ? 'system' : message.role,
  content: toText(message.content),
})
