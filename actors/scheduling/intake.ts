import {
  type Ack,
  type Cancel,
  type ClientMessage,
  type Effort,
  errorCatalogue,
  type ErrorCode,
  limits,
  type ModelId,
  type PeerId,
  type Prompt,
  QMeshError,
  toQMeshError,
} from '../../protocol/index.ts'
import type { EngineHost, GenerationResult, LoadedModel } from '../inference/engine.port.ts'
import type { ClientDesk, ClientWire, Reception } from '../peer/wire.ts'
import { newcomer, type Precedence, type SlotId, type Tier } from '../../machines/scheduling/index.ts'
import { explainKind, isKind, type KindNeeds } from '../../machines/selection/index.ts'
import { isEffortExempt } from '../../machines/trust/index.ts'
import type { Earning, EarningsPort } from './earnings.port.ts'
import type { EffortGate } from './effort-gate.ts'
import { GuardedEarnings } from './guarded-earnings.ts'
import { Job, type JobId, type JobName, toJobName } from './job.ts'
import type { ServeTracer } from './serve-tracer.port.ts'

/** What the intake asks the scheduler to do. */
export interface QueuePort {
  submit(job: Job): void
  cancel(jobId: JobId): void
}

/** What a prompt is checked against. */
type HeldModel = Pick<LoadedModel, 'hash' | 'embeddingSize'>

export interface IntakePorts {
  readonly hosts: ReadonlyMap<ModelId, EngineHost>
  /** A model that is loaded when a request waits for it; undefined for any other. Absent: none is. */
  readonly loadable?: ((modelId: ModelId) => HeldModel | undefined) | undefined
  readonly queue: QueuePort
  /** Asks a slot to stop what it runs. */
  readonly stopSlot: (slotId: SlotId) => void
  /** Why the worker takes nothing from this client now, if so. */
  readonly closedBecause: (clientId: PeerId) => ErrorCode | undefined
  /**
   * The client's precedence, and the milliseconds until it may send one more request: 0 for now. `isEarned`: the
   * precedence is for requests that are paid.
   */
  readonly admit: (clientId: PeerId) => {
    readonly precedence: Precedence
    readonly retryAfterMs: number
    readonly isEarned?: boolean
  }
  /** Absent: no work is asked for. */
  readonly effort?: Pick<EffortGate, 'asked' | 'check'> | undefined
  /** Absent: what clients offer is not looked at. */
  readonly earnings?: EarningsPort | undefined
  /** Absent: nothing is traced. */
  readonly tracer?: ServeTracer | undefined
  /** An engine gave so many tokens, whoever they are for: for who counts them. */
  readonly onGenerated?: ((tokens: number) => void) | undefined
  /** A defect in the books; the first one only. Requests go on without what they would have earned. */
  readonly onDefect?: ((error: unknown) => void) | undefined
  readonly now: () => number
}

