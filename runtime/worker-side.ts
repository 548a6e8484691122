import { fromCallback } from 'xstate'
import type { EngineHost, LoadedModel } from '../actors/inference/engine.port.ts'
import type { EarningsPort } from '../actors/scheduling/earnings.port.ts'
import { EffortGate } from '../actors/scheduling/effort-gate.ts'
import { Intake } from '../actors/scheduling/intake.ts'
import type { Job } from '../actors/scheduling/job.ts'
import type { ServeTracer } from '../actors/scheduling/serve-tracer.port.ts'
import {
  type InferenceCommand,
  type InferenceEmitted,
  type JobCommand,
  type LoadableModel,
  type RunJobInput,
  type SlotFreed,
} from '../machines/inference/index.ts'
import type { PauseReason } from '../machines/duty/index.ts'
import { type Health, toCapacity } from '../machines/health/index.ts'
import {
  entryOf,
  RateLimiter,
  type PrecedencePort,
  type QueueReport,
  type SchedulerCommand,
  type SchedulerEmitted,
  type SlotId,
  type Tier,
} from '../machines/scheduling/index.ts'
import { type ErrorCode, type ModelId, type PeerId, type QMeshError, type Status } from '../protocol/index.ts'
import type { ModelStatus } from './node-status.ts'
import { withRetry } from './retry-text.ts'
import { WorkerModels } from './worker-models.ts'

export interface WorkerSideOptions {
  readonly selfId: PeerId
  readonly now: () => number
  /** The topic of the inference network; absent: newcomers are asked for no work. */
  readonly network?: Uint8Array | undefined
  readonly queueCapacity: number
  /** Whether other programs' load makes the worker take fewer requests, and in the end none. */
  readonly pauseWhenBusy: boolean
  readonly precedence: PrecedencePort
  /** Whether a client's precedence is for requests that it pays for. */
  readonly isPrecedenceEarned?: boolean | undefined
  /** Absent: what clients offer is not looked at. */
  readonly earnings?: EarningsPort | undefined
  /** Absent: nothing is traced. */
  readonly tracer?: ServeTracer | undefined
  /** A defect in the books. */
  readonly onDefect?: ((error: unknown) => void) | undefined
  readonly scheduler: () => { send(command: SchedulerCommand): void } | undefined
  readonly inference: () => { send(command: InferenceCommand): void } | undefined
  /** A request was given a slot, after so long in the queue: for who counts it. */
  readonly onAssigned?: ((tier: Tier, queuedMs: number) => void) | undefined
  /** What the worker can say of itself has changed. */
  readonly onChanged: () => void
  /** The same, and nobody may wait to hear it. */
  readonly onUrgent: () => void
}

/** Best guess until the first sample: nothing is promised, nothing refused. */
const unknownHealth: Health = { score: 50, state: 'moderate', capacityShare: 1 }

/** Codes with which a request ends when the thread it ran in is gone. */
const engineLost: ReadonlySet<ErrorCode> = new Set(['QM_ENGINE_CRASHED', 'QM_ENGINE_HUNG'])

/** What a worker says whose owner wants it to serve whatever else the machine does. */
const regardless = ({ score, state }: Health): Health => ({
  score,
  state: state === 'overloaded' ? 'busy' : state,
  capacityShare: 1,
})

/**
 * The half of a node that answers. It joins the intake, the scheduler and the inference actors, which know nothing of
 * each other: what one emits, the next is told.
 */
export class WorkerSide {
  readonly hosts = new Map<ModelId, EngineHost>()
  /** Inference threads that are being closed. */
  readonly closings = new Set<Promise<void>>()
  readonly intake: Intake
  /** Tokens that were read and generated since the start. */
  readonly totals = { promptTokens: 0, tokens: 0 }
  readonly #options: WorkerSideOptions
  readonly #effort: EffortGate | undefined
  readonly #limiter = new RateLimiter()
  readonly #models = new WorkerModels(this.hosts)
  /** Slots that exist, and whether the current scheduler knows them. */
  readonly #slots = new Map<SlotId, { readonly modelId: ModelId; isKnown: boolean; isBusy: boolean }>()
  /** Models that requests wait for. */
  readonly #wanted = new Set<ModelId>()
  /** Models that make room for another. */
  readonly #holds = new Map<ModelId, Extract<SchedulerCommand, { type: 'model.hold' }>>()
  #health: Health = unknownHealth
  #queue: QueueReport = { length: 0, capacity: 0, slotsBusy: 0, slots: 0 }
  #pauses: readonly PauseReason[] = []

