import type { ErrorCode, ModelId } from '../../protocol/index.ts'
import { admit } from './admission.ts'
import { ExpiryHeap } from './expiry-heap.ts'
import { Line, type Job } from './line.ts'
import type { LoadTerms } from './presence.ts'
import { SteadyClock } from './steady-clock.ts'
import type {
  JobId,
  QueueReport,
  SchedulerEmitted,
  SlotFreed,
  SlotId,
  Submission,
} from './scheduler.events.ts'
import { rankOfWait, tiers } from './tiers.ts'

export interface SchedulerOptions {
  /** Places in the queue until health says otherwise. */
  readonly capacity: number
}

export interface HoldTerms {
  readonly turn: number
  readonly wantedBy?: ModelId | undefined
  readonly loadMs: number
}

/** How many at the front of each line are told when they move; further back it would be news without use. */
const toldMax = 20_000
const retryMs = { min: 100, max: 60_000 } as const

/**
 * Every decision of the scheduler, without time or messages of its own: each method takes the instant and returns
 * what is to be said, in order. It is mutable on purpose: a million waiting requests are not copied at every event.
 *
 * Instants that come in are those of the clock beneath; all that is kept and compared is by a steady one.
 *
 * Always true between two calls: nobody waits for a model that has a free slot, unless it has to make room for another.
 */
export class Scheduler {
  readonly #lines = new Map<ModelId, Line>()
  readonly #jobs = new Map<JobId, Job>()
  readonly #slotLines = new Map<SlotId, Line>()
  readonly #expiries = new ExpiryHeap<Job>((job) => job.ticket !== undefined)
  /** Lines whose models come and go. */
  readonly #visiting = new Set<Line>()
  readonly #waiting: number[] = tiers.map(() => 0)
  readonly #clock = new SteadyClock()
  #capacity: number
  #refusal: ErrorCode | undefined
  #admissions = 0
  #changes = 0

  constructor({ capacity }: SchedulerOptions) {
    this.#capacity = capacity
  }

  get waiting(): number {
    return this.#waiting.reduce((sum, count) => sum + count, 0)
  }

  /** Waiting requests / capacity; over 1 for a while after capacity was taken away. */
  get fullness(): number {
    return this.#capacity > 0 ? this.waiting / this.#capacity : 1
  }

  /** Counts up whenever the report may have become another. */
  get changes(): number {
    return this.#changes
  }

  /** When the first deadline of those waiting passes, by the steady clock; infinite when none has one. */
  get nextExpiryMs(): number {
    return this.#expiries.nextMs
  }

