import { QMeshError, toQMeshError } from '../../../protocol/index.ts'
import { checkAvailable, type EngineTarget } from './availability.ts'
import { EngineFault } from './engine-fault.ts'

/** Looks in a row that find nobody before the engine counts as gone. */
const missedMax = 2

export interface EngineWatchOptions {
  readonly target: EngineTarget
  readonly onLog?: ((level: 'debug' | 'warn', message: string) => void) | undefined
  /** It is not there any more. Called once. */
  readonly onGone: (reason: QMeshError) => void
}

/** Looks now and then whether the engine is still there, and at once when a request finds that it may not be. */
export class EngineWatch {
  readonly #options: EngineWatchOptions
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #missed = 0
  /** When it last said a word: then it is there. */
  #heardAtMs = -Infinity

  constructor(options: EngineWatchOptions) {
    this.#options = options
    this.#lookLater()
  }

  heard(): void {
    this.#heardAtMs = performance.now()
  }

  /** A request failed with this. Resolves when it is clear whether the engine is gone. */
  async failed(error: unknown): Promise<void> {
    if (!(error instanceof EngineFault)) return
    const { target, onLog } = this.#options
    onLog?.('warn', `the engine at ${target.url} failed a request: ${error.detail}`)
    // Nobody else should be sent to an engine that is gone.
    if (error.kind === 'loss') await this.#look(missedMax)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#stopped.abort()
  }

  #lookLater(): void {
    const { lookEveryMs } = this.#options.target.patience
    this.#timer = setTimeout(() => {
      const isHeard = performance.now() - this.#heardAtMs < lookEveryMs
      void (isHeard ? Promise.resolve() : this.#look(1)).then(() => {
        if (!this.#stopped.signal.aborted) this.#lookLater()
      })
    }, lookEveryMs)
    this.#timer.unref()
  }

  /** @param weight of this look, where it finds nobody */
  async #look(weight: number): Promise<void> {
    const { target, onLog, onGone } = this.#options
    const { signal } = this.#stopped
    try {
      await checkAvailable(target, signal)
      this.#missed = 0
    } catch (error) {
      if (signal.aborted) return
      const { cause } = toQMeshError(error)
      // One that has other things to do is there.
      if (cause instanceof EngineFault && cause.code === 'QM_OVERLOADED') return
      this.#missed += weight
      if (this.#missed < missedMax) return
      const { message } = toQMeshError(error)
      onLog?.('warn', message)
      this.stop()
      // To clients it is what it would be with an engine of this node's own.
      onGone(new QMeshError('QM_ENGINE_CRASHED', 'the engine behind this worker is gone', { cause: error }))
    }
  }
}
