import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Transferable, Worker } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { QMeshError } from '../../../protocol/index.ts'
import type { InferenceTask, TaskAnswer } from './thread-messages.ts'
import { VitalSigns } from './vital-signs.ts'

/** Tasks in one thread at once: every running generation is one, and so is every prompt being tokenized. */
const tasksMax = 4_096

type Answer = Extract<TaskAnswer, { ok: true }>

/** One Piscina pool of exactly one thread. It is never grown, never refilled and dies with its host. */
export class HostThread {
  /** Resolves when the thread is gone, for whatever reason. */
  readonly exited: Promise<string>
  readonly vitals = new VitalSigns()
  readonly #pool: Piscina<InferenceTask, TaskAnswer>

  /** @param entryUrl module whose export `runInferenceTask` answers the tasks */
  constructor(entryUrl: string, onThread?: (worker: Worker) => void) {
    this.#pool = new Piscina<InferenceTask, TaskAnswer>({
      filename: fileURLToPath(entryUrl),
      name: 'runInferenceTask',
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: tasksMax,
      // The default would freeze the thread, and with it every running generation, between two tasks.
      atomics: 'disabled',
      // In a checkout the entry is TypeScript, and a worker does not inherit what loads the node itself.
      ...(entryUrl.endsWith('.ts') && { execArgv: ['--import', typeScriptHook()] }),
    })
    const worker = this.#pool.threads[0]
    if (!worker) throw new QMeshError('QM_INTERNAL', 'the inference thread was not started')
    this.exited = new Promise((resolve) => {
      worker.once('error', (error: Error) => resolve(error.message))
      worker.once('exit', (code: number) => resolve(`exit code ${code}`))
    })
    // Without a listener Piscina's own report of the same event would end the process.
    this.#pool.on('error', () => undefined)
    onThread?.(worker)
  }

  /** @throws QMeshError what the thread answered, or `QM_ENGINE_CRASHED` when it ended before it answered */
  async run(task: InferenceTask, transferList: Transferable[] = []): Promise<Answer> {
    let answer: TaskAnswer
    try {
      answer = await this.#pool.run(task, { transferList })
    } catch (error) {
      throw new QMeshError('QM_ENGINE_CRASHED', undefined, { cause: error })
    }
    if (answer.ok) return answer
    throw new QMeshError(answer.failure.code, answer.failure.message)
  }

  /** Ends the thread as soon as it is not in native code. Resolves when it is gone; the wait keeps no process alive. */
  async destroy(): Promise<void> {
    this.vitals.forbidNativeCode()
    if (this.vitals.isInNativeCode) await Promise.race([this.exited, this.#nativeCodeLeft()])
    await this.#pool.destroy()
  }

  #nativeCodeLeft(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        if (this.vitals.isInNativeCode) return
        clearInterval(timer)
        resolve()
      }, 20)
      timer.unref()
    })
  }
}

/**
 * A module that teaches a thread to import TypeScript. `--import tsx` would not do: tsx registers its hooks in main
 * threads only. By URL, because a bare name would be looked up from the working directory.
 */
function typeScriptHook(): string {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json'))
  const api = new URL('dist/esm/api/index.mjs', tsx).href
  return `data:text/javascript,import { register } from ${JSON.stringify(api)}; register()`
}