  /** Milliseconds until an instant of the steady clock. */
  untilMs(steadyMs: number, clockMs: number): number {
    return Math.max(0, steadyMs - this.#clock.read(clockMs))
  }

  report(): QueueReport {
    let slotsBusy = 0
    for (const line of this.#lines.values()) slotsBusy += line.running.size
    return { length: this.waiting, capacity: this.#capacity, slotsBusy, slots: this.#slotLines.size }
  }

  /** What a person or an inspector sees of it; the jobs themselves stay private. */
  toJSON(): QueueReport {
    return this.report()
  }

  /** How many wait before this one and its model's line; undefined when it does not wait. */
  aheadOf(jobId: JobId): number | undefined {
    const job = this.#jobs.get(jobId)
    const line = job && this.#lines.get(job.modelId)
    return job?.ticket && line?.queue.aheadOf(job.ticket)
  }

  submit(submission: Submission, clockMs: number): SchedulerEmitted[] {
    const { jobId, modelId, waitMs, deadlineMs } = submission
    const refuse = (code: ErrorCode, retryAfterMs?: number): SchedulerEmitted[] => [
      { type: 'request.refused', jobId, code, ...(retryAfterMs !== undefined && { retryAfterMs }) },
    ]
    if (this.#jobs.has(jobId)) return refuse('QM_DUPLICATE_REQUEST')
    const line = this.#lines.get(modelId)
    if (line === undefined) return refuse('QM_MODEL_UNKNOWN')
    if (this.#refusal !== undefined) return refuse(this.#refusal, this.#retryAfterMs(line))
    const nowMs = this.#clock.read(clockMs)
    // Its age is what counts: it arrived by the clock beneath, which may have jumped since the start.
    const atMs = nowMs - Math.max(0, clockMs - submission.atMs)
    const expiresAtMs = deadlineMs === undefined ? Infinity : atMs + deadlineMs
    if (expiresAtMs <= nowMs) return refuse('QM_DEADLINE_PASSED')

    const said: SchedulerEmitted[] = []
    const rank = rankOfWait(waitMs)
    if (!line.hasFreeSlot) {
      // Nobody is refused or put out for the sake of one whose time is over and whose timer is late.
      said.push(...this.#expireDue(nowMs))
      const admission = admit(rank, { capacity: this.#capacity, waiting: this.#waiting })
      if (admission.kind === 'refuse') return [...said, ...refuse('QM_QUEUE_FULL', this.#retryAfterMs(line))]
      if (admission.kind === 'displace') said.push(...this.#displace(admission.rank))
    }
    const order = this.#admissions++
    this.#changes++
    const job: Job = {
      ...submission,
      atMs,
      order,
      expiresAtMs,
      ticket: undefined,
      startedAtMs: 0,
      answerTokens: 0,
      toldPosition: 0,
    }
    this.#jobs.set(jobId, job)
    if (line.hasFreeSlot) {
      said.push({ type: 'request.admitted', jobId, position: 0, etaMs: line.prefillMs(job) })
      said.push(...this.#assign(line, job, nowMs))
      return said
    }
    line.join(job, nowMs)
    this.#waiting[rank] = (this.#waiting[rank] ?? 0) + 1
    if (expiresAtMs !== Infinity) this.#expiries.add(job, expiresAtMs)
    const ahead = job.ticket === undefined ? 0 : line.queue.aheadOf(job.ticket)
    job.toldPosition = ahead + 1
    said.push({ type: 'request.admitted', jobId, position: ahead + 1, etaMs: line.etaMs(job, ahead, nowMs) })
    return said
  }

  /** True when the request was waiting and is gone now. */
  cancel(jobId: JobId): boolean {
    const job = this.#jobs.get(jobId)
    if (job?.ticket === undefined) return false
    this.#drop(job)
    return true
  }

  addSlot(slotId: SlotId, modelId: ModelId, clockMs: number): SchedulerEmitted[] {
    const known = this.#slotLines.get(slotId)
    if (known !== undefined) return []
    const line = this.#lines.get(modelId) ?? new Line(modelId)
    this.#lines.set(modelId, line)
    this.#slotLines.set(slotId, line)
    this.#changes++
    line.addSlot(slotId)
    return this.#dispatch(line, this.#clock.read(clockMs))
  }

  removeSlot(slotId: SlotId): void {
    const job = this.#slotLines.get(slotId)?.removeSlot(slotId)
    this.#changes++
    this.#slotLines.delete(slotId)
    if (job !== undefined) this.#forget(job)
  }

  freeSlot(freed: SlotFreed, clockMs: number): SchedulerEmitted[] {
    const line = this.#slotLines.get(freed.slotId)
    const job = line?.freeSlot(freed)
    if (line === undefined || job === undefined) return []
    this.#forget(job)
    return this.#dispatch(line, this.#clock.read(clockMs))
  }

  /** Requests for this model wait until it is loaded. */
  setLoadable(modelId: ModelId, { slots, loadMs }: LoadTerms, clockMs: number): SchedulerEmitted[] {
    const line = this.#lines.get(modelId) ?? new Line(modelId)
    this.#lines.set(modelId, line)
    this.#visiting.add(line)
    line.presence.gone({ slots, loadMs })
    return this.#dispatch(line, this.#clock.read(clockMs))
  }

  /** The model is on its way. */
  expect(modelId: ModelId, loadMs: number, clockMs: number): void {
    this.#lines.get(modelId)?.presence.expectedAt(this.#clock.read(clockMs) + loadMs)
  }

  /** Gives a model only what waits for it now: another one needs its memory. */
  hold(modelId: ModelId, { turn, wantedBy, loadMs }: HoldTerms): void {
    // A scheduler that was started again may not have heard of the model: its slots are all busy.
    const line = this.#lines.get(modelId) ?? new Line(modelId)
    this.#lines.set(modelId, line)
    const other = wantedBy === undefined ? undefined : this.#lines.get(wantedBy)
    const { loadMs: otherMs = 0, slots = 1 } = other?.presence.loadable ?? {}
    const batchMs = other === undefined ? 0 : (other.queue.size * other.meanRunMs()) / slots
    this.#visiting.add(line)
    line.presence.hold(turn, line.queue.size, loadMs + otherMs + batchMs)
    other?.presence.waitsFor((nowMs) => line.drainMs(nowMs))
  }

  release(modelId: ModelId, clockMs: number): SchedulerEmitted[] {
    const line = this.#lines.get(modelId)
    if (line === undefined) return []
    line.presence.release()
    return this.#dispatch(line, this.#clock.read(clockMs))
  }

  /** What has become true of models that come and go: to be asked for after everything that changes a line. */
  news(): SchedulerEmitted[] {
    const said: SchedulerEmitted[] = []
    for (const { modelId, presence, isWanted, isDone } of this.#visiting) {
      if (isWanted !== presence.toldWanted) {
        presence.toldWanted = isWanted
        said.push({ type: isWanted ? 'model.wanted' : 'model.unwanted', modelId })
      }
      if (isDone && !presence.toldDone) {
        presence.toldDone = true
        said.push({ type: 'model.yielded', modelId, turn: presence.turn })
      }
    }
    return said
  }

  /** Refuses everybody who waits for a model that will not come back. */
  removeModel(modelId: ModelId, code: ErrorCode): SchedulerEmitted[] {
    const line = this.#lines.get(modelId)
    if (line === undefined) return []
    const said: SchedulerEmitted[] = []
    for (let next = line.queue.peek(); next !== undefined; next = line.queue.peek()) {
      this.#drop(next.value)
      said.push({ type: 'request.refused', jobId: next.value.jobId, code })
    }
    for (const [slotId, other] of this.#slotLines) if (other === line) this.removeSlot(slotId)
    this.#lines.delete(modelId)
    this.#visiting.delete(line)
    return said
  }

  /** @param refusal why newcomers are refused; undefined when they are welcome. */
  setCapacity(capacity: number, refusal: ErrorCode | undefined): void {
    this.#capacity = capacity
    this.#refusal = refusal
    this.#changes++
  }

  /** Takes out those whose deadline has passed. */
  expire(clockMs: number): SchedulerEmitted[] {
    return this.#expireDue(this.#clock.read(clockMs))
  }

  #expireDue(nowMs: number): SchedulerEmitted[] {
    const said: SchedulerEmitted[] = []
    for (let job = this.#expiries.takeDue(nowMs); job !== undefined; job = this.#expiries.takeDue(nowMs)) {
      this.#drop(job, false)
      said.push({ type: 'request.expired', jobId: job.jobId })
    }
    return said
  }

  /**
   * Tells those who moved. Far back a step is no news: a position is told again when it changed by a hundredth, so a
   * departure causes a number of messages that grows with the logarithm of the queue, not with its length. Those whose
   * time is over leave first: nobody is told to stand behind one who goes at the same moment.
   */
  announce(clockMs: number): SchedulerEmitted[] {
    const nowMs = this.#clock.read(clockMs)
    const said = this.#expireDue(nowMs)
    for (const line of this.#lines.values()) {
      const { isNews } = line.presence
      line.presence.isNews = false
      line.forecast(nowMs, toldMax, (job, position, etaMs) => {
        const moved = Math.abs(job.toldPosition - position)
        if (!isNews && (moved === 0 || moved < Math.floor(position / 100))) return
        job.toldPosition = position
        said.push({ type: 'request.moved', jobId: job.jobId, position, etaMs: etaMs() })
      })
    }
    return said
  }

  #dispatch(line: Line, nowMs: number): SchedulerEmitted[] {
    const said: SchedulerEmitted[] = []
    while (line.mayServe) {
      const job = line.next()
      if (job === undefined) break
      this.#left(job)
      if (job.expiresAtMs <= nowMs) {
        this.#forget(job)
        said.push({ type: 'request.expired', jobId: job.jobId })
      } else {
        said.push(...this.#assign(line, job, nowMs))
      }
    }
    return said
  }

  #assign(line: Line, job: Job, nowMs: number): SchedulerEmitted[] {
    const slotId = line.occupy(job, nowMs)
    if (slotId === undefined) return []
    return [{ type: 'request.assigned', jobId: job.jobId, slotId, queuedMs: Math.max(0, nowMs - job.atMs) }]
  }

  /** Puts out whoever of a tier would go last, whatever its model. */
  #displace(rank: number): SchedulerEmitted[] {
    const tier = tiers[rank]
    let victim: Job | undefined
    let victimDueMs = -Infinity
    for (const { queue } of this.#lines.values()) {
      const ticket = tier && queue.lastOf(tier)
      if (ticket === undefined) continue
      const dueMs = queue.dueMsOf(ticket)
      const isEqual = dueMs === victimDueMs && ticket.value.order > (victim?.order ?? -1)
      if (dueMs <= victimDueMs && !isEqual) continue
      victim = ticket.value
      victimDueMs = dueMs
    }
    const line = victim && this.#lines.get(victim.modelId)
    if (victim === undefined || line === undefined) return []
    this.#drop(victim)
    return [{ type: 'request.displaced', jobId: victim.jobId, retryAfterMs: this.#retryAfterMs(line) }]
  }

  /** Until as many have been served as stand in the way of one more. */
  #retryAfterMs(line: Line): number {
    const surplus = Math.max(1, this.waiting - this.#capacity + 1)
    const ms = (surplus * line.meanRunMs()) / Math.max(1, line.slots)
    return Math.round(Math.min(retryMs.max, Math.max(retryMs.min, ms)))
  }

  /** Takes a waiting job out for good. */
  #drop(job: Job, isTimed = true): void {
    this.#lines.get(job.modelId)?.leave(job)
    this.#left(job, isTimed)
    this.#forget(job)
  }

  #left(job: Job, isTimed = true): void {
    const rank = rankOfWait(job.waitMs)
    this.#waiting[rank] = (this.#waiting[rank] ?? 0) - 1
    if (isTimed && job.expiresAtMs !== Infinity) this.#expiries.left()
  }

  #forget(job: Job): void {
    this.#changes++
    this.#jobs.delete(job.jobId)
  }
}
