import { QMeshError, toQMeshError } from '../../../protocol/index.ts'
import type {
  EngineHost,
  GenerateRequest,
  Generation,
  GenerationResult,
  LoadedModel,
  TokenChunk,
} from '../engine.port.ts'
import type { EngineTarget } from './availability.ts'
import { EngineWatch } from './engine-watch.ts'
import { Reading } from './reading.ts'

/** A request that was checked. */
export interface PreparedRequest {
  readonly request: GenerateRequest
  readonly promptTokens: number
}

/** What one request goes through while the engine works on it. */
export interface EngineTask extends PreparedRequest {
  readonly reading: Reading
  readonly onChunk: (chunk: TokenChunk) => void
  /** To be called whenever the engine said a word: then it is there. */
  readonly heard: () => void
}

/** What a model of another program does: it answers, or makes vectors. */
export interface EngineWork {
  /** Tokens of the prompt. @throws QMeshError for a request that the model cannot serve */
  check(request: GenerateRequest): number
  /** @throws QMeshError, EngineFault */
  run(task: EngineTask): Promise<GenerationResult>
}

export interface OpenAiHostInput {
  readonly model: LoadedModel
  readonly target: EngineTarget
  readonly work: EngineWork
  readonly onLog?: ((level: 'debug' | 'warn', message: string) => void) | undefined
}

/** A model that another program runs, as one of this node's own: its requests, and whether the program is still there. */
export class OpenAiHost implements EngineHost {
  readonly model: LoadedModel
  readonly lost: Promise<QMeshError>
  readonly #work: EngineWork
  readonly #watch: EngineWatch
  readonly #prepared = new Map<string, PreparedRequest>()
  readonly #running = new Map<Reading, Promise<unknown>>()
  #sayLost: (error: QMeshError) => void = () => {}
  /** Why it takes no more work. */
  #over: QMeshError | undefined

  constructor({ model, target, work, onLog }: OpenAiHostInput) {
    this.model = model
    this.#work = work
    this.lost = new Promise((resolve) => {
      this.#sayLost = resolve
    })
    this.#watch = new EngineWatch({
      target,
      onLog,
      onGone: (reason) => {
        this.#end(reason)
        this.#sayLost(reason)
      },
    })
  }

  prepare(request: GenerateRequest): Promise<{ promptTokens: number }> {
    return Promise.resolve().then(() => {
      if (this.#over) throw this.#over
      const promptTokens = this.#work.check(request)
      this.#prepared.set(request.jobId, { request, promptTokens })
      return { promptTokens }
    })
  }

  release(jobId: string): void {
    this.#prepared.delete(jobId)
  }

  generate(jobId: string, onChunk: EngineTask['onChunk']): Generation {
    const prepared = this.#prepared.get(jobId)
    this.#prepared.delete(jobId)
    const reading = new Reading(prepared?.request.resume?.tokens.length ?? 0)
    const heard = (): void => this.#watch.heard()
    // Whoever hears of the end finds the slot free, and may use it at once.
    const finished = this.#run(jobId, prepared && { ...prepared, reading, onChunk, heard }).finally(() =>
      this.#running.delete(reading),
    )
    this.#running.set(reading, finished)
    // Whoever only reads chunks must not end the process by not looking here.
    finished.catch(() => undefined)
    return {
      finished,
      cancel: () => reading.cancel(),
      acknowledge: (tokens) => reading.acknowledge(tokens),
    }
  }

  async close(): Promise<void> {
    this.#end(new QMeshError('QM_CANCELLED', `the host of "${this.model.id}" is closed`))
    await Promise.allSettled(this.#running.values())
  }

  async #run(jobId: string, task: EngineTask | undefined): Promise<GenerationResult> {
    if (this.#over) throw this.#over
    if (!task) throw new QMeshError('QM_INTERNAL', `job "${jobId}" was not prepared on this host`)
    if (this.#running.size >= this.model.slots)
      throw new QMeshError('QM_INTERNAL', `no free slot for job "${jobId}"`)
    try {
      return await this.#work.run(task)
    } catch (error) {
      if (this.#over) throw this.#over
      if (task.reading.signal.aborted) throw new QMeshError('QM_CANCELLED')
      await this.#watch.failed(error)
      throw this.#over ?? toQMeshError(error, 'QM_INFERENCE_FAILED')
    }
  }

  #end(reason: QMeshError): void {
    this.#over ??= reason
    this.#watch.stop()
    this.#prepared.clear()
    for (const reading of this.#running.keys()) reading.cancel()
  }
}
