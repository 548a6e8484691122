import type { Llama, LlamaGrammar } from 'node-llama-cpp'
import { QMeshError, limits, toQMeshError } from '../../../../protocol/index.ts'
import type { VitalSigns } from '../vital-signs.ts'

/** Bound of every count in a schema (items, properties, characters): each one becomes that many grammar rules. */
const countMax = 1_000
/** Bound of their sum: half a million rules hold all streams of the thread up for two seconds. */
const countsMax = 20_000
/** Nodes of a schema: with references they could multiply otherwise. */
const nodesMax = 2_000

/** Keywords that say nothing about which texts are valid. */
const annotations = [
  'title',
  'description',
  'default',
  'examples',
  '$schema',
  '$id',
  '$comment',
  'deprecated',
]
/** Keywords the grammar enforces. A schema with any other is refused rather than half obeyed. */
const enforced = [
  ['type', 'const', 'enum', 'oneOf', 'anyOf', '$ref', '$defs'],
  ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  ['items', 'prefixItems', 'minItems', 'maxItems'],
  ['minLength', 'maxLength', 'format'],
].flat()
const known = new Set([...annotations, ...enforced])
const counts = new Set(['minProperties', 'maxProperties', 'minItems', 'maxItems', 'minLength', 'maxLength'])
const types = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array'])
const formats = new Set(['date-time', 'time', 'date'])

const invalid = (detail: string): QMeshError =>
  new QMeshError('QM_JSON_SCHEMA_INVALID', `jsonSchema: ${detail}`)

/**
 * Compiles a JSON schema to a grammar that lets only matching JSON through.
 *
 * @throws QMeshError `QM_JSON_SCHEMA_INVALID` naming the place and what is wrong there
 */
export async function compileJsonSchema(
  llama: Llama,
  text: string,
  vitals: VitalSigns,
): Promise<LlamaGrammar> {
  const schema = checkJsonSchema(text)
  try {
    return await vitals.native(() => llama.createGrammarForJsonSchema(schema as CompilerSchema))
  } catch (error) {
    throw toQMeshError(error, 'QM_JSON_SCHEMA_INVALID')
  }
}

/** Parses and checks a schema, and writes it in the dialect of the grammar compiler. */
export function checkJsonSchema(text: string): CheckedSchema {
  if (text.length > limits.jsonSchemaCharsMax) {
    throw invalid(`${text.length} characters are over the limit of ${limits.jsonSchemaCharsMax}`)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid('not valid JSON')
  }
  const checker = new SchemaChecker()
  const schema = checker.schema(value, '$', 1)
  checker.checkReferences()
  return schema
}

type Json = Record<string, unknown>
/** What the checker let through is what the compiler's own, finer type means. */
type CheckedSchema = Json
type CompilerSchema = Parameters<Llama['createGrammarForJsonSchema']>[0]

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

class SchemaChecker {
  #nodes = 0
  #counted = 0
  readonly #defined = new Set<string>()
  readonly #referenced = new Map<string, string>()

  schema(value: unknown, path: string, depth: number): Json {
    if (!isObject(value)) throw invalid(`expected an object at ${path}`)
    if (depth > limits.jsonSchemaDepthMax) {
      throw invalid(`nested deeper than ${limits.jsonSchemaDepthMax} at ${path}`)
    }
    if (++this.#nodes > nodesMax) throw invalid(`more than ${nodesMax} parts`)
    const result: Json = {}
    for (const [key, part] of Object.entries(value)) {
      if (!known.has(key)) throw invalid(`the keyword "${key}" at ${path} is not supported`)
      if (annotations.includes(key)) continue
      result[key === 'anyOf' ? 'oneOf' : key] = this.#keyword(key, part, `${path}.${key}`, depth)
    }
    if (!['type', 'const', 'enum', 'oneOf', '$ref'].some((key) => key in result)) {
      throw invalid(`expected one of type, const, enum, oneOf, anyOf, $ref at ${path}`)
    }
    for (const what of ['Properties', 'Items', 'Length']) {
      const [min, max] = [result[`min${what}`], result[`max${what}`]]
      if (typeof min === 'number' && typeof max === 'number' && min > max)
        throw invalid(`min${what} is over max${what} at ${path}`)
    }
    return result
  }

  /** Recursion through `$ref` is fine, a reference into nothing is not. */
  checkReferences(): void {
    for (const [name, path] of this.#referenced) {
      if (!this.#defined.has(name)) throw invalid(`${path} refers to "${name}", which $defs does not define`)
    }
  }

  #keyword(key: string, part: unknown, path: string, depth: number): unknown {
    if (counts.has(key)) {
      if (typeof part !== 'number' || !Number.isInteger(part) || part < 0 || part > countMax) {
        throw invalid(`expected a whole number from 0 to ${countMax} at ${path}`)
      }
      this.#counted += part
      if (this.#counted > countsMax) throw invalid(`all counts together are more than ${countsMax}`)
      return part
    }
    switch (key) {
      case 'type':
        return this.#type(part, path)
      case 'format':
        if (typeof part === 'string' && formats.has(part)) return part
        throw invalid(`expected one of ${[...formats].join(', ')} at ${path}`)
      case 'enum':
      case 'oneOf':
      case 'anyOf':
      case 'prefixItems':
        if (!Array.isArray(part) || part.length === 0)
          throw invalid(`expected a list of at least one at ${path}`)
        if (key === 'enum') return part
        return part.map((item, index) => this.schema(item, `${path}[${index}]`, depth + 1))
      case 'items':
        return this.schema(part, path, depth + 1)
      case 'additionalProperties':
        return typeof part === 'boolean' ? part : this.schema(part, path, depth + 1)
      case '$ref':
        return this.#reference(part, path)
      case 'properties':
      case '$defs':
        return this.#schemas(key, part, path, depth)
      case 'required':
        // All properties are always written, which is what any `required` asks for at most.
        if (Array.isArray(part) && part.every((name) => typeof name === 'string')) return part
        throw invalid(`expected a list of names at ${path}`)
      default:
        return part
    }
  }

  #type(part: unknown, path: string): unknown {
    const names: unknown[] = Array.isArray(part) ? part : [part]
    const wrong = names.find((name) => typeof name !== 'string' || !types.has(name))
    if (names.length === 0 || wrong !== undefined) {
      throw invalid(`expected one of ${[...types].join(', ')} at ${path}`)
    }
    if (names.length > 1 && (names.includes('object') || names.includes('array'))) {
      throw invalid(`use oneOf instead of a list of types with object or array at ${path}`)
    }
    return part
  }

  #reference(part: unknown, path: string): string {
    const name = typeof part === 'string' ? /^#\/\$defs\/([^/]+)$/.exec(part)?.[1] : undefined
    if (name === undefined) throw invalid(`expected "#/$defs/…" at ${path}`)
    this.#referenced.set(name, path)
    return part as string
  }

  #schemas(key: string, part: unknown, path: string, depth: number): Json {
    if (!isObject(part)) throw invalid(`expected an object at ${path}`)
    const result: Json = {}
    for (const [name, child] of Object.entries(part)) {
      // The compiler's objects would take it for their prototype and leave it out of the answer.
      if (name === '__proto__') throw invalid(`the name "${name}" at ${path} is not supported`)
      if (key === '$defs') this.#defined.add(name)
      result[name] = this.schema(child, `${path}.${name}`, depth + 1)
    }
    return result
  }
}
