import { z } from 'zod'
import { limits, toolCallSchema, type ChatMessage } from '../../../protocol/index.ts'
import { content, toText } from '../requests/content.ts'
import { ofTypes } from '../requests/of-types.ts'

const callId = toolCallSchema.shape.id
/** Of what was answered earlier; nothing is kept by it. */
const itemFields = {
  id: z.string().max(limits.toolCallIdCharsMax).nullish(),
  status: z.string().max(64).nullish(),
}

const message = z.looseObject({
  type: z.literal('message').optional(),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content,
})

const functionCall = z.strictObject({
  type: z.literal('function_call'),
  call_id: callId,
  name: toolCallSchema.shape.name,
  arguments: toolCallSchema.shape.arguments,
  ...itemFields,
})

const functionOutput = z.strictObject({
  type: z.literal('function_call_output'),
  call_id: callId,
  output: content,
  ...itemFields,
})

const items = z.discriminatedUnion('type', [message, functionCall, functionOutput])
type Item = z.output<typeof items>

/** A message, a call or what it gave; other items, such as images, are refused by their name. */
export const inputItem = ofTypes(
  items,
  ['message', 'function_call', 'function_call_output'],
  'Input',
  'only messages and calls of functions are',
)

/** A chat, and for each of its messages the item that it comes from. */
export interface InputMessages {
  readonly messages: readonly ChatMessage[]
  readonly origins: readonly number[]
}

/** Calls that stand behind an answer, or behind each other, are calls of one message. */
export function toMessages(input: readonly Item[]): InputMessages {
  const messages: ChatMessage[] = []
  const origins: number[] = []
  for (const [index, item] of input.entries()) {
    if (item.type !== 'function_call') {
      messages.push(toMessage(item))
      origins.push(index)
      continue
    }
    const call = { id: item.call_id, name: item.name, arguments: item.arguments }
    const last = messages.at(-1)
    if (last?.role === 'assistant')
      messages.splice(-1, 1, { ...last, toolCalls: [...(last.toolCalls ?? []), call] })
    else {
      messages.push({ role: 'assistant', content: '', toolCalls: [call] })
      origins.push(index)
    }
  }
  return { messages, origins }
}

function toMessage(item: Exclude<Item, { readonly type: 'function_call' }>): ChatMessage {
  if (item.type === 'function_call_output')
    return { role: 'tool', toolCallId: item.call_id, content: toText(item.output) }
  return { role: item.role === 'developer' ? 'system' : item.role, content: toText(item.content) }
}
