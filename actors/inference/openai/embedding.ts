import { encodeEmbeddings, limits, QMeshError } from '../../../protocol/index.ts'
import type { GenerateRequest, GenerationResult, LoadedModel } from '../engine.port.ts'
import type { EngineTarget } from './availability.ts'
import { callEmbeddings } from './embedding-call.ts'
import { brokenAnswer } from './engine-fault.ts'
import type { EngineTask, EngineWork } from './openai-host.ts'
import { PromptEstimate } from './prompt-estimate.ts'

/** Has the engine make vectors of texts, all of a request at once. */
export class Embedding implements EngineWork {
  readonly #model: LoadedModel
  readonly #target: EngineTarget
  readonly #estimate = new PromptEstimate()

  constructor(model: LoadedModel, target: EngineTarget) {
    this.#model = model
    this.#target = target
  }

  check(request: GenerateRequest): number {
    const { id, contextTokens } = this.#model
    const { embed: texts } = request
    if (!texts) throw new QMeshError('QM_MODEL_KIND', `"${id}" answers nothing`)
    const counts = texts.map((text) => this.#estimate.count({ ...request, embed: [text] }))
    const longest = Math.max(...counts)
    if (longest > contextTokens) {
      throw new QMeshError(
        'QM_CONTEXT_EXCEEDED',
        `a text has about ${longest} tokens, "${id}" reads at most ${contextTokens} at once: cut it into shorter ones`,
      )
    }
    return counts.reduce((sum, count) => sum + count, 0)
  }

  async run({ request, promptTokens, reading, heard }: EngineTask): Promise<GenerationResult> {
    const startedAtMs = performance.now()
    const withinMs = this.#target.patience.firstMs
    const answer = await callEmbeddings(this.#target, request.embed ?? [], {
      signal: reading.signal,
      withinMs,
    })
    heard()
    const { embeddingSize } = this.#model
    const [{ length: size }] = answer.vectors as readonly [Float32Array]
    if (size !== embeddingSize)
      throw brokenAnswer(`vectors of ${size} numbers, where it made some of ${embeddingSize ?? 0} before`)
    if (answer.promptTokens !== undefined) this.#estimate.learn(request, answer.promptTokens)
    const totalMs = Math.min(limits.durationMsMax, Math.round(performance.now() - startedAtMs))
    return {
      reason: 'stop',
      promptTokens,
      cachedTokens: 0,
      completionTokens: 0,
      firstTokenMs: totalMs,
      totalMs,
      embeddings: encodeEmbeddings(answer.vectors),
    }
  }
}
