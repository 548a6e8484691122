import {
  type Cancel,
  type ClientMessage,
  errorCatalogue,
  type ErrorCode,
  limits,
  type ModelId,
  type PeerId,
  type Prompt,
  QMeshError,
  toQMeshError,
} from '../../protocol/index.ts'
import type { EngineHost, Generation, GenerationResult } from '../inference/engine.port.ts'
import type { ClientDesk, ClientWire, Reception } from '../peer/wire.ts'
import { Job, type JobId, toJobId } from './job.ts'

/** What the intake asks the scheduler to do. */
export interface QueuePort {
  submit(job: Job): void
  cancel(jobId: JobId): void
}

export interface IntakePorts {
  readonly hosts: ReadonlyMap<ModelId, EngineHost>
  readonly queue: QueuePort
  /** Why the worker takes nothing now, if so. */
  readonly closedBecause: () => ErrorCode | undefined
  /** Whether this client may send one more request now; otherwise the milliseconds until it may. */
  readonly admit: (clientId: PeerId) => number | undefined
  readonly now: () => number
}

/** How a slot hears about the job it runs. */
export interface JobReport {
  firstToken(): void
  finished(result: GenerationResult): void
  failed(error: QMeshError): void
}

/**
 * The worker's front desk. It checks what clients ask for, cheapest checks first, has the engine count the tokens,
 * hands the request to the scheduler, and carries tokens from the engine to the client's wire. It decides nothing:
 * order, displacement and slots are the scheduler's.
 */
export class Intake implements ClientDesk {
  readonly #ports: IntakePorts
  readonly #jobs = new Map<JobId, Job>()
  readonly #jobsByClient = new Map<PeerId, Set<Job>>()

  constructor(ports: IntakePorts) {
    this.#ports = ports
  }

  /** Requests that are being prepared, wait or run. */
  get size(): number {
    return this.#jobs.size
  }

  opened(): void {
    // A client that says nothing costs nothing.
  }

  received(wire: ClientWire, message: ClientMessage): Reception {
    switch (message.type) {
      case 'prompt':
        return this.#open(wire, message)
      case 'ack': {
        const job = this.#jobs.get(toJobId(wire.peerId, message.requestId))
        // The acknowledgement of the last tokens crosses the end of the answer: that is no offence.
        if (!job) return 'late'
        return job.acknowledge(message.received) ? 'ok' : 'violation'
      }
      case 'cancel':
        return this.#cancel(wire, message)
    }
  }

