import { z } from 'zod'
import { limits } from '../limits.ts'
import { toolCallSchema } from './tools.ts'

export const chatMessageSchema = z
  .object({
    /** `tool`: what the call of a function gave. */
    role: z.enum(['system', 'user', 'assistant', 'tool']),
    content: z.string().max(limits.promptCharsMax),
    /** Calls that the assistant made; each is answered by a message of `tool` after it. */
    toolCalls: z.array(toolCallSchema).min(1).max(limits.toolCallsMax).optional(),
    /** Which call this answers; with the role `tool`, and only with it. */
    toolCallId: z.string().min(1).max(limits.toolCallIdCharsMax).optional(),
  })
  .refine(({ role, toolCalls }) => toolCalls === undefined || role === 'assistant', {
    message: 'only an assistant makes calls',
  })
  .refine(({ role, toolCallId }) => (toolCallId !== undefined) === (role === 'tool'), {
    message: 'a message of the role "tool", and no other, has a "toolCallId"',
  })
export type ChatMessage = z.infer<typeof chatMessageSchema>

/** Characters that a message adds to a chat. */
export const charsOfMessage = ({ content, toolCalls = [] }: ChatMessage): number =>
  toolCalls.reduce((sum, call) => sum + call.name.length + call.arguments.length, content.length)

/** Whether functions were called in a chat: then only a model that knows them can read it. */
export const hasToolTurns = (messages: readonly ChatMessage[]): boolean =>
  messages.some(({ role, toolCalls }) => role === 'tool' || toolCalls !== undefined)

/** A message that does not fit the ones before it. */
export interface ToolTurnFault {
  /** Index of the message. */
  readonly index: number
  readonly detail: string
}

/** Calls and their answers must belong together: the first message that breaks it, or undefined. */
export function findToolTurnFault(messages: readonly ChatMessage[]): ToolTurnFault | undefined {
  const open = new Set<string>()
  let calling = -1
  for (const [index, { role, toolCalls, toolCallId }] of messages.entries()) {
    if (role === 'tool') {
      if (toolCallId !== undefined && open.delete(toolCallId)) continue
      const detail = 'it answers no call of the assistant before it that is still to be answered'
      return { index, detail }
    }
    if (open.size > 0) break
    for (const { id } of toolCalls ?? []) {
      if (open.has(id)) return { index, detail: 'two of its calls have one id' }
      open.add(id)
    }
    if (toolCalls) calling = index
  }
  return open.size === 0
    ? undefined
    : { index: calling, detail: `its call "${[...open][0]}" is not answered by a message of the role "tool"` }
}

export const samplingSchema = z.object({
  /** 0 is greedy. Default 0.6. */
  temperature: z.number().min(0).max(5).default(0.6),
  /** Tokens considered, by rank; 0 switches it off. */
  topK: z.number().int().min(0).max(1_000).default(40),
  topP: z.number().gt(0).max(1).default(0.95),
  minP: z.number().min(0).max(1).default(0.05),
  /** 1 switches it off, and is the default: greedy then means the likeliest token, which others can check. */
  repeatPenalty: z.number().min(0.5).max(2).default(1),
  /** Tokens back that the repeat penalty looks at. */
  repeatLastTokens: z.number().int().min(0).max(1_024).default(64),
  /** Same seed, same prompt, same engine and processor: same answer. Absent: the worker draws one. */
  seed: z.number().int().min(0).max(0xffff_ffff).optional(),
})
export type Sampling = z.infer<typeof samplingSchema>

export const defaultSampling: Sampling = samplingSchema.parse({})
