import { z } from 'zod'
import { limits } from '../limits.ts'

/**
 * How a model writes the call of a function, as its chat template shows it:
 * `hermes`: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, also of Qwen and others;
 * `llama3`: an answer that is `{"name": …, "parameters": {…}}` and nothing else;
 * `mistral`: `[TOOL_CALLS][{"name": …, "arguments": {…}}]`.
 */
export const toolStyles = ['hermes', 'llama3', 'mistral'] as const
export type ToolStyle = (typeof toolStyles)[number]

export const toolNameSchema = z
  .string()
  .max(limits.toolNameCharsMax)
  .regex(/^[a-zA-Z0-9_-]+$/)

/** A function that the model may ask to have called. */
export const toolSchema = z.object({
  name: toolNameSchema,
  description: z.string().max(limits.toolDescriptionCharsMax).optional(),
  /** JSON schema of the arguments, an object's, as JSON text. Absent: any object. */
  parameters: z.string().max(limits.jsonSchemaCharsMax).optional(),
  /** The grammar must enforce all of the schema; otherwise what it cannot is left to the model. */
  strict: z.boolean().optional(),
})
export type Tool = z.infer<typeof toolSchema>

export const toolsSchema = z
  .array(toolSchema)
  .min(1)
  .max(limits.toolsMax)
  .refine((tools) => new Set(tools.map(({ name }) => name)).size === tools.length, {
    message: 'two functions have one name',
  })
  .refine((tools) => tools.reduce((sum, tool) => sum + charsOfTool(tool), 0) <= limits.toolsCharsMax, {
    message: `the functions are longer than ${limits.toolsCharsMax} characters together`,
  })

const charsOfTool = ({ name, description = '', parameters = '' }: Tool): number =>
  name.length + description.length + parameters.length

/** `auto`: the model decides whether to call; `required`: it calls something; or the one that it must call. */
export const toolChoiceSchema = z.union([z.enum(['auto', 'required']), z.object({ name: toolNameSchema })])
export type ToolChoice = z.infer<typeof toolChoiceSchema>

/** A call that the model made earlier in the chat. */
export const toolCallSchema = z.object({
  id: z.string().min(1).max(limits.toolCallIdCharsMax),
  name: toolNameSchema,
  /** JSON text, as the model wrote it: it may be wrong. */
  arguments: z.string().max(limits.promptCharsMax),
})
export type ToolCall = z.infer<typeof toolCallSchema>
