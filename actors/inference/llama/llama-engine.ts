import { stat } from 'node:fs/promises'
import { MessageChannel, type Worker } from 'node:worker_threads'
import { QMeshError, toQMeshError, type ModelHash } from '../../../protocol/index.ts'
import type { Engine, ModelSpec } from '../engine.port.ts'
import type { FileStamp, HashCachePort } from '../hash-cache.port.ts'
import { HostThread } from './host-thread.ts'
import { LlamaHost } from './llama-host.ts'
import { Surveyor } from './surveyor.ts'
import { watchdogDefaults, type WatchdogOptions } from './watchdog.ts'

export interface LlamaEngineOptions {
  /** URL of the thread entry: `inferenceWorkerUrl` of `runtime/inference-worker.ts`. */
  readonly workerUrl: string
  /** Remembers hashes of files that have not changed. Absent: every load hashes the file. */
  readonly hashCache?: HashCachePort | undefined
  /** Folder of the verdicts on files that are loaded once in a process of their own first. Absent: none is tried. */
  readonly trialDir?: string | undefined
  /** Lines of llama.cpp's own log. */
  readonly onLog?: ((level: string, message: string) => void) | undefined
  readonly watchdog?: WatchdogOptions | undefined
  /** Sees each new thread; a test kills it to see what happens. */
  readonly onThread?: ((worker: Worker) => void) | undefined
}

/** Runs models by node-llama-cpp, each in a Piscina thread of its own. */
export function createLlamaEngine(options: LlamaEngineOptions): Engine {
  const surveyor = new Surveyor(options.workerUrl, options.onThread)
  return {
    async load(spec, engineOptions) {
      const stamp = await stampFile(spec)
      const knownHash = await options.hashCache?.get(spec.path, stamp)
      const thread = new HostThread(options.workerUrl, options.onThread)
      const { port1: port, port2: threadPort } = new MessageChannel()
      try {
        const { loaded: model } = await thread.run(
          {
            kind: 'load',
            spec,
            options: engineOptions,
            knownHash,
            trialDir: options.trialDir,
            port: threadPort,
            vitals: thread.vitals.buffer,
          },
          [threadPort],
        )
        if (!model) throw new QMeshError('QM_INTERNAL', 'the inference thread did not say what it loaded')
        await rememberHash(options.hashCache, spec, stamp, model.hash)
        const { onLog, watchdog = watchdogDefaults } = options
        return new LlamaHost({ model, thread, port, watchdog, onLog })
      } catch (error) {
        port.close()
        await thread.destroy()
        throw toQMeshError(error, 'QM_ENGINE_CRASHED')
      }
    },

    async survey(spec, engineOptions) {
      const stamp = await stampFile(spec)
      const knownHash = await options.hashCache?.get(spec.path, stamp)
      const surveyed = await surveyor.survey(spec, engineOptions, knownHash)
      await rememberHash(options.hashCache, spec, stamp, surveyed.hash)
      return surveyed
    },
  }
}

async function stampFile({ path }: ModelSpec): Promise<FileStamp> {
  try {
    const stats = await stat(path)
    return { sizeBytes: stats.size, modifiedMs: stats.mtimeMs }
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
    throw new QMeshError('QM_MODEL_FILE_MISSING', `the model file "${path}" cannot be read (${reason})`, {
      cause: error,
    })
  }
}

/** A file that changed while it was hashed is not remembered. */
async function rememberHash(
  cache: HashCachePort | undefined,
  spec: ModelSpec,
  before: FileStamp,
  hash: ModelHash,
): Promise<void> {
  if (!cache) return
  const after = await stampFile(spec)
  const isUnchanged = after.sizeBytes === before.sizeBytes && after.modifiedMs === before.modifiedMs
  if (isUnchanged) await cache.set(spec.path, before, hash)
}
