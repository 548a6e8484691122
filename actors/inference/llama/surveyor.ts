import type { Worker } from 'node:worker_threads'
import { QMeshError, type ModelHash } from '../../../protocol/index.ts'
import type { EngineOptions, ModelSpec, ModelSurvey } from '../engine.port.ts'
import { HostThread } from './host-thread.ts'

/**
 * Looks at models one after the other, all that are asked for together in one thread: starting one takes longer than
 * looking. The thread is gone when the last survey of a batch has ended.
 */
export class Surveyor {
  readonly #workerUrl: string
  readonly #onThread: ((worker: Worker) => void) | undefined
  #thread: HostThread | undefined
  #asked = 0
  #latest: Promise<unknown> = Promise.resolve()

  constructor(workerUrl: string, onThread?: (worker: Worker) => void) {
    this.#workerUrl = workerUrl
    this.#onThread = onThread
  }

  /** @throws QMeshError what the thread answered, or `QM_ENGINE_CRASHED` */
  async survey(
    spec: ModelSpec,
    options: EngineOptions,
    knownHash: ModelHash | undefined,
  ): Promise<ModelSurvey> {
    this.#asked++
    const survey = this.#latest.then(() => this.#survey(spec, options, knownHash))
    this.#latest = survey.catch(() => {})
    try {
      return await survey
    } finally {
      this.#asked--
      if (this.#asked === 0) await this.#end()
    }
  }

  async #survey(spec: ModelSpec, options: EngineOptions, knownHash?: ModelHash): Promise<ModelSurvey> {
    this.#thread ??= new HostThread(this.#workerUrl, this.#onThread)
    const thread = this.#thread
    try {
      const { surveyed } = await thread.run({
        kind: 'survey',
        spec,
        options,
        knownHash,
        vitals: thread.vitals.buffer,
      })
      if (surveyed) return surveyed
      throw new QMeshError('QM_INTERNAL', 'the inference thread did not say what it found')
    } catch (error) {
      // A thread that ended takes no more tasks; the next model gets one of its own.
      if (error instanceof QMeshError && error.code === 'QM_ENGINE_CRASHED') await this.#end()
      throw error
    }
  }

  async #end(): Promise<void> {
    const thread = this.#thread
    this.#thread = undefined
    await thread?.destroy()
  }
}
