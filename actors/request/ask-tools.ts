import { z } from 'zod'
import {
  hasToolTurns,
  limits,
  toolNameSchema,
  toolSchema,
  type ChatMessage,
  type Prompt,
  type Tool,
} from '../../protocol/index.ts'

/** A function that the model may ask to have called; its parameters as an object or as JSON text. */
const askToolSchema = z.strictObject({
  ...toolSchema.shape,
  parameters: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
})

/** Options of a question about functions. */
export const toolOptions = {
  /** Functions that the model may ask to have called. The answer then has `toolCalls`. */
  tools: z.array(askToolSchema).min(1).max(limits.toolsMax).optional(),
  /** Whether it must: `auto` it decides, `none` it may not, `required` something, or the one with this name. */
  toolChoice: z
    .union([z.enum(['auto', 'none', 'required']), z.strictObject({ name: toolNameSchema })])
    .optional(),
  /** Whether it may ask for several calls at once. Default true. */
  parallelToolCalls: z.boolean().optional(),
}
type ToolOptions = z.output<z.ZodObject<typeof toolOptions>>

/** How calls are found in an answer. */
export interface CallReading {
  readonly names: readonly string[]
  readonly isParallel: boolean
}

export interface ToolQuestion {
  /** Fields of the prompt. */
  readonly fields: Pick<Prompt, 'tools' | 'toolChoice' | 'parallelToolCalls'>
  /** Undefined where the answer is text. */
  readonly reading: CallReading | undefined
  /** Only a model that knows functions will do. */
  readonly isNeeded: boolean
}

/** @param toText checks a JSON schema and writes it as text */
export function toToolQuestion(
  { tools, toolChoice = 'auto', parallelToolCalls: isParallel = true }: ToolOptions,
  messages: readonly ChatMessage[],
  toText: (schema: string | Record<string, unknown>, name: string) => string,
): ToolQuestion {
  // What may not be called need not be told: then any model will do that can read the conversation.
  if (!tools || toolChoice === 'none')
    return { fields: {}, reading: undefined, isNeeded: hasToolTurns(messages) }
  const given = tools.map(({ parameters, ...tool }): Tool => ({
    ...tool,
    ...(parameters !== undefined && { parameters: toText(parameters, tool.name) }),
  }))
  return {
    fields: {
      tools: given,
      ...(toolChoice !== 'auto' && { toolChoice }),
      ...(!isParallel && { parallelToolCalls: false }),
    },
    reading: {
      names: given.map(({ name }) => name),
      isParallel: isParallel && typeof toolChoice === 'string',
    },
    isNeeded: true,
  }
}
