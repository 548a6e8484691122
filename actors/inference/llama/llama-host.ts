import type { MessagePort } from 'node:worker_threads'
import { QMeshError } from '../../../protocol/index.ts'
import type {
  EngineHost,
  GenerateRequest,
  Generation,
  GenerationResult,
  LoadedModel,
  TokenChunk,
} from '../engine.port.ts'
import { GenerationControl } from './generation-control.ts'
import type { HostThread } from './host-thread.ts'
import type { FromThread, LaneChunk, TaskFailure, ToThread } from './thread-messages.ts'
import { Watchdog, type WatchdogOptions } from './watchdog.ts'

/** Tokens that one evaluation takes in at most where an answer is asked for: what the engine may be silent about. */
const batchTokensMax = 512
/** Milliseconds a thread has to put down what it does when it is closed; then it is ended. */
const closeDeadlineMs = 10_000

export interface LlamaHostInput {
  readonly model: LoadedModel
  readonly thread: HostThread
  readonly port: MessagePort
  readonly watchdog: WatchdogOptions
  readonly onLog?: ((level: string, message: string) => void) | undefined
}

interface Lane {
  readonly control: GenerationControl
  readonly promptTokens: number
  readonly onChunk: (chunk: TokenChunk) => void
  readonly resolve: (result: GenerationResult) => void
  readonly reject: (error: QMeshError) => void
  hasTokens: boolean
}

/** The node's side of one inference thread. */
export class LlamaHost implements EngineHost {
  readonly model: LoadedModel
  readonly lost: Promise<QMeshError>
  readonly #thread: HostThread
  readonly #port: MessagePort
  readonly #watchdog: Watchdog
  readonly #lanes = new Map<number, Lane>()
  /** Prompt tokens of requests that wait for their slot. */
  readonly #prepared = new Map<string, number>()
  readonly #onLog: LlamaHostInput['onLog']
  #sayLost: (error: QMeshError) => void = () => undefined
  #nextLane = 0
  #preparing = 0
  /** Why the host takes no more work. */
  #over: QMeshError | undefined
  #closing: Promise<void> | undefined

