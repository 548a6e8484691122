import { z } from 'zod'
import { limits, toolNameSchema } from '../../../protocol/index.ts'
import { ofTypes } from '../requests/of-types.ts'
import { functionFields, toAskTools, toFunction, type AskTools } from '../requests/tool-fields.ts'

const functionTool = z.strictObject({ type: z.literal('function'), ...functionFields })

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
  const functions = (tools ?? []).map(toFunction)
  return toAskTools(
    functions,
    typeof choice === 'object' && choice ? { name: choice.name } : choice,
    isParallel,
  )
}
