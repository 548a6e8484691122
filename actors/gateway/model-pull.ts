import { z } from 'zod'
import { modelHashSchema, modelIdSchema, QMeshError } from '../../protocol/index.ts'
import { toApiFailure } from './api-error.ts'
import { openAiError } from './error-shapes.ts'
import { EventStream } from './event-stream.ts'
import type { GatewayModels } from './gateway.port.ts'
import { toEvent } from './sse.ts'

/**
 * What may be fetched at somebody's word over HTTP: less than on the command line, where a name may also be the path of a
 * file or an address without encryption.
 */
export const modelPullRequest = z.strictObject({
  name: z
    .union([
      modelIdSchema,
      modelHashSchema,
      z
        .string()
        .max(512)
        .regex(/^hf:[^/\s]+\/[^/\s]+\/\S+$/),
      z
        .string()
        .max(2_048)
        .regex(/^https:\/\/\S+$/),
    ])
    // Whatever else it looks like, that is the path of a manifest on this machine.
    .refine((name) => !/\.json$/i.test(name), { message: 'a model, not the path of a manifest' }),
})

/** Fetches a model, telling how far it is. A reader that goes away ends it; what came is kept for the next time. */
export class ModelPull {
  readonly stream: EventStream
  /** Settles when there is something to read; rejects when it fails before. */
  readonly begun: Promise<void>
  readonly #abort = new AbortController()
  /** By kind: of progress only the latest counts. */
  readonly #news = new Map<string, string>()
  #isNodeStopping = false

  constructor(models: GatewayModels, name: string, heartbeatMs: number) {
    this.stream = new EventStream(
      {
        take: () => {
          const text = [...this.#news.values()].join('')
          this.#news.clear()
          return text
        },
        closed: () => this.#abort.abort(),
      },
      heartbeatMs,
    )
    this.begun = new Promise((resolve, reject) => {
      let isBegun = false
      const tell = (kind: string, event: string): void => {
        isBegun = true
        resolve()
        this.#news.set(kind, event)
        this.stream.wake()
      }
      models
        .pull(name, {
          signal: this.#abort.signal,
          onProgress: (progress) => tell('progress', toEvent(progress, 'progress')),
          // Each source is named once.
          onSourceFailed: (failure) => tell(`failed ${failure.source}`, toEvent(failure, 'source-failed')),
        })
        .then(
          (model) => tell('end', toEvent(model, 'done')),
          (given: unknown) => {
            const error = this.#isNodeStopping ? new QMeshError('QM_NODE_STOPPED') : given
            if (!isBegun) {
              reject(error)
              this.cancel()
            } else tell('end', toEvent(openAiError(toApiFailure(error)), 'error'))
          },
        )
        .finally(() => this.stream.finish())
    })
    this.begun.catch(() => {})
  }

  /** Ends it and says why: it would take longer than a node has to stop. */
  stop(): void {
    this.#isNodeStopping = true
    this.#abort.abort()
  }

  /** Nobody wants it any more. */
  cancel(): void {
    this.stream.destroy()
  }
}
