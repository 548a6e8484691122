import { hasToolTurns, limits, QMeshError, toQMeshError } from '../../../protocol/index.ts'
import type {
  EngineHost,
  GenerateRequest,
  Generation,
  GenerationResult,
  LoadedModel,
  TokenChunk,
} from '../engine.port.ts'
import { AnswerPieces, type Piece } from './answer-pieces.ts'
import type { EngineTarget } from './availability.ts'
import { toEngineCall } from './body.ts'
import { EngineFault } from './engine-fault.ts'
import { EngineWatch } from './engine-watch.ts'
import { openStream, toAddress } from './open-stream.ts'
import { PromptEstimate } from './prompt-estimate.ts'
import { readStream } from './read-stream.ts'
import { Reading } from './reading.ts'
import type { ResumeManner } from './seam-filter.ts'

type OnChunk = (chunk: TokenChunk) => void

interface Prepared {
  readonly request: GenerateRequest
  readonly promptTokens: number
}

export interface OpenAiHostInput {
  readonly model: LoadedModel
  readonly target: EngineTarget
  readonly manner: ResumeManner
  readonly onLog?: ((level: 'debug' | 'warn', message: string) => void) | undefined
}

/** A model that another program runs, as one of this node's own. */
export class OpenAiHost implements EngineHost {
  readonly model: LoadedModel
  readonly lost: Promise<QMeshError>
  readonly #target: EngineTarget
  readonly #manner: ResumeManner
  readonly #watch: EngineWatch
  readonly #estimate = new PromptEstimate()
  readonly #prepared = new Map<string, Prepared>()
  readonly #running = new Map<Reading, Promise<unknown>>()
  #sayLost: (error: QMeshError) => void = () => {}
  /** Why it takes no more work. */
  #over: QMeshError | undefined