  constructor({ model, thread, port, watchdog, onLog }: LlamaHostInput) {
    this.model = model
    this.#thread = thread
    this.#port = port
    this.#onLog = onLog
    port.on('message', (message: FromThread) => this.#receive(message))
    // A loaded model alone keeps no process alive; running tasks do, through their thread.
    port.unref()
    this.lost = new Promise((resolve) => {
      this.#sayLost = resolve
    })
    void thread.exited.then((reason) =>
      this.#lose(
        new QMeshError('QM_ENGINE_CRASHED', `the inference thread of "${model.id}" ended: ${reason}`),
      ),
    )
    this.#watchdog = new Watchdog(
      watchdog,
      () => thread.vitals.beats,
      () => this.#allowanceMs(watchdog),
      () => this.#lose(new QMeshError('QM_ENGINE_HUNG', `the inference thread of "${model.id}" hung`)),
    )
  }

  async prepare(request: GenerateRequest): Promise<{ promptTokens: number }> {
    if (this.#over) throw this.#over
    this.#preparing++
    try {
      const { promptTokens = 0 } = await this.#thread.run({ kind: 'prepare', request })
      this.#prepared.set(request.jobId, promptTokens)
      return { promptTokens }
    } catch (error) {
      // A host that hung takes its thread down, and says the better reason.
      throw this.#over ?? error
    } finally {
      this.#preparing--
    }
  }

  release(jobId: string): void {
    this.#prepared.delete(jobId)
    if (!this.#over) this.#thread.run({ kind: 'release', jobId }).catch(() => undefined)
  }

  generate(jobId: string, onChunk: (chunk: TokenChunk) => void): Generation {
    const control = new GenerationControl()
    const lane = this.#nextLane++
    const wake = (): void => {
      if (control.isPaused) this.#port.postMessage({ type: 'wake', lane } satisfies ToThread, [])
    }
    const finished = new Promise<GenerationResult>((resolve, reject) => {
      const refusal = this.#over ?? this.#refuse(jobId)
      if (refusal) {
        reject(refusal)
        return
      }
      const promptTokens = this.#prepared.get(jobId) ?? 0
      this.#prepared.delete(jobId)
      this.#lanes.set(lane, { control, promptTokens, onChunk, resolve, reject, hasTokens: false })
      // Its end comes through the port, in order with the tokens; a thread that dies is seen by `exited`.
      this.#thread.run({ kind: 'generate', jobId, lane, control: control.buffer }).catch(() => undefined)
    })
    // Whoever only reads chunks must not end the process by not looking here.
    finished.catch(() => undefined)
    return {
      finished,
      cancel() {
        control.cancel()
        wake()
      },
      acknowledge(tokens) {
        control.acknowledge(tokens)
        wake()
      },
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (!this.#over) {
      this.#over = new QMeshError('QM_CANCELLED', `the host of "${this.model.id}" is closed`)
      this.#watchdog.stop()
      let timer: NodeJS.Timeout | undefined
      const deadline = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, closeDeadlineMs)
      })
      await Promise.race([this.#thread.run({ kind: 'close' }).catch(() => undefined), deadline])
      clearTimeout(timer)
      this.#rejectLanes(this.#over)
      this.#port.close()
    }
    await this.#thread.destroy()
  }

  #lose(reason: QMeshError): void {
    if (this.#over) return
    this.#over = reason
    this.#watchdog.stop()
    this.#rejectLanes(reason)
    this.#port.close()
    // Not awaited: a thread stuck in native code ends when that has returned, perhaps never.
    this.#thread.destroy().catch(() => undefined)
    this.#sayLost(reason)
  }

  #rejectLanes(error: QMeshError): void {
    for (const { reject } of this.#lanes.values()) reject(error)
    this.#lanes.clear()
    this.#prepared.clear()
  }

  #refuse(jobId: string): QMeshError | undefined {
    if (!this.#prepared.has(jobId))
      return new QMeshError('QM_INTERNAL', `job "${jobId}" was not prepared on this host`)
    if (this.#lanes.size >= this.model.slots)
      return new QMeshError('QM_INTERNAL', `no free slot for job "${jobId}"`)
    return undefined
  }

  #receive(message: FromThread): void {
    switch (message.type) {
      case 'chunks':
        for (const chunk of message.chunks) this.#deliver(chunk)
        break
      case 'finished':
        this.#take(message.lane)?.resolve(message.result)
        break
      case 'failed':
        this.#take(message.lane)?.reject(toError(message.failure))
        break
      case 'log':
        this.#onLog?.(message.level, message.message)
        break
    }
  }

  #deliver({ lane: id, tokens, text }: LaneChunk): void {
    const lane = this.#lanes.get(id)
    if (!lane || lane.control.isCancelled) return
    lane.hasTokens = true
    lane.onChunk({ tokens, text })
  }

  #take(id: number): Lane | undefined {
    const lane = this.#lanes.get(id)
    this.#lanes.delete(id)
    return lane
  }

  /** Paused lanes wait for their readers, so only the others are expected to get on. */
  #allowanceMs({ hangMs, perPromptTokenMs }: WatchdogOptions): number | undefined {
    const working = Array.from(this.#lanes.values()).filter(({ control }) => !control.isPaused)
    if (working.length === 0 && this.#preparing === 0) return undefined
    const { embeddingSize, contextTokens } = this.model
    const atOnce = embeddingSize === undefined ? batchTokensMax : contextTokens
    const promptTokens = working
      .filter(({ hasTokens }) => !hasTokens)
      .reduce((sum, lane) => sum + Math.min(lane.promptTokens, atOnce), 0)
    return hangMs + perPromptTokenMs * promptTokens
  }
}

const toError = ({ code, message }: TaskFailure): QMeshError => new QMeshError(code, message)
