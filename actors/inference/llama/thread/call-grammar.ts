import { callForms } from '../../../../machines/tools/index.ts'
import { QMeshError, type Tool, type ToolStyle } from '../../../../protocol/index.ts'
import type { GenerateRequest } from '../../engine.port.ts'
import { SchemaGrammar } from './schema-grammar.ts'
import { SchemaFault, toLiteral } from './schema-writer.ts'

/**
 * The grammar (GBNF) under which a model calls functions and does nothing else: first the mark that begins a call, in the
 * end nothing but the end of its turn.
 *
 * @throws QMeshError `QM_JSON_SCHEMA_INVALID` naming the function and the place
 */
export function toCallGrammar(
  style: ToolStyle,
  {
    tools = [],
    toolChoice = 'auto',
    parallelToolCalls = true,
  }: Pick<GenerateRequest, 'tools' | 'toolChoice' | 'parallelToolCalls'>,
): string {
  const { begin, end, isList, argumentsKey, isParallel } = callForms[style]
  const grammar = new SchemaGrammar()
  const callable =
    typeof toolChoice === 'string' ? tools : tools.filter(({ name }) => name === toolChoice.name)
  const objects = callable.map((tool, index) => {
    const name = toLiteral(JSON.stringify(tool.name))
    const written = addArguments(grammar, tool)
    const member = toLiteral(JSON.stringify(argumentsKey))
    return grammar.rule(
      `f${index}`,
      `"{" sp "\\"name\\"" sp ":" sp ${name} sp "," sp ${member} sp ":" sp ${written} ws "}"`,
    )
  })
  const object = grammar.rule('object-of-call', objects.join(' | '))
  const isOne = !parallelToolCalls || !isParallel || typeof toolChoice !== 'string'
  const [left, right] = [toLiteral(begin), toLiteral(end)]
  if (isList) {
    grammar.rule('root', `${left} sp "[" ws ${object}${isOne ? '' : ` (ws "," ws ${object})*`} ws "]"`)
  } else {
    const call = grammar.rule('call', begin === '' ? object : `${left} ws ${object} ws ${right}`)
    grammar.rule('root', isOne ? call : `${call} (ws ${call})*`)
  }
  return grammar.text
}

function addArguments(grammar: SchemaGrammar, { name, parameters, strict = false }: Tool): string {
  try {
    return grammar.addArguments(parameters === undefined ? undefined : parse(parameters), strict)
  } catch (error) {
    if (!(error instanceof SchemaFault)) throw error
    throw new QMeshError(
      'QM_JSON_SCHEMA_INVALID',
      `the parameters of the function "${name}": ${error.message}`,
    )
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new SchemaFault('not valid JSON')
  }
}
