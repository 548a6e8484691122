import { encodeEmbeddings, limits, QMeshError, toQMeshError } from '../../../protocol/index.ts'
import type {
  EngineHost,
  GenerateRequest,
  Generation,
  GenerationResult,
  LoadedModel,
} from '../engine.port.ts'
import type { EngineTarget } from './availability.ts'
import { callEmbeddings } from './embedding-call.ts'
import { brokenAnswer } from './engine-fault.ts'
import { EngineWatch } from './engine-watch.ts'
import type { OpenAiHostInput } from './openai-host.ts'
import { PromptEstimate } from './prompt-estimate.ts'

interface Prepared {
  readonly request: GenerateRequest
  readonly texts: readonly string[]
  readonly promptTokens: number
}

/** A model for embeddings that another program runs, as one of this node's own. */
export class OpenAiEmbedder implements EngineHost {
  readonly model: LoadedModel
  readonly lost: Promise<QMeshError>
  readonly #target: EngineTarget
  readonly #watch: EngineWatch
  readonly #estimate = new PromptEstimate()
  readonly #prepared = new Map<string, Prepared>()
  readonly #running = new Map<AbortController, Promise<unknown>>()
  /** Why it takes no more work. */
  #over: QMeshError | undefined

  constructor({ model, target, onLog }: Omit<OpenAiHostInput, 'manner'>) {
    this.model = model
    this.#target = target
    let sayLost: (error: QMeshError) => void = () => {}
    this.lost = new Promise((resolve) => {
      sayLost = resolve
    })
    this.#watch = new EngineWatch({
      target,
      onLog,
      onGone: (reason) => {
        this.#end(reason)
        sayLost(reason)
      },
    })
  }

  prepare(request: GenerateRequest): Promise<{ promptTokens: number }> {
    return Promise.resolve().then(() => this.#prepare(request))
  }

  #prepare(request: GenerateRequest): { promptTokens: number } {
    if (this.#over) throw this.#over
    const { id, contextTokens } = this.model
    const { embed: texts, jobId } = request
    if (!texts) throw new QMeshError('QM_MODEL_KIND', `"${id}" answers nothing`)
    const counts = texts.map((text) => this.#estimate.count({ ...request, embed: [text] }))
    const longest = Math.max(...counts)
    if (longest > contextTokens) {
      throw new QMeshError(
        'QM_CONTEXT_EXCEEDED',
        `a text has about ${longest} tokens, "${id}" reads at most ${contextTokens} at once: cut it into shorter ones`,
      )
    }
    const promptTokens = counts.reduce((sum, count) => sum + count, 0)
    this.#prepared.set(jobId, { request, texts, promptTokens })
    return { promptTokens }
  }

  release(jobId: string): void {
    this.#prepared.delete(jobId)
  }

  generate(jobId: string): Generation {
    const prepared = this.#prepared.get(jobId)
    this.#prepared.delete(jobId)
    const cancel = new AbortController()
    const finished = this.#start(jobId, prepared, cancel.signal)
    this.#running.set(cancel, finished)
    finished.catch(() => undefined).finally(() => this.#running.delete(cancel))
    return { finished, cancel: () => cancel.abort(), acknowledge: () => {} }
  }

  async close(): Promise<void> {
    this.#end(new QMeshError('QM_CANCELLED', `the host of "${this.model.id}" is closed`))
    await Promise.allSettled(this.#running.values())
  }

  async #start(
    jobId: string,
    prepared: Prepared | undefined,
    signal: AbortSignal,
  ): Promise<GenerationResult> {
    if (this.#over) throw this.#over
    if (!prepared) throw new QMeshError('QM_INTERNAL', `job "${jobId}" was not prepared on this host`)
    if (this.#running.size >= this.model.slots)
      throw new QMeshError('QM_INTERNAL', `no free slot for job "${jobId}"`)
    try {
      return await this.#run(prepared, signal)
    } catch (error) {
      if (this.#over) throw this.#over
      if (signal.aborted) throw new QMeshError('QM_CANCELLED')
      await this.#watch.failed(error)
      throw this.#over ?? toQMeshError(error, 'QM_INFERENCE_FAILED')
    }
  }

  async #run({ request, texts, promptTokens }: Prepared, signal: AbortSignal): Promise<GenerationResult> {
    const startedAtMs = performance.now()
    const withinMs = this.#target.patience.firstMs
    const answer = await callEmbeddings(this.#target, texts, { signal, withinMs })
    this.#watch.heard()
    const { embeddingSize } = this.model
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

  #end(reason: QMeshError): void {
    this.#over ??= reason
    this.#watch.stop()
    this.#prepared.clear()
    for (const cancel of this.#running.keys()) cancel.abort()
  }
}
