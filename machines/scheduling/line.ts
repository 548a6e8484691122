import { limits, type ModelId } from '../../protocol/index.ts'
import { ArrivalRates } from './arrival-rates.ts'
import { ServiceEstimate, Timeline } from './eta.ts'
import type { SlotFreed, SlotId, Submission } from './scheduler.events.ts'
import { TieredQueue, type Ticket } from './tiered-queue.ts'
import { Presence } from './presence.ts'

/** A request between admission and the end of its run. */
export interface Job extends Submission {
  /** Order of admission, which settles who came last. */
  readonly order: number
  /** Instant after which it may not start any more; infinite without a deadline. */
  readonly expiresAtMs: number
  ticket: Ticket<Job> | undefined
  startedAtMs: number
  /** Expected of its answer when it joined; kept, so that what was added is what is taken away. */
  answerTokens: number
  /** The position its client was told last. */
  toldPosition: number
}

/** Newcomers up to this position get the exact forecast; further back the average is just as good. */
const exactPositionMax = 64

const clampMs = (ms: number): number => Math.min(limits.durationMsMax, Math.max(0, Math.round(ms)))

/** One model's line: those who wait for it, its slots, and how long it takes. */
export class Line {
  readonly queue = new TieredQueue<Job>()
  readonly estimate = new ServiceEstimate()
  readonly running = new Map<SlotId, Job>()
  /** Whether the model is in memory, and when it comes or goes. */
  readonly presence = new Presence()
  readonly #rates = new ArrivalRates()
  readonly #slots = new Set<SlotId>()
  /** Free slots, the one freed last on top: its cache is the warmest. */
  readonly #free: SlotId[] = []
  #promptTokens = 0
  #answerTokens = 0
  readonly modelId: ModelId

  constructor(modelId: ModelId) {
    this.modelId = modelId
  }

  get slots(): number {
    return this.#slots.size
  }

  /** Whether a newcomer goes straight to a slot. */
  get hasFreeSlot(): boolean {
    return this.#free.length > 0 && !this.presence.isHeld
  }

  /** Whether the next one waiting may be given a slot. */
  get mayServe(): boolean {
    return this.#free.length > 0 && this.presence.placesLeft > 0
  }

  /** Requests wait, and there is nothing to run them until the model is loaded. */
  get isWanted(): boolean {
    return this.#slots.size === 0 && this.queue.size > 0
  }

  /** Held, and served all that it was to serve. */
  get isDone(): boolean {
    const { isHeld, placesLeft } = this.presence
    return isHeld && this.running.size === 0 && (placesLeft === 0 || this.queue.size === 0)
  }

  /** Milliseconds until everything that may still run here has run. */
  drainMs(nowMs: number): number {
    const running = Array.from(this.running.values(), (work) => ({
      work,
      elapsedMs: nowMs - work.startedAtMs,
    }))
    const places = Math.min(this.presence.placesLeft, this.queue.size)
    const lastMs = Math.max(0, ...this.estimate.remainingMs(running))
    return lastMs + (places * this.meanRunMs()) / Math.max(1, this.slots)
  }

