import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { z } from 'zod'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { QMeshError, type ModelHash } from '../../../protocol/index.ts'
import { readSmall } from '../store/store-files.ts'
import { trialProcessUrl } from './trial-process.ts'
import { refusedExitCode, trialMark, unsoundExitCode } from './trial-protocol.ts'

export interface FileTrialOptions {
  /** Folder of the verdicts; created when missing. */
  readonly dir: string
  /** Milliseconds that a file may take; by default from its size. */
  readonly timeoutMs?: ((bytes: number) => number) | undefined
  /** Sees each process that is started; a test counts them. */
  readonly onTrial?: ((pid: number | undefined) => void) | undefined
}

const verdictSchema = z.object({ isSound: z.boolean(), reason: z.string().max(1_024) })
type Verdict = z.infer<typeof verdictSchema>

/** The engine starts in seconds, and a slow disk reads some 50 MB in one. */
const defaultTimeoutMs = (bytes: number): number => 60_000 + bytes / 50_000

/** Part of a verdict's name: with more that is looked at, files are tried again. */
const checksVersion = 2

/** Signals with which a process ends because of what it did itself. */
const ownSignals: readonly string[] = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGTRAP']

/**
 * Loads unknown model files once in a process of their own before the node does. Some lies of a header pass every
 * check of its form, and the engine answers them with `abort()`: then only that process ends. A verdict is remembered
 * by the hash of the file and the version of the engine, so that each file is tried once.
 */
export class FileTrial {
  readonly #options: FileTrialOptions

  constructor(options: FileTrialOptions) {
    this.#options = options
  }

  /**
   * Resolves when the engine can load the file, or refuses it in an orderly way: that is said better by whoever loads it.
   *
   * @param hash SHA-256 of the file, by which the verdict is remembered
   * @throws QMeshError `QM_MODEL_INVALID` when the engine ends its process over it or does not come to an end;
   *   `QM_MODEL_TOO_LARGE` when the system ended it, most likely for lack of memory; the signal's reason
   */
  async check(path: string, hash: ModelHash, signal?: AbortSignal): Promise<void> {
    const known = await readVerdict(this.#verdictPath(hash))
    const verdict = known ?? (await this.#try(path, signal))
    if (!known) await this.#remember(hash, verdict)
    refuse(path, verdict)
  }

  /**
   * The same for a file whose hash is not known yet.
   *
   * @returns remembers the verdict once the hash is known
   */
  async checkNew(path: string, signal?: AbortSignal): Promise<(hash: ModelHash) => Promise<void>> {
    const verdict = await this.#try(path, signal)
    refuse(path, verdict)
    return (hash) => this.#remember(hash, verdict)
  }

  #verdictPath(hash: ModelHash): string {
    return join(this.#options.dir, `${hash}-${engineVersion()}-${checksVersion}.json`)
  }

  /** It can be found again, so a disk that is full costs another trial and nothing else. */
  async #remember(hash: ModelHash, verdict: Verdict | undefined): Promise<void> {
    if (!verdict) return
    try {
      await mkdir(this.#options.dir, { recursive: true, mode: 0o700 })
      await writeFileAtomically(this.#verdictPath(hash), JSON.stringify(verdict))
    } catch {
      // See above.
    }
  }

  /** Undefined for what is not worth remembering: nothing that was found out is about the file alone. */
  async #try(path: string, signal?: AbortSignal): Promise<Verdict | undefined> {
    const { size } = await stat(path)
    const timeoutMs = (this.#options.timeoutMs ?? defaultTimeoutMs)(size)
    const { code, ended, isLate } = await runTrial(path, timeoutMs, this.#options.onTrial, signal)
    signal?.throwIfAborted()
    if (isLate) {
      const seconds = Math.round(timeoutMs / 1_000)
      throw new QMeshError(
        'QM_MODEL_INVALID',
        `"${path}" is refused: the engine did not load it in ${seconds} s`,
      )
    }
    if (code === 0) return { isSound: true, reason: '' }
    if (code === refusedExitCode) return undefined
    if (code === unsoundExitCode)
      return {
        isSound: false,
        reason: 'the engine would crash or never end over some text: its vocabulary is no sound one',
      }
    if (ended === 'SIGKILL') {
      throw new QMeshError(
        'QM_MODEL_TOO_LARGE',
        `the system ended the process that tried "${path}", most likely for lack of memory; take a smaller model`,
      )
    }
    const isOwnFault = ended === null ? code !== 1 : ownSignals.includes(ended)
    if (!isOwnFault)
      throw new QMeshError(
        'QM_ENGINE_CRASHED',
        `the trial of "${path}" was ended by ${ended ?? `exit code ${code}`}`,
      )
    const how = ended ?? `exit code ${code}`
    return {
      isSound: false,
      reason: `the engine crashed over it (${how}): its header does not fit its tensors`,
    }
  }
}

function refuse(path: string, verdict: Verdict | undefined): void {
  if (verdict?.isSound !== false) return
  throw new QMeshError(
    'QM_MODEL_INVALID',
    `"${path}" is refused: ${verdict.reason}; fetch it from another source`,
  )
}

interface TrialEnd {
  readonly code: number | null
  readonly ended: NodeJS.Signals | null
  readonly isLate: boolean
}

function runTrial(
  path: string,
  timeoutMs: number,
  onTrial: FileTrialOptions['onTrial'],
  signal: AbortSignal | undefined,
): Promise<TrialEnd> {
  const entry = fileURLToPath(trialProcessUrl)
  const hooks = entry.endsWith('.ts') ? ['--import', typeScriptHook()] : []
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, [...hooks, entry, trialMark, resolve(path)], {
      // The end of its input tells it that this process is gone.
      stdio: ['pipe', 'ignore', 'ignore'],
      // It sees nothing of ours. Without the second it would start a debugger to print where it was.
      env: {
        PATH: process.env['PATH'],
        LD_LIBRARY_PATH: process.env['LD_LIBRARY_PATH'],
        GGML_NO_BACKTRACE: '1',
      },
      windowsHide: true,
    })
    onTrial?.(child.pid)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, timeoutMs)
    const stop = (): void => void child.kill('SIGKILL')
    signal?.addEventListener('abort', stop)
    if (signal?.aborted) stop()
    const leave = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
    }
    child.stdin.on('error', () => undefined)
    child.once('error', (error) => {
      leave()
      reject(new QMeshError('QM_ENGINE_CRASHED', 'a trial process could not be started', { cause: error }))
    })
    child.once('exit', (code, ended) => {
      leave()
      settle({ code, ended, isLate })
    })
  })
}

async function readVerdict(path: string): Promise<Verdict | undefined> {
  try {
    return verdictSchema.parse(JSON.parse((await readSmall(path, 4_096)) ?? ''))
  } catch {
    return undefined
  }
}

let version: string | undefined

/** Without importing the engine, which takes a second. */
function engineVersion(): string {
  if (version === undefined) {
    const entry = createRequire(import.meta.url).resolve('node-llama-cpp')
    const text = readFileSync(join(dirname(entry), '..', 'package.json'), 'utf8')
    version = z.object({ version: z.string().regex(/^[\w.+-]+$/) }).parse(JSON.parse(text)).version
  }
  return version
}

/** In a checkout the entry is TypeScript. */
function typeScriptHook(): string {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json'))
  return new URL('dist/esm/index.mjs', tsx).href
}
