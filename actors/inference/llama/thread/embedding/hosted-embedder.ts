import { performance } from 'node:perf_hooks'
import type { Token } from 'node-llama-cpp'
import { encodeEmbeddings, QMeshError, toQMeshError, toUnitVector } from '../../../../../protocol/index.ts'
import type { GenerateRequest, GenerationResult } from '../../../engine.port.ts'
import { GenerationControl } from '../../generation-control.ts'
import type { FromThread, GenerateTask, LoadTask, TaskAnswer } from '../../thread-messages.ts'
import type { VitalSigns } from '../../vital-signs.ts'
import type { Hosted } from '../hosted.ts'
import { areBeyond } from '../token-count.ts'
import type { LoadedEmbedder } from './loaded-embedder.ts'

/** Characters of a text by which an error shows which one it is about. */
const quotedChars = 32

/** A model that makes embeddings, in its own thread. It has one slot, and reads one text after the other. */
export class HostedEmbedder implements Hosted {
  readonly #loaded: LoadedEmbedder
  readonly #port: LoadTask['port']
  readonly #vitals: VitalSigns
  readonly #prepared = new Map<string, readonly (readonly Token[])[]>()
  readonly #running = new Map<GenerationControl, Promise<void>>()
  #isQuiet = false

  constructor(loaded: LoadedEmbedder, { port }: LoadTask, vitals: VitalSigns) {
    this.#loaded = loaded
    this.#port = port
    this.#vitals = vitals
  }

  async prepare({ jobId, embed }: GenerateRequest): Promise<TaskAnswer> {
    if (!embed) throw new QMeshError('QM_MODEL_KIND', `"${this.#loaded.facts.id}" answers nothing`)
    const texts: Token[][] = []
    for (const text of embed) {
      texts.push(this.#encode(text))
      // Others may want to be counted, or to be cancelled, between two of many texts.
      await new Promise((resolve) => void setImmediate(resolve))
      // What native code holds may be gone.
      if (this.#isQuiet) throw new QMeshError('QM_CANCELLED')
    }
    this.#prepared.set(jobId, texts)
    return { ok: true, promptTokens: sumOf(texts) }
  }

  #encode(text: string): Token[] {
    const { id, contextTokens } = this.#loaded.facts
    const exceeded = (tokens: string): QMeshError =>
      new QMeshError(
        'QM_CONTEXT_EXCEEDED',
        `the text that begins with "${text.slice(0, quotedChars)}" has ${tokens} tokens, ` +
          `"${id}" reads at most ${contextTokens} at once: cut it into shorter ones`,
      )
    // Twice, because tokens may join where the counted pieces meet.
    if (areBeyond([text], 2 * contextTokens, (piece) => this.#loaded.tokenize(piece)))
      throw exceeded(`more than ${contextTokens}`)
    const tokens = this.#loaded.encode(text)
    if (tokens.length > contextTokens) throw exceeded(String(tokens.length))
    return tokens
  }

  release(jobId: string): TaskAnswer {
    this.#prepared.delete(jobId)
    return { ok: true }
  }

  async generate({ jobId, lane, control: words }: GenerateTask): Promise<TaskAnswer> {
    const control = new GenerationControl(words)
    const run = this.#run(jobId, lane, control)
    this.#running.set(control, run)
    await run
    this.#running.delete(control)
    return { ok: true }
  }

  async quiet(): Promise<void> {
    this.#isQuiet = true
    for (const control of this.#running.keys()) control.cancel()
    await Promise.all(this.#running.values())
  }

  async close(): Promise<TaskAnswer> {
    await this.quiet()
    await this.#vitals.native(() => this.#loaded.close())
    this.#port.close()
    return { ok: true }
  }

  async #run(jobId: string, lane: number, control: GenerationControl): Promise<void> {
    const texts = this.#prepared.get(jobId)
    this.#prepared.delete(jobId)
    try {
      if (!texts) throw new QMeshError('QM_INTERNAL', `job "${jobId}" was not prepared on this host`)
      this.#say({ type: 'finished', lane, result: await this.#embed(texts, control) })
    } catch (error) {
      const { code, message } = toQMeshError(error, 'QM_INFERENCE_FAILED')
      this.#say({ type: 'failed', lane, failure: { code, message } })
    }
  }

  /** @throws QMeshError `QM_CANCELLED`, `QM_INFERENCE_FAILED` */
  async #embed(texts: readonly (readonly Token[])[], control: GenerationControl): Promise<GenerationResult> {
    const startedAtMs = performance.now()
    const vectors: Float32Array[] = []
    for (const tokens of texts) {
      if (control.isCancelled) throw new QMeshError('QM_CANCELLED')
      const vector = toUnitVector(await this.#loaded.embed(tokens))
      if (!vector)
        throw new QMeshError('QM_INFERENCE_FAILED', 'the model made a vector that has no direction')
      vectors.push(vector)
    }
    const totalMs = Math.round(performance.now() - startedAtMs)
    return {
      reason: 'stop',
      promptTokens: sumOf(texts),
      cachedTokens: 0,
      completionTokens: 0,
      firstTokenMs: totalMs,
      totalMs,
      embeddings: encodeEmbeddings(vectors),
    }
  }

  #say(message: FromThread): void {
    this.#port.postMessage(message, [])
  }
}

const sumOf = (texts: readonly (readonly Token[])[]): number =>
  texts.reduce((sum, { length }) => sum + length, 0)
