import { toQMeshError } from '../../../protocol/index.ts'
import type { CoreExchange } from '../seeding/core-exchange.ts'
import type { CoreKey } from '../seeding/static-core.ts'
import { type FetchContext, type FileSource, type Probe, SourceFailed } from './source.ts'

/** Other nodes that have the file, or parts of it. Every block is proven on arrival. */
export class PeersSource implements FileSource {
  readonly name = 'peers'
  readonly isProving = true
  readonly #exchange: CoreExchange | undefined
  readonly #key: CoreKey | null

  /** @param key null when nobody said which core the file is */
  constructor(exchange: CoreExchange | undefined, key: CoreKey | null) {
    this.#exchange = exchange
    this.#key = key
  }

  probe(): Promise<Probe> {
    return Promise.resolve({ bytes: null })
  }

  async fetch({ target, signal, onBytes }: FetchContext): Promise<void> {
    if (!this.#exchange || this.#key === null) {
      throw new SourceFailed(
        this.#exchange
          ? 'the manifest does not say by which key peers offer this file'
          : 'this node has no network to ask peers on',
        { isLasting: true },
      )
    }
    try {
      await this.#exchange.fetch(this.#key, target, { signal, onBytes })
    } catch (error) {
      const failure = toQMeshError(error, 'QM_SOURCE_FAILED')
      if (failure.code !== 'QM_SOURCE_FAILED') throw failure
      // Whoever is not there now may come; meanwhile the next source is asked.
      throw new SourceFailed(failure.message, { isLasting: true, cause: failure })
    }
  }
}