/** Of ordinary text, in the vocabularies of today. */
const charsPerToken = 4

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
  readonly #earnings: EarningsPort
  readonly #jobs = new Map<JobId, Job>()
  /** Those that their clients still want. What a slot has yet to stop is none of them: its client may ask for more. */
  readonly #wanted = new Map<JobName, Job>()
  readonly #wantedByClient = new Map<PeerId, Set<Job>>()
  readonly #whenIdle = new Set<() => void>()

  constructor(ports: IntakePorts) {
    this.#ports = ports
    this.#earnings = new GuardedEarnings(ports.earnings, ports.onDefect)
  }

  /** Requests that are being prepared, wait or run. */
  get size(): number {
    return this.#jobs.size
  }

  /** Resolves when no request is left, or after this many milliseconds. */
  idle(withinMs: number): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#whenIdle.delete(done)
        resolve()
      }
      const timer = setTimeout(done, withinMs)
      this.#whenIdle.add(done)
    })
  }

  opened(): void {
    // A client that says nothing costs nothing.
  }

  received(wire: ClientWire, message: ClientMessage): Reception {
    switch (message.type) {
      case 'prompt':
        return this.#open(wire, message)
      case 'ack': {
        const signed = this.#signed(wire, message)
        if (signed === 'violation') return signed
        const job = this.#wanted.get(toJobName(wire.peerId, message.requestId))
        // The acknowledgement of the last tokens crosses the end of the answer: that is no offence.
        if (!job) return signed ?? 'late'
        return job.acknowledge(message.received) ? 'ok' : 'violation'
      }
      case 'cancel':
        return this.#cancel(wire, message)
    }
  }

  closed(wire: ClientWire): void {
    // A peer that reconnects may have opened its new wire already: what came over that one goes on.
    for (const job of this.#wantedByClient.get(wire.peerId) ?? []) if (job.wire === wire) this.#abandon(job)
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
    job.traced(code)
    this.#forget(job)
    this.#host(job)?.release(jobId)
    answerError(job.wire, job.prompt.requestId, new QMeshError(code, undefined, toRetry(retryAfterMs)))
  }

  /** The tier that a request waits or runs with. */
  tierOf(jobId: JobId): Tier | undefined {
    return this.#jobs.get(jobId)?.precedence.tier
  }

  /** The scheduler has given the request a slot, after this long in the queue. */
  assigned(jobId: JobId, slotId: SlotId, queuedMs: number): void {
    const job = this.#jobs.get(jobId)
    if (!job) return
    job.slotId = slotId
    job.queuedMs = queuedMs
    job.trace?.started(queuedMs)
  }

  /** The slot starts: from here on tokens flow. Answers how the slot can stop it. */
  run(jobId: JobId, report: JobReport): { cancel(): void } {
    const job = this.#jobs.get(jobId)
    const host = job && this.#host(job)
    if (!job || !host) {
      const error = new QMeshError(job ? 'QM_ENGINE_CRASHED' : 'QM_CANCELLED')
      if (job) this.#fail(job, error, report)
      else report.failed(error)
      return { cancel: () => {} }
    }
    job.phase = 'running'
    this.#generate(job, host, report).then(
      (result) => {
        // Refused or cancelled while this was on its way: after the last word there is no other.
        if (!job.isAbandoned) {
          // First: a client in this process may send the next one before this call returns.
          this.#unwant(job)
          job.finish(result)
          job.traced()
        }
        this.#forget(job)
        // What other workers had generated was read with the prompt here, unless it was drawn once more: that takes as
        // long as generating it, and would make reading look slow.
        const resumed = result.resumeMode === 'exact' ? 0 : (job.prompt.resume?.tokens.length ?? 0)
        // Vectors are megabytes, and the client's alone.
        const { embeddings: _, ...measured } = result
        report.finished({
          ...measured,
          promptTokens: result.promptTokens + resumed,
          completionTokens: result.completionTokens - resumed,
        })
      },
      (error: unknown) => this.#fail(job, toQMeshError(error, 'QM_INFERENCE_FAILED'), report),
    )
    return { cancel: () => job.cancel() }
  }

  /** Ends every request with this code: the worker stops, or what ran them is gone. */
  refuseAll(code: ErrorCode, where: (job: Job) => boolean = () => true): void {
    for (const job of [...this.#jobs.values()].filter(where)) {
      job.earning?.ended(true, job.promptTokens)
      job.traced(code)
      this.#abandon(job)
      this.#forget(job)
      answerError(job.wire, job.prompt.requestId, new QMeshError(code))
    }
  }

  #open(wire: ClientWire, prompt: Prompt): Reception {
    const { requestId } = prompt
    const ofClient = this.#wantedByClient.get(wire.peerId)
    const refuse = (code: ErrorCode, detail?: string, retryAfterMs?: number): void =>
      answerError(wire, requestId, new QMeshError(code, detail, toRetry(retryAfterMs)))

    if (this.#wanted.has(toJobName(wire.peerId, requestId))) {
      refuse('QM_DUPLICATE_REQUEST')
      return 'violation'
    }
    if ((ofClient?.size ?? 0) >= limits.requestsPerPeerMax) {
      refuse('QM_RATE_LIMITED', `a client may have ${limits.requestsPerPeerMax} requests open here`, 1_000)
      return 'refused'
    }
    const closedBecause = this.#ports.closedBecause(wire.peerId)
    if (closedBecause) {
      refuse(closedBecause, undefined, 5_000)
      return 'refused'
    }
    const host = this.#ports.hosts.get(prompt.modelId)
    const held = host?.model ?? this.#ports.loadable?.(prompt.modelId)
    if (held === undefined || (prompt.modelHash !== undefined && prompt.modelHash !== held.hash)) {
      refuse('QM_MODEL_UNKNOWN', `this worker does not hold the model "${prompt.modelId}"`)
      return 'refused'
    }
    const kind: KindNeeds = { embedding: prompt.embed && 'any' }
    if (!isKind(held, kind)) {
      refuse('QM_MODEL_KIND', explainKind({ ...held, id: prompt.modelId }, kind))
      return 'refused'
    }
    const { precedence, retryAfterMs, isEarned = false } = this.#ports.admit(wire.peerId)
    if (retryAfterMs > 0) {
      refuse('QM_RATE_LIMITED', undefined, retryAfterMs)
      return 'refused'
    }
    // What was earned is for requests that are paid, and reading an offer costs more than a hash does.
    const isExempt = isEffortExempt(precedence.tier) && (!isEarned || prompt.evidence !== undefined)
    const slacking = isExempt ? undefined : this.#checkEffort(wire, prompt)
    if (slacking) return slacking
    let earning: Earning | undefined
    try {
      earning = this.#earnings.begin(wire.peerId, prompt)
    } catch (thrown) {
      const error = toQMeshError(thrown)
      answerError(wire, requestId, error)
      // A clock that is wrong makes offers that are wrong; only nonsense is an offence.
      return error.code === 'QM_EVIDENCE_INVALID' ? 'violation' : 'refused'
    }
    // Who promises nothing is a newcomer this time, whatever it earned before.
    const isPaid = earning !== undefined && !earning.isGratis
    const servedAs = isEarned && !isPaid ? newcomer : precedence
    const late = isExempt && !isEffortExempt(servedAs.tier) ? this.#checkEffort(wire, prompt) : undefined
    if (late) {
      earning?.ended(false, 0)
      return late
    }
    const job = new Job(wire, prompt, servedAs, this.#ports.now(), earning)
    job.trace = this.#ports.tracer?.begin(prompt, { id: wire.peerId, tier: servedAs.tier })
    this.#jobs.set(job.id, job)
    this.#wanted.set(job.name, job)
    if (ofClient) ofClient.add(job)
    else this.#wantedByClient.set(wire.peerId, new Set([job]))
    if (host) void this.#prepare(job, host)
    else this.#waitForModel(job)
    return 'ok'
  }

  /** Turns a prompt down that was not worked for; undefined when it was, or when there is nothing to do. */
  #checkEffort(wire: ClientWire, prompt: Prompt): Reception | undefined {
    const { effort } = this.#ports
    const verdict = effort?.check(wire.peerId, prompt) ?? 'enough'
    if (verdict === 'enough') return undefined
    const detail = verdict === 'used' ? 'the work for this request was shown before' : undefined
    answerError(wire, prompt.requestId, new QMeshError('QM_EFFORT_REQUIRED', detail), effort?.asked)
    return verdict === 'used' ? 'violation' : 'refused'
  }

  async #generate(job: Job, host: EngineHost, report: JobReport): Promise<GenerationResult> {
    // What the engine had prepared went with its thread; the request kept its place in the queue.
    if (job.preparedBy !== host) {
      const told = job.promptTokens
      await this.#count(job, host)
      // A guess was told while the model was not loaded: the client checks the end of the answer against the truth.
      if (job.promptTokens !== told && !job.isAbandoned) this.moved(job.id, 0, 0)
    }
    let isFirst = true
    const generation = host.generate(job.id, (chunk) => {
      if (isFirst) {
        report.firstToken()
        job.trace?.firstToken()
      }
      isFirst = false
      this.#ports.onGenerated?.(chunk.tokens.length)
      if (!job.isAbandoned) job.push(chunk)
    })
    job.runs(generation)
    return generation.finished
  }

  async #count(job: Job, host: EngineHost): Promise<void> {
    const { promptTokens } = await host.prepare({ ...job.prompt, jobId: job.id })
    job.promptTokens = promptTokens
    job.preparedBy = host
  }

  async #prepare(job: Job, host: EngineHost): Promise<void> {
    try {
      await this.#count(job, host)
    } catch (error) {
      if (job.isAbandoned) return
      // The model had to make room; the request waits until it is back.
      const { modelId } = job.prompt
      const isGone = this.#ports.hosts.get(modelId) !== host && this.#ports.loadable?.(modelId) !== undefined
      if (isGone) return this.#waitForModel(job)
      const failure = toQMeshError(error, 'QM_INFERENCE_FAILED')
      job.traced(failure.code)
      this.#forget(job)
      answerError(job.wire, job.prompt.requestId, failure)
      return
    }
    if (job.isAbandoned) {
      host.release(job.id)
      return
    }
    job.phase = 'waiting'
    this.#ports.queue.submit(job)
  }

  /** Nobody can count its tokens before the model is loaded: until then a guess has to do. */
  #waitForModel(job: Job): void {
    const { messages, prompt = '', embed } = job.prompt
    const texts = embed ?? messages?.map(({ content }) => content) ?? [prompt]
    const chars = texts.reduce((sum, { length }) => sum + length, 0)
    job.promptTokens = Math.min(limits.contextTokensMax, Math.ceil(chars / charsPerToken))
    job.phase = 'waiting'
    this.#ports.queue.submit(job)
  }

  #cancel(wire: ClientWire, message: Cancel): Reception {
    if (this.#signed(wire, message) === 'violation') return 'violation'
    const job = this.#wanted.get(toJobName(wire.peerId, message.requestId))
    if (!job) return 'late'
    this.#abandon(job)
    return 'ok'
  }

  /** Keeps the signature that came with a message, if one did. */
  #signed(wire: ClientWire, { requestId, evidence }: Ack | Cancel): Reception | undefined {
    return evidence === undefined ? undefined : this.#earnings.acked(wire.peerId, requestId, evidence)
  }

  #abandon(job: Job): void {
    job.isAbandoned = true
    this.#unwant(job)
    if (job.phase === 'running') {
      // The generation rejects with `QM_CANCELLED`, and that frees the slot and forgets the job.
      if (job.slotId !== undefined) this.#ports.stopSlot(job.slotId)
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
    // Cancelled, but not by its client: what ran it was taken away.
    const said = error.code === 'QM_CANCELLED' ? new QMeshError('QM_ENGINE_CRASHED') : error
    if (!job.isAbandoned) {
      job.earning?.ended(true, job.promptTokens)
      job.traced(said.code)
    }
    this.#forget(job)
    if (isKnown && !job.isAbandoned) answerError(job.wire, job.prompt.requestId, said)
    report.failed(error)
  }

  #forget(job: Job): void {
    if (this.#jobs.get(job.id) !== job) return
    this.#jobs.delete(job.id)
    // Whoever let the client down has said so before.
    job.earning?.ended(false, job.promptTokens)
    job.traced('QM_CANCELLED')
    this.#unwant(job)
    if (this.size === 0) for (const done of this.#whenIdle) done()
  }

  #unwant(job: Job): void {
    if (this.#wanted.get(job.name) !== job) return
    this.#wanted.delete(job.name)
    const ofClient = this.#wantedByClient.get(job.wire.peerId)
    ofClient?.delete(job)
    if (ofClient?.size === 0) this.#wantedByClient.delete(job.wire.peerId)
  }

  #host(job: Job): EngineHost | undefined {
    return this.#ports.hosts.get(job.prompt.modelId)
  }
}

const toRetry = (retryAfterMs: number | undefined): { retryAfterMs?: number } =>
  retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(Math.round(retryAfterMs), limits.durationMsMax) }

/** Errors of the operator's side are not a peer's business: it learns that the engine failed, the log says why. */
function answerError(wire: ClientWire, requestId: string, error: QMeshError, effort?: Effort): void {
  const isForPeers = errorCatalogue[error.code].blame !== 'operator'
  const code: ErrorCode = isForPeers ? error.code : 'QM_INFERENCE_FAILED'
  const message = isForPeers ? error.message : errorCatalogue[code].sentence
  wire.send({
    type: 'inference_error',
    requestId,
    code,
    message: message.slice(0, limits.errorMessageCharsMax),
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    ...(effort && { effort }),
  })
}