  addSlot(slotId: SlotId): boolean {
    if (this.#slots.has(slotId)) return false
    this.#slots.add(slotId)
    this.#free.push(slotId)
    return true
  }

  /** Returns the job that ran there. */
  removeSlot(slotId: SlotId): Job | undefined {
    this.#slots.delete(slotId)
    const at = this.#free.indexOf(slotId)
    if (at >= 0) this.#free.splice(at, 1)
    const job = this.running.get(slotId)
    this.running.delete(slotId)
    return job
  }

  /** Returns the job that ran there; undefined when the slot was free already, which changes nothing. */
  freeSlot(freed: SlotFreed): Job | undefined {
    const { slotId } = freed
    const job = this.running.get(slotId)
    if (job === undefined) return undefined
    this.estimate.learn({ ...freed, maxTokens: job.maxTokens })
    this.running.delete(slotId)
    this.#free.push(slotId)
    return job
  }

  /** Gives a free slot to a job. */
  occupy(job: Job, nowMs: number): SlotId | undefined {
    const slotId = this.#free.pop()
    if (slotId === undefined) return undefined
    job.startedAtMs = nowMs
    this.running.set(slotId, job)
    return slotId
  }

  join(job: Job, nowMs: number): void {
    this.#rates.arrived(job.waitMs, nowMs)
    job.ticket = this.queue.enqueue(job, job.waitMs, job.atMs)
    this.#promptTokens += job.promptTokens
    job.answerTokens = this.estimate.answerTokens(job.maxTokens)
    this.#answerTokens += job.answerTokens
  }

  /** Takes a job out of the queue, from wherever it stands. */
  leave(job: Job): void {
    if (job.ticket !== undefined && this.queue.remove(job.ticket)) this.#forget(job)
  }

  next(): Job | undefined {
    const job = this.queue.dequeue()?.value
    if (job !== undefined) this.#forget(job)
    if (job !== undefined) this.presence.served()
    return job
  }

  /** Milliseconds until the first token of a job that starts now. */
  prefillMs(job: Job): number {
    return clampMs(this.estimate.prefillMs(job))
  }

  /** Milliseconds until the first token of a job with so many ahead of it. */
  etaMs(job: Job, ahead: number, nowMs: number): number {
    const timeline = this.#timeline(nowMs)
    let startMs = Infinity
    if (ahead < exactPositionMax) {
      this.queue.walk(({ value }) => (startMs = timeline.start(this.estimate.runMs(value))), ahead + 1)
    } else {
      startMs = timeline.startAfter(ahead * this.meanRunMs())
    }
    return this.#firstTokenMs(job, startMs + this.presence.awayMs(ahead), nowMs)
  }

  /** Visits the first of those waiting in their order, each with its forecast. */
  forecast(
    nowMs: number,
    limit: number,
    visit: (job: Job, position: number, etaMs: () => number) => void,
  ): void {
    const timeline = this.#timeline(nowMs)
    this.queue.walk(({ value }, ahead) => {
      const startMs = timeline.start(this.estimate.runMs(value))
      visit(value, ahead + 1, () => this.#firstTokenMs(value, startMs + this.presence.awayMs(ahead), nowMs))
    }, limit)
  }

  /** How long those waiting take in a slot, on average. */
  meanRunMs(): number {
    const size = Math.max(1, this.queue.size)
    return this.estimate.costMs(this.#promptTokens / size, this.#answerTokens / size)
  }

  /**
   * Adds those who will come later and go first, and its own prompt, to the start that the line of now gives. While
   * these are served more of them come, which settles after a few rounds: the head start bounds them.
   */
  #firstTokenMs(job: Job, startMs: number, nowMs: number): number {
    let laterMs = startMs
    const eachMs = this.meanRunMs() / Math.max(1, this.slots)
    for (let round = 0; round < 3; round++) {
      const overtaking = this.#rates.overtaking(job.waitMs, nowMs - job.atMs, laterMs, nowMs)
      if (overtaking === 0) break
      laterMs = startMs + overtaking * eachMs
    }
    return clampMs(laterMs + this.estimate.prefillMs(job))
  }

  #timeline(nowMs: number): Timeline {
    if (this.#slots.size === 0) return new Timeline(this.presence.busyMs(nowMs))
    const running = Array.from(this.running.values(), (work) => ({
      work,
      elapsedMs: nowMs - work.startedAtMs,
    }))
    const busyMs = [...Array.from(this.#free, () => 0), ...this.estimate.remainingMs(running)]
    return new Timeline(busyMs)
  }

  #forget(job: Job): void {
    job.ticket = undefined
    this.#promptTokens -= job.promptTokens
    this.#answerTokens -= job.answerTokens
  }
}
