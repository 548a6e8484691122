import { limits } from '../../../../protocol/index.ts'

/** Bound of every count in a schema (items, characters): each one becomes that many grammar rules. */
const countMax = 1_000

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Keywords that say nothing about which texts are valid. */
const annotations: ReadonlySet<string> = new Set(
  (
    'title description default examples example deprecated readOnly writeOnly nullable ' +
    '$schema $id $comment $defs definitions'
  ).split(' '),
)
/** Keywords that the grammar keeps to. */
const kept: ReadonlySet<string> = new Set(
  (
    'type const enum oneOf anyOf allOf $ref properties required additionalProperties items prefixItems ' +
    'minItems maxItems minLength maxLength format'
  ).split(' '),
)

/** Formats of text that have rules. */
const formats: ReadonlySet<string> = new Set(['date', 'time', 'date-time'])

/** A literal of the grammar's language, of a text without control characters, such as JSON. */
export const toLiteral = (text: string): string => JSON.stringify(text)

/** The schema asks for what a grammar cannot enforce. */
export class SchemaFault extends Error {}

/** Where the rules of a schema go. */
export interface RuleSink {
  add(body: string): string
  set(name: string, body: string): void
  /** @throws SchemaFault for more than there may be */
  node(): void
  /** Whether a repetition of that many still fits. */
  count(value: number): boolean
}

/** Writes one schema as rules; each is known by its name, whatever it is made of. */
export class SchemaWriter {
  readonly #root: unknown
  readonly #isStrict: boolean
  readonly #sink: RuleSink
  /** Rules of what `$ref`s name; there before their bodies, so that a schema may contain itself. */
  readonly #references = new Map<string, string>()

  constructor(root: unknown, isStrict: boolean, sink: RuleSink) {
    this.#root = root
    this.#isStrict = isStrict
    this.#sink = sink
  }

  arguments(): string {
    if (!isObject(this.#root)) throw new SchemaFault('expected an object at $')
    return this.#schema({ ...this.#root, type: 'object' }, '$', 1)
  }

  #schema(schema: unknown, path: string, depth: number): string {
    if (schema === true) return 'value'
    if (!isObject(schema)) throw new SchemaFault(`expected an object at ${path}`)
    if (depth > limits.jsonSchemaDepthMax) {
      throw new SchemaFault(`nested deeper than ${limits.jsonSchemaDepthMax} at ${path}`)
    }
    this.#sink.node()
    for (const key of Object.keys(schema)) {
      if (!annotations.has(key) && !kept.has(key))
        this.#leave(`the keyword "${key}" at ${path} cannot be enforced`)
    }
    return this.#shape(schema, path, depth)
  }

  /** Something that is not enforced. */
  #leave(detail: string): void {
    if (this.#isStrict) throw new SchemaFault(detail)
  }

  #shape(schema: Json, path: string, depth: number): string {
    const { $ref, allOf, type } = schema
    if (typeof $ref === 'string') return this.#reference($ref, path, depth)
    if ('const' in schema) return this.#sink.add(toLiteral(JSON.stringify(schema['const'])))
    if (Array.isArray(schema['enum']) && schema['enum'].length > 0)
      return this.#alternatives(schema['enum'].map((value) => toLiteral(JSON.stringify(value))))
    const choices = schema['anyOf'] ?? schema['oneOf']
    if (Array.isArray(choices) && choices.length > 0)
      return this.#alternatives(
        choices.map((choice, index) => this.#schema(choice, `${path}.anyOf[${index}]`, depth + 1)),
      )
    if (Array.isArray(allOf)) {
      const [only] = allOf as unknown[]
      if (allOf.length === 1) return this.#schema(only, `${path}.allOf[0]`, depth + 1)
      this.#leave(`"allOf" at ${path} cannot be enforced`)
    }
    if (Array.isArray(type) && type.length > 0)
      return this.#alternatives(
        type.map((one) => this.#typed({ ...schema, type: one as unknown }, path, depth)),
      )
    return this.#typed(schema, path, depth)
  }

