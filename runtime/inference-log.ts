import type { InferenceEmitted } from '../machines/inference/index.ts'
import type { ModelId } from '../protocol/index.ts'
import type { Logger } from './logger.ts'

/** What becomes of the models, for whoever reads the log. */
export class InferenceLog {
  readonly #logger: Logger
  /** Why models cannot be loaded now, as it was logged: the same is not said again and again. */
  readonly #retrying = new Map<ModelId, string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  heard(event: InferenceEmitted): void {
    const logger = this.#logger
    switch (event.type) {
      case 'model.ready': {
        const { id, contextTokens, slots, backend, threads } = event.model
        this.#retrying.delete(id)
        logger.info({ model: id, contextTokens, slots, backend, threads }, 'model ready')
        return
      }
      case 'model.unloading':
        logger.info({ model: event.modelId }, 'model makes room for another')
        return
      case 'model.lost':
        logger.warn({ model: event.modelId, code: event.code }, 'model lost; loading it again')
        return
      case 'model.retrying': {
        const { modelId, code, message, delayMs } = event
        const level = this.#retrying.get(modelId) === message ? 'debug' : 'warn'
        this.#retrying.set(modelId, message)
        logger[level]({ model: modelId, code, error: message, delayMs }, 'model is loaded again soon')
        return
      }
      case 'model.failed':
        logger.error({ model: event.modelId, code: event.code, error: event.message }, 'model failed')
        return
      default:
    }
  }
}
