import { z } from 'zod'
import { limits, toolNameSchema, toolSchema } from '../../../protocol/index.ts'
import { ofTypes } from '../requests/of-types.ts'
import { parameters, toAskTools, type AskTools } from '../requests/tool-fields.ts'

const functionTool = z.strictObject({
  type: z.literal('function'),
  name: toolNameSchema,
  description: toolSchema.shape.description.unwrap().nullish(),
  parameters: parameters.nullish(),
  strict: z.boolean().nullish(),
})

/** What OpenAI runs by itself, such as a search, nobody runs here. */
const tool = ofTypes(functionTool, ['function'], 'A tool', 'only functions are')

export const toolFields = {
  tools: z.array(tool).max(limits.toolsMax).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.strictObject({ type: z.literal('function'), name: toolNameSchema }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
}

type ToolFields = { [Key in keyof typeof toolFields]?: z.output<(typeof toolFields)[Key]> }

/** @throws ApiError for a choice that there is not */
export function toTools({
  tools,
  tool_choice: choice,
  parallel_tool_calls: isParallel,
}: ToolFields): AskTools {
  const functions = (tools ?? []).map(({ name, description, parameters: schema, strict }) => ({
    name,
    ...(description && { description }),
    ...(schema && { parameters: schema }),
    ...(strict && { strict }),
  }))
  return toAskTools(
    functions,
    typeof choice === 'object' && choice ? { name: choice.name } : choice,
    isParallel,
  )
}