  constructor(options: WorkerSideOptions) {
    this.#options = options
    const { network, selfId, now, onChanged } = options
    this.#effort = network && new EffortGate({ workerId: selfId, network, now, onChanged })
    this.intake = new Intake({
      hosts: this.hosts,
      now: options.now,
      loadable: (modelId) => this.#models.loadable(modelId),
      queue: {
        submit: (job) => this.#submit(job),
        cancel: (jobId) => options.scheduler()?.send({ type: 'request.cancel', jobId }),
      },
      stopSlot: (slotId) => options.inference()?.send({ type: 'slot.cancel', slotId }),
      closedBecause: (clientId) => this.#closedBecause(clientId),
      effort: this.#effort,
      earnings: options.earnings,
      tracer: options.tracer,
      onGenerated: (tokens) => (this.totals.tokens += tokens),
      onDefect: options.onDefect,
      admit: (clientId) => {
        // The owner comes first on the owner's machine, and is never told to wait.
        if (clientId === options.selfId) return { precedence: entryOf('master'), retryAfterMs: 0 }
        const precedence = options.precedence.precedenceOf(clientId)
        const retryAfterMs = this.#limiter.take(clientId, precedence.tier, options.now())
        return { precedence, retryAfterMs, isEarned: options.isPrecedenceEarned ?? false }
      },
    })
  }

  get models(): readonly ModelStatus[] {
    return this.#models.list
  }

  get health(): Health {
    return this.#health
  }

  /** Other programs need all of the machine. */
  get isOverloaded(): boolean {
    return this.#health.capacityShare === 0
  }

  get queue(): QueueReport {
    return this.#queue
  }

  /** Zero bits of a hash that a prompt of a newcomer needs; 0 while the queue has room. */
  get effortBits(): number {
    return this.#effort?.asked?.bits ?? 0
  }

  /** Why it takes nothing from others; empty while it serves. */
  get pauses(): readonly PauseReason[] {
    return this.#pauses
  }