  constructor({ model, target, manner, onLog }: OpenAiHostInput) {
    this.model = model
    this.#target = target
    this.#manner = manner
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
    return Promise.resolve().then(() => this.#prepare(request))
  }

  #prepare(request: GenerateRequest): { promptTokens: number } {
    if (this.#over) throw this.#over
    const { id, contextTokens } = this.model
    const { resume, maxTokens, embed } = request
    if (embed) throw new QMeshError('QM_MODEL_KIND', `"${id}" makes no embeddings`)
    if (resume && (resume.text === undefined || resume.mode === 'exact')) {
      throw new QMeshError(
        'QM_RESUME_INVALID',
        `"${id}" is run by an engine that takes no tokens: its answers go on from their text, and not exactly`,
      )
    }
    if (request.tools || hasToolTurns(request.messages ?? [])) {
      throw new QMeshError(
        'QM_TOOLS_UNSUPPORTED',
        `"${id}" is run by another program, which is not asked to call functions`,
      )
    }
    const promptTokens = this.#estimate.count(request)
    if (promptTokens + maxTokens > contextTokens) {
      throw new QMeshError(
        'QM_CONTEXT_EXCEEDED',
        `the prompt has about ${promptTokens} tokens and asks for ${maxTokens} more, ` +
          `the context of "${id}" holds ${contextTokens} together`,
      )
    }
    if (request.jsonSchema !== undefined) checkSchema(request.jsonSchema)
    this.#prepared.set(request.jobId, { request, promptTokens })
    return { promptTokens }
  }

  release(jobId: string): void {
    this.#prepared.delete(jobId)
  }

  generate(jobId: string, onChunk: OnChunk): Generation {
    const prepared = this.#prepared.get(jobId)
    this.#prepared.delete(jobId)
    const reading = new Reading(prepared?.request.resume?.tokens.length ?? 0)
    const finished = this.#start(jobId, prepared, reading, onChunk)
    this.#running.set(reading, finished)
    // Whoever only reads chunks must not end the process by not looking here.
    finished.catch(() => undefined).finally(() => this.#running.delete(reading))
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

  async #start(
    jobId: string,
    prepared: Prepared | undefined,
    reading: Reading,
    onChunk: OnChunk,
  ): Promise<GenerationResult> {
    if (this.#over) throw this.#over
    if (!prepared) throw new QMeshError('QM_INTERNAL', `job "${jobId}" was not prepared on this host`)
    if (this.#running.size >= this.model.slots)
      throw new QMeshError('QM_INTERNAL', `no free slot for job "${jobId}"`)
    try {
      return await this.#run(prepared, reading, onChunk)
    } catch (error) {
      if (this.#over) throw this.#over
      if (reading.signal.aborted) throw new QMeshError('QM_CANCELLED')
      await this.#watch.failed(error)
      throw this.#over ?? toQMeshError(error, 'QM_INFERENCE_FAILED')
    }
  }

  async #run(
    { request, promptTokens }: Prepared,
    reading: Reading,
    onChunk: OnChunk,
  ): Promise<GenerationResult> {
    const { resume, maxTokens, stop, jsonSchema } = request
    const { url, key, model, patience } = this.#target
    const startedAtMs = performance.now()
    const begun = resume?.text ?? ''
    let tokens = resume?.tokens.length ?? 0
    let text = ''
    let firstAtMs: number | undefined
    let lastAtMs = startedAtMs
    // Behind a raw prompt nothing is ever said again.
    const seam = request.messages ? begun : ''
    const manner = this.#manner
    const answer = new AnswerPieces({ stop, begun: seam, manner, room: maxTokens - tokens })
    const send = async (pieces: readonly Piece[]): Promise<void> => {
      for (const piece of pieces) {
        await reading.room(tokens)
        if (reading.signal.aborted) throw new QMeshError('QM_CANCELLED')
        lastAtMs = performance.now()
        firstAtMs ??= lastAtMs
        tokens++
        text += piece.text
        onChunk({ tokens: [piece.token], text: piece.text })
      }
    }
    const end = (reason: GenerationResult['reason']): GenerationResult => ({
      reason,
      promptTokens,
      cachedTokens: 0,
      completionTokens: tokens,
      ...(resume && { resumeMode: 'text' }),
      firstTokenMs: toDuration((firstAtMs ?? lastAtMs) - startedAtMs),
      totalMs: toDuration(lastAtMs - startedAtMs),
    })
    // The worker before this one was lost with nothing left to say but the end.
    if (answer.end) return end(answer.end)
    const { path, body } = toEngineCall(request, model, manner)
    const { signal } = reading
    const options = { key, body, signal, answerMs: patience.firstMs }
    const exchange = await openStream(toAddress(url, path), options)
    let reason: string | undefined
    try {
      for await (const chunk of readStream(exchange, patience, maxTokens)) {
        this.#watch.heard()
        if (chunk.promptTokens !== undefined) this.#estimate.learn(request, chunk.promptTokens)
        reason ??= chunk.reason
        await send(answer.push(chunk.text))
        if (answer.end) return end(answer.end)
      }
    } finally {
      exchange.close()
    }
    await send(answer.flush())
    if (answer.end) return end(answer.end)
    if (jsonSchema !== undefined && reason !== 'length') checkJson(begun + text)
    return end(reason === 'length' ? 'length' : 'stop')
  }

  #end(reason: QMeshError): void {
    this.#over ??= reason
    this.#watch.stop()
    this.#prepared.clear()
    for (const reading of this.#running.keys()) reading.cancel()
  }
}

const toDuration = (ms: number): number => Math.min(limits.durationMsMax, Math.round(ms))

/** The engine makes what it can of it; what is no schema at all need not be sent. */
function checkSchema(text: string): void {
  let schema: unknown
  try {
    schema = JSON.parse(text)
  } catch {
    schema = undefined
  }
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) return
  throw new QMeshError('QM_JSON_SCHEMA_INVALID', 'the JSON schema must be a JSON object')
}

/** Engines that do not know schemas ignore them, and say nothing. */
function checkJson(text: string): void {
  try {
    JSON.parse(text)
  } catch {
    throw new EngineFault(
      'QM_INFERENCE_FAILED',
      'the engine of this worker was asked for JSON, and gave something else',
      'it ignores "response_format"',
    )
  }
}