  closed(wire: ClientWire): void {
    for (const job of this.#jobsByClient.get(wire.peerId) ?? []) this.#abandon(job)
  }

  /** The scheduler has taken the request: it waits at this position. */
  moved(jobId: JobId, position: number, etaMs: number): void {
    const job = this.#jobs.get(jobId)
    if (!job) return
    job.wire.send({
      type: 'queue-status',
      requestId: job.prompt.requestId,
      position: Math.min(position, limits.queueLengthMax),
      etaMs: Math.min(Math.max(0, Math.round(etaMs)), limits.durationMsMax),
      promptTokens: job.promptTokens,
    })
  }

  /** The scheduler will not run the request. */
  refused(jobId: JobId, code: ErrorCode, retryAfterMs?: number): void {
    const job = this.#jobs.get(jobId)
    if (!job) return
    this.#forget(job)
    this.#host(job)?.release(jobId)
    answerError(job.wire, job.prompt.requestId, new QMeshError(code, undefined, toRetry(retryAfterMs)))
  }

  /** A slot is the request's: from here on its tokens flow. Answers how the slot can stop it. */
  run(jobId: JobId, queuedMs: number, report: JobReport): { cancel(): void } {
    const job = this.#jobs.get(jobId)
    const host = job && this.#host(job)
    if (!job || !host) {
      report.failed(new QMeshError('QM_CANCELLED'))
      return { cancel: () => {} }
    }
    job.phase = 'running'
    job.queuedMs = queuedMs
    let generation: Generation
    try {
      generation = host.generate(jobId, (chunk) => {
        if (job.sentTokens === 0) report.firstToken()
        job.push(chunk)
      })
    } catch (error) {
      this.#fail(job, toQMeshError(error, 'QM_INFERENCE_FAILED'), report)
      return { cancel: () => {} }
    }
    job.runs(generation)
    if (job.isAbandoned) generation.cancel()
    generation.finished.then(
      (result) => {
        job.finish(result)
        this.#forget(job)
        report.finished(result)
      },
      (error: unknown) => this.#fail(job, toQMeshError(error, 'QM_INFERENCE_FAILED'), report),
    )
    return { cancel: () => generation.cancel() }
  }

  /** Ends every request with this code: the worker stops, or what ran them is gone. */
  refuseAll(code: ErrorCode, where: (job: Job) => boolean = () => true): void {
    for (const job of [...this.#jobs.values()].filter(where)) {
      if (job.phase === 'running') job.cancel()
      this.#ports.queue.cancel(job.id)
      this.#forget(job)
      answerError(job.wire, job.prompt.requestId, new QMeshError(code))
    }
  }

  #open(wire: ClientWire, prompt: Prompt): Reception {
    const { requestId } = prompt
    const jobId = toJobId(wire.peerId, requestId)
    const ofClient = this.#jobsByClient.get(wire.peerId)
    const refuse = (code: ErrorCode, detail?: string, retryAfterMs?: number): void =>
      answerError(wire, requestId, new QMeshError(code, detail, toRetry(retryAfterMs)))

    if (this.#jobs.has(jobId)) {
      refuse('QM_DUPLICATE_REQUEST')
      return 'violation'
    }
    if ((ofClient?.size ?? 0) >= limits.requestsPerPeerMax) {
      refuse('QM_RATE_LIMITED', `a client may have ${limits.requestsPerPeerMax} requests open here`, 1_000)
      return 'ok'
    }
    const closedBecause = this.#ports.closedBecause()
    if (closedBecause) {
      refuse(closedBecause, undefined, 5_000)
      return 'ok'
    }
    const host = this.#ports.hosts.get(prompt.modelId)
    if (!host || (prompt.modelHash !== undefined && prompt.modelHash !== host.model.hash)) {
      refuse('QM_MODEL_UNKNOWN', `this worker does not hold the model "${prompt.modelId}"`)
      return 'ok'
    }
    const waitMs = this.#ports.admit(wire.peerId)
    if (waitMs !== undefined) {
      refuse('QM_RATE_LIMITED', undefined, waitMs)
      return 'ok'
    }
    const job = new Job(wire, prompt, this.#ports.now())
    this.#jobs.set(jobId, job)
    if (ofClient) ofClient.add(job)
    else this.#jobsByClient.set(wire.peerId, new Set([job]))
    void this.#prepare(job, host)
    return 'ok'
  }

  async #prepare(job: Job, host: EngineHost): Promise<void> {
    try {
      const { promptTokens } = await host.prepare({ ...job.prompt, jobId: job.id })
      job.promptTokens = promptTokens
    } catch (error) {
      if (job.isAbandoned) return
      this.#forget(job)
      answerError(job.wire, job.prompt.requestId, toQMeshError(error, 'QM_INFERENCE_FAILED'))
      return
    }
    if (job.isAbandoned) {
      host.release(job.id)
      return
    }
    job.phase = 'waiting'
    this.#ports.queue.submit(job)
  }

  #cancel(wire: ClientWire, { requestId }: Cancel): Reception {
    const job = this.#jobs.get(toJobId(wire.peerId, requestId))
    if (!job) return 'late'
    this.#abandon(job)
    return 'ok'
  }

  #abandon(job: Job): void {
    job.isAbandoned = true
    if (job.phase === 'running') {
      // The generation rejects with `QM_CANCELLED`, and that frees the slot and forgets the job.
      job.cancel()
      return
    }
    this.#forget(job)
    if (job.phase === 'waiting') {
      this.#ports.queue.cancel(job.id)
      this.#host(job)?.release(job.id)
    }
  }

  #fail(job: Job, error: QMeshError, report: JobReport): void {
    const isKnown = this.#jobs.get(job.id) === job
    this.#forget(job)
    if (isKnown && !job.isAbandoned) answerError(job.wire, job.prompt.requestId, error)
    report.failed(error)
  }

  #forget(job: Job): void {
    if (this.#jobs.get(job.id) !== job) return
    this.#jobs.delete(job.id)
    const ofClient = this.#jobsByClient.get(job.wire.peerId)
    ofClient?.delete(job)
    if (ofClient?.size === 0) this.#jobsByClient.delete(job.wire.peerId)
  }

  #host(job: Job): EngineHost | undefined {
    return this.#ports.hosts.get(job.prompt.modelId)
  }
}

const toRetry = (retryAfterMs: number | undefined): { retryAfterMs?: number } =>
  retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(Math.round(retryAfterMs), limits.durationMsMax) }

/** Errors of the operator's side are not a peer's business: it learns that the engine failed, the log says why. */
function answerError(wire: ClientWire, requestId: string, error: QMeshError): void {
  const isForPeers = errorCatalogue[error.code].blame !== 'operator'
  const code: ErrorCode = isForPeers ? error.code : 'QM_INFERENCE_FAILED'
  const message = isForPeers ? error.message : errorCatalogue[code].sentence
  wire.send({
    type: 'inference_error',
    requestId,
    code,
    message: message.slice(0, limits.errorMessageCharsMax),
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
  })
}