  #typed(schema: Json, path: string, depth: number): string {
    const type =
      schema['type'] ?? ('properties' in schema ? 'object' : 'items' in schema ? 'array' : undefined)
    switch (type) {
      case undefined:
        return 'value'
      case 'object':
        return this.#object(schema, path, depth)
      case 'array':
        return this.#array(schema, path, depth)
      case 'string':
        return this.#string(schema, path)
      case 'number':
      case 'integer':
      case 'boolean':
      case 'null':
        return type as string
      default:
        throw new SchemaFault(`${JSON.stringify(type).slice(0, 64)} at ${path}.type is no type of JSON`)
    }
  }

  #reference(pointer: string, path: string, depth: number): string {
    const known = this.#references.get(pointer)
    if (known !== undefined) return known
    const [, where = '', name = ''] = /^#\/(\$defs|definitions)\/([^/]+)$/.exec(pointer) ?? []
    const defined = isObject(this.#root) && pointer !== '#' ? this.#root[where] : undefined
    const target =
      pointer === '#'
        ? this.#root
        : isObject(defined) && Object.hasOwn(defined, name)
          ? defined[name]
          : undefined
    if (target === undefined)
      throw new SchemaFault(`${path} refers to "${pointer.slice(0, 64)}", which is not there`)
    const rule = this.#sink.add('value')
    this.#references.set(pointer, rule)
    this.#sink.set(rule, this.#schema(target, pointer, depth + 1))
    return rule
  }

  #alternatives(options: readonly string[]): string {
    return this.#sink.add([...new Set(options)].join(' | '))
  }

  /** Required properties first, then the others in their order, each with its comma if it is there. */
  #object(schema: Json, path: string, depth: number): string {
    const { properties, required, additionalProperties = true } = schema
    const given = isObject(properties) ? properties : {}
    const names = Array.isArray(required) ? required.filter((name) => typeof name === 'string') : []
    const member = (name: string): string => {
      const value = Object.hasOwn(given, name) ? given[name] : true
      const rule = this.#schema(value, `${path}.${name.slice(0, 64)}`, depth + 1)
      return `${toLiteral(JSON.stringify(name))} ws ":" ws ${rule}`
    }
    const must = [...new Set(names)].map(member)
    const may = Object.keys(given)
      .filter((name) => !names.includes(name))
      .map(member)
    if (must.length + may.length === 0) {
      if (additionalProperties === false) return this.#sink.add('"{" ws "}"')
      if (!isObject(additionalProperties)) return 'object'
      const value = this.#schema(additionalProperties, `${path}.additionalProperties`, depth + 1)
      const entry = this.#sink.add(`string ws ":" ws ${value}`)
      return this.#sink.add(`"{" ws (${entry} (ws "," ws ${entry})*)? ws "}"`)
    }
    if (must.length > 0) {
      const rest = may.map((one) => ` (ws "," ws ${one})?`).join('')
      return this.#sink.add(`"{" ws ${must.join(' ws "," ws ')}${rest} ws "}"`)
    }
    return this.#sink.add(`"{" ws (${this.#firstOf(may)})? ws "}"`)
  }

  /** Whichever of them comes first has no comma before it. */
  #firstOf(members: readonly string[]): string {
    const tails: string[] = []
    for (const one of members.toReversed()) {
      const next = tails.at(-1)
      const before = `(ws "," ws ${one})?`
      tails.push(this.#sink.add(next === undefined ? before : `${before} ${next}`))
    }
    const behind = tails.toReversed()
    return members.map((one, index) => [one, behind[index + 1]].filter(Boolean).join(' ')).join(' | ')
  }

  #array(schema: Json, path: string, depth: number): string {
    const { items = true, prefixItems } = schema
    const first = Array.isArray(prefixItems)
      ? prefixItems.map((item, index) => this.#schema(item, `${path}.prefixItems[${index}]`, depth + 1))
      : []
    if (first.length > 0) return this.#sink.add(`"[" ws ${first.join(' ws "," ws ')} ws "]"`)
    if (items === false) return this.#sink.add('"[" ws "]"')
    const item = this.#schema(items, `${path}.items`, depth + 1)
    const { min, max } = this.#bounds(schema, 'Items', path)
    if (max === 0) return this.#sink.add('"[" ws "]"')
    const rest = `(ws "," ws ${item}){${Math.max(0, min - 1)},${max === undefined ? '' : max - 1}}`
    const list = `${item} ${rest}`
    return this.#sink.add(`"[" ws ${min === 0 ? `(${list})?` : list} ws "]"`)
  }

  #string(schema: Json, path: string): string {
    const { format } = schema
    if (format !== undefined) {
      if (typeof format === 'string' && formats.has(format)) return this.#sink.add(`"\\"" ${format} "\\""`)
      this.#leave(`the format ${JSON.stringify(format).slice(0, 64)} at ${path} cannot be enforced`)
    }
    const { min, max } = this.#bounds(schema, 'Length', path)
    if (min === 0 && max === undefined) return 'string'
    return this.#sink.add(`"\\"" char{${min},${max ?? ''}} "\\""`)
  }

  #bounds(schema: Json, what: 'Items' | 'Length', path: string): { min: number; max: number | undefined } {
    const toBound = (key: string): number | undefined => {
      const value = schema[key]
      if (value === undefined) return undefined
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
        throw new SchemaFault(`expected a whole number at ${path}.${key}`)
      // A higher maximum may be lowered: what is written is valid all the same.
      const bound = Math.min(value, countMax)
      if (value > countMax && key.startsWith('min'))
        this.#leave(`more than ${countMax} at ${path}.${key} cannot be enforced`)
      if (this.#sink.count(bound)) return bound
      this.#leave(`all counts together are too many`)
      return undefined
    }
    const [min = 0, max] = [toBound(`min${what}`), toBound(`max${what}`)]
    if (max !== undefined && min > max) throw new SchemaFault(`min${what} is over max${what} at ${path}`)
    return { min, max }
  }
}