  /** What peers are told. */
  status(): Status {
    const effort = this.#effort?.asked
    const { length, capacity, slotsBusy, slots } = this.#queue
    return {
      type: 'status',
      healthScore: this.#health.score,
      state: this.#health.state,
      accepting: this.#closedBecause() === undefined,
      ...(this.#pauses.length > 0 && { draining: true }),
      queueLength: length,
      queueCapacity: capacity,
      slotsBusy,
      slots,
      models: this.#models.ads(),
      ...(effort && { effort }),
    }
  }

  /** The same for the node's own client, whom the machine refuses nothing until it stops. */
  localStatus(): Status {
    const { draining: _, effort: _effort, ...status } = this.status()
    return {
      ...status,
      ...(this.#isStopping && { draining: true }),
      accepting: this.#closedBecause(this.#options.selfId) === undefined,
      state: status.state === 'overloaded' ? 'busy' : status.state,
    }
  }

  /** Actor logic of one running request, for the slot machines. */
  readonly runJob = fromCallback<JobCommand, RunJobInput>(({ input, sendBack, receive }) => {
    let isOver = false
    const report = (event: { readonly type: string; readonly [field: string]: unknown }): void => {
      if (!isOver) sendBack(event)
    }
    const running = this.intake.run(input.jobId, {
      firstToken: () => report({ type: 'job.firstToken' }),
      finished: (result) => report({ type: 'job.finished', result }),
      failed: ({ code }) => report({ type: 'job.failed', code }),
    })
    receive(() => running.cancel())
    return () => {
      isOver = true
      running.cancel()
    }
  })

  /** Models that are to be loaded, so that they are shown from the start. */
  expect(modelId: ModelId, path: string): void {
    this.#models.expect(modelId, path)
  }

  schedulerStarted(): void {
    for (const [slotId, slot] of this.#slots) {
      slot.isKnown = !slot.isBusy
      if (slot.isKnown) this.#options.scheduler()?.send({ type: 'slot.added', slotId, modelId: slot.modelId })
    }
    for (const model of this.#models.allLoadable) this.#tellLoadable(model)
    for (const hold of this.#holds.values()) this.#options.scheduler()?.send(hold)
    this.#tellCapacity()
  }

  /** What waited is gone with the queue; clients find another worker. */
  schedulerLost(): void {
    this.intake.refuseAll('QM_OVERLOADED', ({ phase }) => phase === 'waiting')
    this.#queue = { length: 0, capacity: 0, slotsBusy: 0, slots: 0 }
    for (const modelId of this.#wanted) this.#options.inference()?.send({ type: 'model.unwant', modelId })
    this.#wanted.clear()
    this.#effort?.ask(0)
    this.#options.onChanged()
  }

  scheduled(event: SchedulerEmitted): void {
    switch (event.type) {
      case 'request.admitted':
      case 'request.moved':
        this.intake.moved(event.jobId, event.position, event.etaMs)
        return
      case 'request.refused':
        this.intake.refused(event.jobId, event.code, event.retryAfterMs)
        return
      case 'request.displaced':
        this.intake.refused(event.jobId, 'QM_QUEUE_FULL', event.retryAfterMs)
        return
      case 'request.expired':
        this.intake.refused(event.jobId, 'QM_DEADLINE_PASSED')
        return
      case 'request.assigned': {
        const slot = this.#slots.get(event.slotId)
        if (slot) slot.isBusy = true
        const tier = this.intake.tierOf(event.jobId)
        if (tier) this.#options.onAssigned?.(tier, event.queuedMs)
        this.intake.assigned(event.jobId, event.slotId, event.queuedMs)
        this.#options.inference()?.send({ type: 'slot.run', slotId: event.slotId, jobId: event.jobId })
        return
      }
      case 'model.wanted':
        this.#wanted.add(event.modelId)
        this.#options.inference()?.send({ type: 'model.want', modelId: event.modelId })
        return
      case 'model.unwanted':
        this.#wanted.delete(event.modelId)
        this.#options.inference()?.send({ type: 'model.unwant', modelId: event.modelId })
        return
      case 'model.yielded':
        this.#options.inference()?.send(event)
        return
      case 'effort.changed':
        this.#effort?.ask(event.bits)
        return
      case 'queue.changed':
        this.#queue = event
        this.#options.onChanged()
    }
  }

  inferred(event: InferenceEmitted): void {
    switch (event.type) {
      case 'model.loading':
        this.#models.loading(event.modelId)
        break
      case 'model.ready':
        this.#ready(event.model, event.slotIds)
        break
      case 'model.surveyed':
        this.#models.surveyed(event.survey)
        break
      case 'model.unloaded':
        break
      case 'model.removed':
        this.#removed(event.modelId)
        break
      case 'model.loadable':
        this.#models.unloaded(event.model)
        this.#tellLoadable(event.model)
        // Inference that was started again does not know who waits.
        if (this.#wanted.has(event.model.id))
          this.#options.inference()?.send({ type: 'model.want', modelId: event.model.id })
        break
      case 'model.expected':
      case 'model.release':
        this.#holds.delete(event.modelId)
        this.#options.scheduler()?.send(event)
        break
      case 'model.hold': {
        this.#models.held(event.modelId, event.loadMs)
        this.#holds.set(event.modelId, event)
        this.#options.scheduler()?.send(event)
        break
      }
      case 'model.unloading': {
        this.#holds.delete(event.modelId)
        this.#removeSlots(event.modelId)
        this.#tellLoadable(this.#models.unloading(event.modelId))
        break
      }
      case 'model.lost':
        this.#models.lost(event.modelId)
        this.#removeSlots(event.modelId)
        break
      case 'model.retrying': {
        const { modelId, code, delayMs } = event
        this.#models.lost(modelId, { code, message: withRetry(event.message, delayMs) })
        break
      }
      case 'model.failed': {
        const { modelId, code, retryMs } = event
        const message = retryMs === undefined ? event.message : withRetry(event.message, retryMs)
        this.#models.failed(modelId, { code, message })
        this.#removeSlots(modelId)
        this.#options.scheduler()?.send({ type: 'model.gone', modelId, code: 'QM_MODEL_UNKNOWN' })
        break
      }
      case 'slot.freed':
        this.totals.promptTokens += event.promptTokens
        // The thread is gone: `model.lost` follows, and a waiting request must not be sent after it.
        if (event.code && engineLost.has(event.code)) this.#removeSlot(event.slotId)
        else this.#freed(event)
        break
      case 'slot.refused':
        this.intake.refused(event.jobId, event.code)
        this.#freed({ slotId: event.slotId, promptTokens: 0, completionTokens: 0, runMs: 0 })
    }
    this.#options.onChanged()
  }

  /** Every thread is gone at once; what ran has failed by itself. */
  inferenceLost(): void {
    for (const modelId of this.#models.alive()) {
      this.#models.lost(modelId)
      this.#removeSlots(modelId)
    }
    this.hosts.clear()
    for (const modelId of this.#holds.keys())
      this.#options.scheduler()?.send({ type: 'model.release', modelId })
    this.#holds.clear()
    this.#options.onChanged()
  }

  /** Inference will not come back: who waits for it is told, and nobody is invited. */
  inferenceGaveUp({ code, message }: QMeshError): void {
    for (const modelId of this.#models.alive()) {
      this.#models.failed(modelId, { code, message })
      this.#options.scheduler()?.send({ type: 'model.gone', modelId, code: 'QM_MODEL_UNKNOWN' })
    }
    this.#options.onChanged()
  }

  /** Nobody knows any more how busy the machine is. */
  healthLost(): void {
    this.healthChanged(unknownHealth)
  }

  healthChanged(health: Health): void {
    this.#health = this.#options.pauseWhenBusy ? health : regardless(health)
    this.#tellCapacity()
    this.#options.onChanged()
  }

  /**
   * There are other reasons to rest than before, or none any more. With one, others get nothing new and what they have
   * waiting goes elsewhere; what runs goes on until they have moved it. A node that stops treats its owner like them.
   */
  dutyChanged(pauses: readonly PauseReason[]): void {
    this.#pauses = pauses
    // First the word that nobody is taken, or whoever is refused comes straight back.
    this.#options.onUrgent()
    const code = this.#pauseCode
    if (code === undefined) return
    this.intake.refuseAll(
      code,
      ({ phase, wire }) => phase !== 'running' && (this.#isStopping || wire.peerId !== this.#options.selfId),
    )
  }

  get #isStopping(): boolean {
    return this.#pauses.includes('shutdown')
  }

  /** What others are told while it rests. */
  get #pauseCode(): ErrorCode | undefined {
    if (this.#pauses.length === 0) return undefined
    return this.#pauses.every((reason) => reason === 'load') ? 'QM_OVERLOADED' : 'QM_DRAINING'
  }

  #submit(job: Job): void {
    const { modelId, maxTokens, deadlineMs } = job.prompt
    const resumed = job.prompt.resume?.tokens.length ?? 0
    const scheduler = this.#options.scheduler()
    if (!scheduler) return this.intake.refused(job.id, 'QM_OVERLOADED')
    scheduler.send({
      type: 'request.submit',
      jobId: job.id,
      modelId,
      waitMs: job.precedence.waitMs,
      // Tokens that another worker generated are read here, not written.
      promptTokens: job.promptTokens + resumed,
      maxTokens: Math.max(1, maxTokens - resumed),
      deadlineMs,
      atMs: job.arrivedAtMs,
    })
  }

  #closedBecause(clientId?: PeerId): ErrorCode | undefined {
    if (this.#isStopping) return 'QM_DRAINING'
    // While a part is down an empty queue means nothing, and must not look like an invitation.
    if (!this.#options.scheduler() || !this.#options.inference()) return 'QM_OVERLOADED'
    return clientId === this.#options.selfId ? undefined : this.#pauseCode
  }

  #ready(model: LoadedModel, slotIds: readonly SlotId[]): void {
    const { id } = model
    this.#models.ready(model)
    for (const slotId of slotIds) {
      const scheduler = this.#options.scheduler()
      this.#slots.set(slotId, { modelId: id, isKnown: scheduler !== undefined, isBusy: false })
      scheduler?.send({ type: 'slot.added', slotId, modelId: id })
    }
  }

  #removed(modelId: ModelId): void {
    this.#models.removed(modelId)
    this.#holds.delete(modelId)
    this.#wanted.delete(modelId)
    this.#removeSlots(modelId)
    this.#options.scheduler()?.send({ type: 'model.gone', modelId, code: 'QM_MODEL_UNKNOWN' })
  }

  #freed({
    slotId,
    ...work
  }: Pick<SlotFreed, 'slotId' | 'promptTokens' | 'completionTokens' | 'runMs'>): void {
    const slot = this.#slots.get(slotId)
    if (!slot) return
    const { promptTokens, completionTokens, runMs } = work
    slot.isBusy = false
    // A scheduler that was restarted while the slot was busy has never heard of it.
    const command: SchedulerCommand = slot.isKnown
      ? { type: 'slot.freed', slotId, atMs: this.#options.now(), promptTokens, completionTokens, runMs }
      : { type: 'slot.added', slotId, modelId: slot.modelId }
    slot.isKnown = true
    this.#options.scheduler()?.send(command)
  }

  #removeSlots(modelId: ModelId): void {
    for (const [slotId, slot] of this.#slots) if (slot.modelId === modelId) this.#removeSlot(slotId)
  }

  #removeSlot(slotId: SlotId): void {
    if (this.#slots.delete(slotId)) this.#options.scheduler()?.send({ type: 'slot.removed', slotId })
  }

  /** Requests for it wait. */
  #tellLoadable(model: LoadableModel | undefined): void {
    if (!model) return
    const { id: modelId, slots, loadMs } = model
    this.#options.scheduler()?.send({ type: 'model.loadable', modelId, slots, loadMs })
  }

  #tellCapacity(): void {
    // The queue keeps a place for the owner even when nobody else is let in; that decision is the intake's.
    const capacity = Math.max(1, toCapacity(this.#options.queueCapacity, this.#health))
    this.#options.scheduler()?.send({ type: 'capacity.changed', capacity, accepting: true })
  }
}
