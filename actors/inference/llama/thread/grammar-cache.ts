import { LlamaGrammarEvaluationState, type LlamaGrammar } from 'node-llama-cpp'
import { toQMeshError } from '../../../../protocol/index.ts'
import type { GenerateRequest } from '../../engine.port.ts'
import type { VitalSigns } from '../vital-signs.ts'
import { toCallGrammar } from './call-grammar.ts'
import { compileJsonSchema } from './json-schema.ts'
import type { Loaded } from './loaded.ts'

/** Grammars that are kept. */
const keptMax = 16

/** The grammars of a model. Compiling takes milliseconds, and clients tend to send the same schema again. */
export class GrammarCache {
  readonly #loaded: Loaded
  readonly #vitals: VitalSigns
  readonly #grammars = new Map<string, LlamaGrammar>()

  constructor(loaded: Loaded, vitals: VitalSigns) {
    this.#loaded = loaded
    this.#vitals = vitals
  }

  /**
   * What the answer, or a call in it, is held to; undefined where it is free.
   *
   * @throws QMeshError `QM_JSON_SCHEMA_INVALID`
   */
  async of(request: GenerateRequest): Promise<LlamaGrammar | undefined> {
    const { llama, facts } = this.#loaded
    const { jsonSchema } = request
    if (jsonSchema !== undefined)
      return this.#kept(jsonSchema, () => compileJsonSchema(llama, jsonSchema, this.#vitals))
    if (!request.tools || !facts.tools) return undefined
    const text = toCallGrammar(facts.tools, request)
    return this.#kept(text, () => this.#compile(text))
  }

  async #kept(source: string, compile: () => Promise<LlamaGrammar>): Promise<LlamaGrammar> {
    const known = this.#grammars.get(source)
    if (known) return known
    const grammar = await compile()
    if (this.#grammars.size >= keptMax) this.#grammars.clear()
    this.#grammars.set(source, grammar)
    return grammar
  }

  async #compile(text: string): Promise<LlamaGrammar> {
    const { llama, model } = this.#loaded
    try {
      const grammar = await this.#vitals.native(() => llama.createGrammar({ grammar: text }))
      // Only here the engine looks whether rules go round in circles, as those of a schema that is only itself.
      this.#vitals.nativeNow(() => new LlamaGrammarEvaluationState({ model, grammar }))
      return grammar
    } catch (error) {
      throw toQMeshError(error, 'QM_JSON_SCHEMA_INVALID')
    }
  }
}
