import { setTimeout as sleep } from 'node:timers/promises'
import type {
  Engine,
  EngineHost,
  GenerateRequest,
  Generation,
  GenerationResult,
  LoadedModel,
  TokenChunk,
} from '../../actors/inference/engine.port.ts'
import { QMeshError } from '../../protocol/index.ts'

/** An engine that hands out a token every so many milliseconds: the small model is too fast to be watched. */
export const pacedEngine = (engine: Engine, tokenMs: number): Engine => ({
  ...engine,
  load: async (spec, options) => new PacedHost(await engine.load(spec, options), tokenMs),
})

class PacedHost implements EngineHost {
  readonly #host: EngineHost
  readonly #tokenMs: number

  constructor(host: EngineHost, tokenMs: number) {
    this.#host = host
    this.#tokenMs = tokenMs
  }

  get model(): LoadedModel {
    return this.#host.model
  }

  get lost(): Promise<QMeshError> {
    return this.#host.lost
  }

  prepare(request: GenerateRequest): Promise<{ readonly promptTokens: number }> {
    return this.#host.prepare(request)
  }

  release(jobId: string): void {
    this.#host.release(jobId)
  }

  close(): Promise<void> {
    return this.#host.close()
  }

  generate(jobId: string, onChunk: (chunk: TokenChunk) => void): Generation {
    const startedAtMs = performance.now()
    let firstAtMs: number | undefined
    let isOver = false
    let delivered = Promise.resolve()
    const deliver = (chunk: TokenChunk): void => {
      delivered = delivered.then(async () => {
        if (!isOver && chunk.tokens.length > 0) await sleep(this.#tokenMs)
        if (isOver) return
        firstAtMs ??= performance.now()
        onChunk(chunk)
      })
    }
    const generation = this.#host.generate(jobId, ({ tokens, text }) => {
      // Which part of the text belongs to which token is not known here, and text must never be ahead of its tokens.
      for (const token of tokens.slice(0, -1)) deliver({ tokens: [token], text: '' })
      deliver({ tokens: tokens.slice(-1), text })
    })
    const finish = async (): Promise<GenerationResult> => {
      try {
        const result = await generation.finished
        await delivered
        if (isOver) throw new QMeshError('QM_CANCELLED')
        const firstTokenMs = Math.round((firstAtMs ?? performance.now()) - startedAtMs)
        return { ...result, firstTokenMs, totalMs: Math.round(performance.now() - startedAtMs) }
      } finally {
        isOver = true
      }
    }
    const finished = finish()
    finished.catch(() => undefined)
    return {
      finished,
      acknowledge: (tokens) => generation.acknowledge(tokens),
      cancel: () => {
        isOver = true
        generation.cancel()
      },
    }
  }
}
