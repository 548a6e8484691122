import { hasToolTurns, limits, QMeshError } from '../../../protocol/index.ts'
import type { GenerateRequest, GenerationResult, LoadedModel } from '../engine.port.ts'
import { AnswerPieces, type Piece } from './answer-pieces.ts'
import type { EngineTarget } from './availability.ts'
import { toEngineCall } from './body.ts'
import { EngineFault } from './engine-fault.ts'
import type { EngineTask, EngineWork } from './openai-host.ts'
import { openStream, toAddress } from './open-stream.ts'
import { PromptEstimate } from './prompt-estimate.ts'
import { readStream } from './read-stream.ts'
import type { ResumeManner } from './seam-filter.ts'

/** Has the engine answer, token by token. */
export class Answering implements EngineWork {
  readonly #model: LoadedModel
  readonly #target: EngineTarget
  readonly #manner: ResumeManner
  readonly #estimate = new PromptEstimate()

  constructor(model: LoadedModel, target: EngineTarget, manner: ResumeManner) {
    this.#model = model
    this.#target = target
    this.#manner = manner
  }

  check(request: GenerateRequest): number {
    const { id, contextTokens } = this.#model
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
    return promptTokens
  }

  async run({ request, promptTokens, reading, onChunk, heard }: EngineTask): Promise<GenerationResult> {
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
        heard()
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
