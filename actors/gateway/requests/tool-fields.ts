import { z } from 'zod'
import { limits, toolNameSchema, toolSchema } from '../../../protocol/index.ts'
import type { AskOptions } from '../../request/ask-options.ts'
import { depthOf } from '../../request/json-schema-option.ts'
import { ApiError } from '../api-error.ts'
import { ofTypes } from './of-types.ts'

/** The schema of a function's arguments. */
export const parameters = z
  .record(z.string(), z.unknown())
  .refine((schema) => depthOf(schema, limits.jsonSchemaDepthMax) <= limits.jsonSchemaDepthMax, {
    message: `it is nested deeper than ${limits.jsonSchemaDepthMax}`,
  })
  .refine((schema) => JSON.stringify(schema).length <= limits.jsonSchemaCharsMax, {
    message: `it has more than ${limits.jsonSchemaCharsMax} characters`,
  })

/** What OpenAI's two APIs say of a function; one of them has it in an object of its own. */
export const functionFields = {
  name: toolNameSchema,
  description: toolSchema.shape.description.unwrap().nullish(),
  parameters: parameters.nullish(),
  strict: z.boolean().nullish(),
}

type FunctionFields = { [Key in keyof typeof functionFields]?: z.output<(typeof functionFields)[Key]> } & {
  readonly name: string
}

export const toFunction = ({ name, description, parameters: schema, strict }: FunctionFields) => ({
  name,
  ...(description && { description }),
  ...(schema && { parameters: schema }),
  ...(strict && { strict }),
})

const functionTool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject(functionFields),
})

const tool = ofTypes(functionTool, ['function'], 'A tool', 'only functions are')

export const toolFields = {
  tools: z.array(tool).max(limits.toolsMax).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.strictObject({
        type: z.literal('function'),
        function: z.strictObject({ name: toolNameSchema }),
      }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
}

type ToolFields = { [Key in keyof typeof toolFields]?: z.output<(typeof toolFields)[Key]> }
export type AskTools = Pick<AskOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'>

/** @throws ApiError for a choice that there is not */
export function toTools({
  tools,
  tool_choice: choice,
  parallel_tool_calls: isParallel,
}: ToolFields): AskTools {
  const functions = (tools ?? []).map((one) => toFunction(one.function))
  return toAskTools(functions, typeof choice === 'object' ? choice?.function : choice, isParallel)
}

/**
 * The same for every API.
 *
 * @throws ApiError for a choice that there is not
 */
export function toAskTools(
  tools: NonNullable<AskTools['tools']>,
  choice: AskTools['toolChoice'] | null,
  isParallel: boolean | null | undefined,
): AskTools {
  const name = typeof choice === 'object' ? choice?.name : undefined
  const twice = tools.find((tool, index) => tools.findIndex((other) => other.name === tool.name) < index)
  if (twice) throw wrong(`Two tools are called "${twice.name}".`, 'tools')
  if (name !== undefined && !tools.some((tool) => tool.name === name))
    throw wrong(`There is no tool "${name}" in "tools".`, 'tool_choice')
  if (tools.length === 0) {
    if (choice === 'required') throw wrong('A tool is to be called, and "tools" has none.', 'tool_choice')
    return {}
  }
  return {
    tools,
    ...(choice && { toolChoice: choice }),
    ...(isParallel === false && { parallelToolCalls: false }),
  }
}

/**
 * An answer is JSON of a schema, or it may call tools.
 *
 * @throws ApiError where both are asked for
 */
export function checkOneForm(
  schema: object | undefined,
  { tools, toolChoice }: AskTools,
  param: string,
): void {
  if (schema === undefined || !tools || toolChoice === 'none') return
  throw new ApiError(
    `A JSON format in "${param}" and "tools" cannot be obeyed in one answer; with the choice "none" they can.`,
    { code: 'unsupported_parameter', param },
  )
}

const wrong = (message: string, param: string): ApiError =>
  new ApiError(message, { code: 'invalid_value', param })
