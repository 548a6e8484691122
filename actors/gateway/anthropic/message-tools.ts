import { z } from 'zod'
import { limits, toolNameSchema, toolSchema } from '../../../protocol/index.ts'
import { ofTypes } from '../requests/of-types.ts'
import { parameters, toAskTools, type AskTools } from '../requests/tool-fields.ts'

const customTool = z.looseObject({
  type: z.literal('custom').nullish(),
  name: toolNameSchema,
  description: toolSchema.shape.description.unwrap().nullish(),
  input_schema: parameters,
  strict: z.boolean().nullish(),
})

/** What Anthropic runs by itself, such as a search, nobody runs here. */
const tool = ofTypes(customTool, ['custom'], 'A tool', 'only your own are')

const isOne = { disable_parallel_tool_use: z.boolean().nullish() }

export const toolFields = {
  tools: z.array(tool).max(limits.toolsMax).nullish(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('auto'), ...isOne }),
      z.strictObject({ type: z.literal('any'), ...isOne }),
      z.strictObject({ type: z.literal('tool'), name: toolNameSchema, ...isOne }),
      z.strictObject({ type: z.literal('none') }),
    ])
    .nullish(),
}

type ToolFields = { [Key in keyof typeof toolFields]?: z.output<(typeof toolFields)[Key]> }

/** @throws ApiError for a choice that there is not */
export function toTools({ tools, tool_choice: choice }: ToolFields): AskTools {
  const functions = (tools ?? []).map(({ name, description, input_schema: schema, strict }) => ({
    name,
    ...(description && { description }),
    parameters: schema,
    ...(strict && { strict }),
  }))
  const isParallel = !choice || choice.type === 'none' || choice.disable_parallel_tool_use !== true
  return toAskTools(functions, toChoice(choice), isParallel)
}

function toChoice(choice: ToolFields['tool_choice']): AskTools['toolChoice'] {
  switch (choice?.type) {
    case 'any':
      return 'required'
    case 'tool':
      return { name: choice.name }
    case 'none':
      return 'none'
    default:
      return undefined
  }
}
