import { Scheduler } from '../../machines/scheduling/scheduler.ts'
import type { SchedulerEmitted } from '../../machines/scheduling/scheduler.events.ts'
import type { ErrorCode, ModelAd, PeerId, Status } from '../../protocol/index.ts'
import type { Wish } from './load-terms.ts'
import { loadTerms } from './load-terms.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** What becomes of a request, told to whoever sent it. */
export interface LoadRequest {
  readonly jobId: string
  readonly waitMs: number
  readonly wish: Wish
  started(): void
  finished(): void
  /** It was refused, or had to make room. */
  failed(code: ErrorCode, retryAfterMs: number | undefined): void
}

const modelId = 'model'

/** A worker with the product's scheduler; its slots take as long as their answers say. */
export class LoadWorker {
  readonly id: PeerId
  readonly models: readonly ModelAd[]
  readonly #clock: VirtualClock
  readonly #scheduler = new Scheduler({ capacity: loadTerms.queueCapacity })
  readonly #requests = new Map<string, LoadRequest>()
  /** What it said of itself last. */
  published: Status

  constructor(id: PeerId, modelHash: string, clock: VirtualClock) {
    this.id = id
    this.models = [{ id: modelId, hash: modelHash, contextTokens: 4_096, slots: loadTerms.slots }]
    this.#clock = clock
    for (let slot = 0; slot < loadTerms.slots; slot++)
      this.#scheduler.addSlot(`${modelId}/${slot}`, modelId, clock.nowMs)
    this.published = this.#status()
  }

  publish(): void {
    this.published = this.#status()
  }

  submit(request: LoadRequest): void {
    const { jobId, waitMs, wish } = request
    this.#requests.set(jobId, request)
    const { promptTokens, maxOut } = wish
    const atMs = this.#clock.nowMs
    this.#hear(
      this.#scheduler.submit({ jobId, modelId, waitMs, promptTokens, maxTokens: maxOut, atMs }, atMs),
    )
  }

  #status(): Status {
    const { length, capacity, slotsBusy, slots } = this.#scheduler.report()
    const isBusy = slotsBusy === slots
    return {
      type: 'status',
      models: [...this.models],
      healthScore: isBusy ? 50 : 90,
      state: isBusy ? 'busy' : 'light',
      accepting: true,
      queueLength: length,
      queueCapacity: capacity,
      slotsBusy,
      slots,
    }
  }

  #hear(said: readonly SchedulerEmitted[]): void {
    for (const one of said) {
      if (one.type === 'request.assigned') this.#run(one.jobId, one.slotId)
      if (one.type === 'request.refused') this.#fail(one.jobId, one.code, one.retryAfterMs)
      if (one.type === 'request.displaced') this.#fail(one.jobId, 'QM_QUEUE_FULL', one.retryAfterMs)
    }
  }

  #fail(jobId: string, code: ErrorCode, retryAfterMs: number | undefined): void {
    const request = this.#requests.get(jobId)
    this.#requests.delete(jobId)
    request?.failed(code, retryAfterMs)
  }

  #run(jobId: string, slotId: string): void {
    const request = this.#requests.get(jobId)
    if (!request) return
    const { promptTokens, tokens, runMs } = request.wish
    request.started()
    this.#clock.after(runMs, () => {
      this.#requests.delete(jobId)
      request.finished()
      const { nowMs } = this.#clock
      const freed = { slotId, atMs: nowMs, promptTokens, completionTokens: tokens, runMs }
      this.#hear(this.#scheduler.freeSlot(freed, nowMs))
    })
  }
}
