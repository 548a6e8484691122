import { z } from 'zod'
import { limits, toolCallSchema, type ChatMessage, type ToolCall } from '../../../protocol/index.ts'
import { content, toText } from '../requests/content.ts'
import { ofTypes } from '../requests/of-types.ts'

const text = z.string().max(limits.promptCharsMax)
const callId = toolCallSchema.shape.id

/** A call that the model made. */
const toolUse = z.looseObject({
  type: z.literal('tool_use'),
  id: callId,
  name: toolCallSchema.shape.name,
  input: z.record(z.string(), z.unknown()),
})

/** What it gave. */
const toolResult = z.looseObject({
  type: z.literal('tool_result'),
  tool_use_id: callId,
  content: content.nullish(),
  is_error: z.boolean().nullish(),
})

const blocks = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text'), text }),
  toolUse,
  toolResult,
])
type Block = z.output<typeof blocks>

/** Anything else, such as an image, is refused by its name. */
const block = ofTypes(
  blocks,
  ['text', 'tool_use', 'tool_result'],
  'Content',
  'only text, calls of tools and their results are',
)

const given = z.union([text, z.array(block).min(1).max(limits.chatMessagesMax)])

export const messageParam = z
  .strictObject({ role: z.enum(['user', 'assistant']), content: given })
  .superRefine(({ role, content: parts }, context) => {
    if (typeof parts === 'string') return
    const wrong = role === 'user' ? 'tool_use' : 'tool_result'
    const index = parts.findIndex(({ type }) => type === wrong)
    if (index < 0) return
    const message = `a message of the role "${role}" has no "${wrong}"`
    context.addIssue({ code: 'custom', message, path: ['content', index] })
  })

/** The messages that one of Anthropic's stands for: each result of a tool is one of its own here. */
export function toMessages({ role, content: parts }: z.output<typeof messageParam>): ChatMessage[] {
  if (typeof parts === 'string') return [{ role, content: parts }]
  return role === 'assistant' ? [toAssistant(parts)] : toUser(parts)
}

function toAssistant(parts: readonly Block[]): ChatMessage {
  const toolCalls = parts.flatMap((part): ToolCall[] =>
    part.type === 'tool_use' ? [{ id: part.id, name: part.name, arguments: JSON.stringify(part.input) }] : [],
  )
  return { role: 'assistant', content: toLines(parts), ...(toolCalls.length > 0 && { toolCalls }) }
}

/** In their order; text that stands together is one message. */
function toUser(parts: readonly Block[]): ChatMessage[] {
  const messages: ChatMessage[] = []
  let from = 0
  for (const [index, part] of [...parts, undefined].entries()) {
    if (part?.type === 'text') continue
    if (index > from) messages.push({ role: 'user', content: toLines(parts.slice(from, index)) })
    from = index + 1
    if (part?.type === 'tool_result')
      messages.push({ role: 'tool', toolCallId: part.tool_use_id, content: toResult(part) })
  }
  return messages
}

/** Templates have no other place for what went wrong. */
const toResult = ({ content: said, is_error: isError }: z.output<typeof toolResult>): string =>
  `${isError === true ? 'Error: ' : ''}${toText(said ?? '')}`

const toLines = (parts: readonly Block[]): string =>
  parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n')
