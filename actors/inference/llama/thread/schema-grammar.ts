import { SchemaFault, SchemaWriter, type RuleSink } from './schema-writer.ts'

/** What all counts together may come to, and the parts of all schemas. */
const countsMax = 20_000
const nodesMax = 2_000

/** Rules that every grammar of JSON has. Spaces are bounded, or a model could write them for ever. */
const commonRules: Readonly<Record<string, string>> = {
  sp: '" "?',
  ws: '| " " | "\\n" [ \\t]{0,20}',
  char: '[^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt/] | "u" [0-9a-fA-F]{4})',
  string: '"\\"" char* "\\""',
  integer: '"-"? ("0" | [1-9] [0-9]{0,15})',
  number: 'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
  boolean: '"true" | "false"',
  null: '"null"',
  value: 'object | array | string | number | boolean | null',
  member: 'string ws ":" ws value',
  object: '"{" ws (member (ws "," ws member)*)? ws "}"',
  array: '"[" ws (value (ws "," ws value)*)? ws "]"',
  date: '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [1-2] [0-9] | "3" [0-1])',
  time: '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{3})? ("Z" | [-+] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
  'date-time': 'date "T" time',
}

/**
 * Writes JSON schemas as rules of one grammar (GBNF) under which a model can write nothing else. Properties that are not
 * required may be left out. What a grammar cannot express, such as a `pattern`, is left to the model unless the schema is
 * strict: what comes out is then narrower than the schema wherever it can be, and never anything that is not JSON.
 */
export class SchemaGrammar {
  readonly #rules = new Map(Object.entries(commonRules))
  #nodes = 0
  #counted = 0
  #names = 0

  get text(): string {
    return Array.from(this.#rules, ([name, body]) => `${name} ::= ${body}`).join('\n')
  }

  rule(name: string, body: string): string {
    this.#rules.set(name, body)
    return name
  }

  /**
   * @returns the name of a rule for objects of this schema
   * @throws SchemaFault naming the place
   */
  addArguments(schema: unknown, isStrict: boolean): string {
    if (schema === undefined) return 'object'
    const sink: RuleSink = {
      add: (body) => this.rule(`r${this.#names++}`, body),
      set: (name, body) => this.#rules.set(name, body),
      node: () => {
        if (++this.#nodes > nodesMax) throw new SchemaFault(`the schemas have more than ${nodesMax} parts`)
      },
      count: (value) => {
        this.#counted += value
        return this.#counted <= countsMax
      },
    }
    return new SchemaWriter(schema, isStrict, sink).arguments()
  }
}
