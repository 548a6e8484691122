import { setTimeout as sleep } from 'node:timers/promises'
import {
  createRequestId,
  QMeshError,
  toQMeshError,
  type ModelHash,
  type ModelId,
  type PeerId,
  type RequestId,
} from '../../protocol/index.ts'
import type { Answer, AnswerAttempt, AnswerResult } from './answer.ts'
import type { Question } from './ask-options.ts'
import { checkEmbedOptions, toEmbedQuestion, toParts, type EmbedOptions } from './embed-options.ts'

/** One request of those that a list took. */
export interface EmbeddedPart {
  readonly requestId: RequestId
  /** Texts of the list that went with it. */
  readonly texts: number
  readonly workerId: PeerId
  /** Every worker tried, the one that answered last. */
  readonly attempts: readonly AnswerAttempt[]
}

export interface Embeddings {
  /** In the order of the texts, each of length 1: the sum of products of two is their cosine similarity. */
  readonly vectors: readonly Float32Array[]
  /** Numbers in each. */
  readonly size: number
  readonly modelId: ModelId
  /** The weights. Vectors of different ones cannot be compared. */
  readonly modelHash: ModelHash
  readonly usage: { readonly promptTokens: number }
  readonly timings: { readonly totalMs: number }
  /** In the order of the list. */
  readonly requests: readonly EmbeddedPart[]
}

type Options = ReturnType<typeof checkEmbedOptions>

/** Parts of one list that are asked for at the same time. */
const partsAtOnce = 4
/** Times that a part waits because this node sends faster than a worker lets it, and the longest such wait. */
const pausesMax = 16
const pauseMsMax = 5_000

/**
 * Turns lists of texts into vectors. A list goes in parts, each a request of its own that finds its worker, waits in its
 * queue and goes elsewhere when the worker is lost.
 */
export class Embedder {
  readonly #open: (question: Question) => Answer
  readonly #now: () => number

  /** @param open starts a request */
  constructor(open: (question: Question) => Answer, now: () => number) {
    this.#open = open
    this.#now = now
  }

  /**
   * Rejects with the reason of the first part that failed; the others are cancelled then.
   *
   * @throws QMeshError `QM_REQUEST_INVALID` at once, naming the option or the text; then nothing was asked
   */
  embed(texts: string | readonly string[], given: EmbedOptions = {}): Promise<Embeddings> {
    const options = checkEmbedOptions(given)
    return this.#embed(toParts(typeof texts === 'string' ? [texts] : texts), options)
  }

  async #embed([head = [], ...tail]: readonly (readonly string[])[], options: Options): Promise<Embeddings> {
    const beganAtMs = this.#now()
    const failed = new AbortController()
    const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])])
    const left = (): { deadlineMs?: number } => {
      if (options.deadlineMs === undefined) return {}
      return { deadlineMs: Math.max(1, Math.round(options.deadlineMs - (this.#now() - beganAtMs))) }
    }
    try {
      const first = await this.#part(head, () => ({ ...options, signal, ...left() }))
      const { modelId, modelHash, vectors: [{ length: size = 0 } = []] = [] } = first
      // Whatever the first part came from decides for all: other weights make other vectors, also under the same name.
      const pinned = { ...options, modelHash, size, signal }
      const rest = await mapAtMost(partsAtOnce, tail, (part) =>
        this.#part(part, () => ({ ...pinned, ...left() })),
      )
      const results = [first, ...rest]
      return {
        vectors: results.flatMap(({ vectors = [] }) => vectors),
        size,
        modelId,
        modelHash,
        usage: { promptTokens: results.reduce((sum, { usage }) => sum + usage.promptTokens, 0) },
        timings: { totalMs: Math.max(0, this.#now() - beganAtMs) },
        requests: results.map(({ requestId, workerId, attempts, vectors = [] }) => ({
          requestId,
          texts: vectors.length,
          workerId,
          attempts,
        })),
      }
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }

  /** A list sends more requests than its caller knows of: where a worker finds them too many, it waits. */
  async #part(
    texts: readonly string[],
    toOptions: () => Options & { readonly signal: AbortSignal },
  ): Promise<AnswerResult> {
    for (let pauses = 0; ; pauses++) {
      const options = toOptions()
      try {
        return await this.#open(toEmbedQuestion(createRequestId(), texts, options)).result
      } catch (error) {
        const { code, retryAfterMs = Infinity } = toQMeshError(error)
        const { deadlineMs = Infinity } = toOptions()
        const isInTime = retryAfterMs <= pauseMsMax && retryAfterMs < deadlineMs
        if (code !== 'QM_RATE_LIMITED' || !isInTime || pauses >= pausesMax) throw error
        await pause(retryAfterMs, options.signal)
      }
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    throw new QMeshError('QM_CANCELLED', undefined, { cause: error })
  }
}

/** Like `Promise.all` over a `map`, with so many on their way at once. */
async function mapAtMost<Item, Result>(
  most: number,
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const queue = items.entries()
  const next = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, next))
  return results
}
