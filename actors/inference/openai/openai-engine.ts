import { toOpaqueHash, QMeshError } from '../../../protocol/index.ts'
import type { Engine, LoadedModel, ModelSpec } from '../engine.port.ts'
import { checkAvailable, tryAnswer } from './availability.ts'
import { EngineFault } from './engine-fault.ts'
import { Answering } from './answering.ts'
import { Embedding } from './embedding.ts'
import { tryEmbedding } from './embedding-call.ts'
import { OpenAiHost } from './openai-host.ts'
import { defaultPatience, type OpenAiEngineOptions } from './settings.ts'

/** Tokens of prompt and answer together, where the owner did not say: what small engines begin with. */
const contextTokensDefault = 4_096
/** Requests at once: one more would wait in the engine, where nobody sees it. */
const slotsDefault = 1

const engineKind = 'openai'

/**
 * A program that speaks OpenAI's API, such as Ollama, LM Studio or llama-server, as an engine of the mesh. What it runs
 * is known by its name only, so the hash is opaque.
 */
export function createOpenAiEngine(options: OpenAiEngineOptions): Engine {
  const { url, key, selfId, onLog } = options
  const patience = { ...defaultPatience, ...options.patience }
  return {
    async load(spec) {
      const target = { url, key, selfId, model: toName(spec), patience }
      const never = new AbortController().signal
      await checkAvailable(target, never)
      const model = toModel(spec)
      try {
        const manner = await tryAnswer(target, never)
        return new OpenAiHost({ model, target, work: new Answering(model, target, manner), onLog })
      } catch (error) {
        const embeddingSize = isOfAnotherKind(error) ? await tryEmbedding(target, never) : undefined
        if (embeddingSize === undefined) throw error
        const embedder = { ...model, embeddingSize }
        return new OpenAiHost({ model: embedder, target, work: new Embedding(embedder, target), onLog })
      }
    },

    // It takes no memory of this node's, and whether it is there is seen when it is loaded.
    survey: (spec) => {
      const { id, hash, contextTokens, slots } = toModel(spec)
      return Promise.resolve({ id, hash, contextTokens, slots, bytes: 0 })
    },
  }
}

/** How programs refuse to chat with a model that makes embeddings. Other failures may pass. */
const refusals: ReadonlySet<number | undefined> = new Set([400, 404, 405, 422, 501])

const isOfAnotherKind = (error: unknown): boolean =>
  error instanceof QMeshError && error.cause instanceof EngineFault && refusals.has(error.cause.status)

function toModel(spec: ModelSpec): LoadedModel {
  const { id, contextTokens = contextTokensDefault, slots = slotsDefault } = spec
  const hash = toOpaqueHash(engineKind, toName(spec))
  return { id, hash, contextTokens, slots, backend: 'remote', threads: 0, memoryMb: 0 }
}

function toName({ id, remoteName }: ModelSpec): string {
  if (remoteName !== undefined) return remoteName
  throw new QMeshError('QM_INTERNAL', `"${id}" is a file, and this engine runs none`)
}
