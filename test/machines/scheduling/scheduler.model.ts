import { admit } from '../../../machines/scheduling/admission.ts'
import type { SchedulerEmitted } from '../../../machines/scheduling/scheduler.events.ts'
import { rankOfWait, tiers } from '../../../machines/scheduling/tiers.ts'

/** What the model says has to be said about requests, in order; times of waiting and forecasts are left out. */
export type Said = string

export const toSaid = (emitted: SchedulerEmitted): Said | undefined => {
  switch (emitted.type) {
    case 'request.admitted':
      return `admitted ${emitted.jobId} at ${emitted.position}`
    case 'request.refused':
      return `refused ${emitted.jobId} ${emitted.code}`
    case 'request.assigned':
      return `assigned ${emitted.jobId} to ${emitted.slotId} after ${emitted.queuedMs}`
    case 'request.displaced':
      return `displaced ${emitted.jobId}`
    case 'request.expired':
      return `expired ${emitted.jobId}`
    default:
      return undefined
  }
}

interface Waiting {
  readonly jobId: string
  readonly modelId: string
  readonly waitMs: number
  readonly atMs: number
  readonly expiresAtMs: number
  readonly order: number
}

interface Slot {
  readonly modelId: string
  running: Waiting | undefined
  /** Counts up with every slot that comes free: the last one is taken first. */
  freed: number
}

const dueMs = ({ atMs, waitMs }: Waiting): number => atMs + waitMs

const goesFirst = (a: Waiting, b: Waiting): number =>
  dueMs(a) - dueMs(b) || b.waitMs - a.waitMs || a.order - b.order

/** The scheduler as one sorted list and a few counters: slow, and short enough to be believed. */
export class SchedulerModel {
  nowMs = 0
  capacity: number
  accepting = true
  said: Said[] = []
  waiting: Waiting[] = []
  /** By slotId. */
  readonly slots = new Map<string, Slot>()
  readonly models = new Set<string>()
  #orders = 0
  #freed = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  lineOf(modelId: string): Waiting[] {
    return this.waiting.filter((job) => job.modelId === modelId).toSorted(goesFirst)
  }

  submit(job: Omit<Waiting, 'order'>): void {
    const busy = [...this.slots.values()].flatMap(({ running }) => running ?? [])
    const everybody = [...this.waiting, ...busy]
    const isKnown = everybody.some(({ jobId }) => jobId === job.jobId)
    const code = isKnown
      ? 'QM_DUPLICATE_REQUEST'
      : !this.models.has(job.modelId)
        ? 'QM_MODEL_UNKNOWN'
        : !this.accepting
          ? 'QM_OVERLOADED'
          : job.expiresAtMs <= this.nowMs
            ? 'QM_DEADLINE_PASSED'
            : undefined
    if (code !== undefined) {
      this.said.push(`refused ${job.jobId} ${code}`)
      return
    }
    const newcomer: Waiting = { ...job, order: this.#orders++ }
    if (this.#freeSlot(job.modelId) !== undefined) {
      this.said.push(`admitted ${job.jobId} at 0`)
      this.#assign(newcomer)
      return
    }
    const ofRank = (rank: number): Waiting[] =>
      this.waiting.filter(({ waitMs }) => rankOfWait(waitMs) === rank)
    const waiting = tiers.map((_, rank) => ofRank(rank).length)
    const admission = admit(rankOfWait(job.waitMs), { capacity: this.capacity, waiting })
    if (admission.kind === 'refuse') {
      this.#orders--
      this.said.push(`refused ${job.jobId} QM_QUEUE_FULL`)
      return
    }
    if (admission.kind === 'displace') {
      const victim = ofRank(admission.rank).toSorted(goesFirst).at(-1)
      this.waiting = this.waiting.filter((one) => one !== victim)
      this.said.push(`displaced ${victim?.jobId}`)
    }
    this.waiting.push(newcomer)
    this.said.push(`admitted ${job.jobId} at ${this.lineOf(job.modelId).indexOf(newcomer) + 1}`)
  }

  addSlot(slotId: string, modelId: string): void {
    this.models.add(modelId)
    if (this.slots.has(slotId)) return
    this.slots.set(slotId, { modelId, running: undefined, freed: this.#freed++ })
    this.#dispatch(modelId)
  }

  freeSlot(slot: Slot): void {
    slot.running = undefined
    slot.freed = this.#freed++
    this.#dispatch(slot.modelId)
  }

  #freeSlot(modelId: string): [string, Slot] | undefined {
    return [...this.slots]
      .filter(([, slot]) => slot.modelId === modelId && slot.running === undefined)
      .toSorted(([, a], [, b]) => b.freed - a.freed)[0]
  }

  #assign(job: Waiting): void {
    const [slotId, slot] = this.#freeSlot(job.modelId) ?? []
    if (slot === undefined) return
    slot.running = job
    this.said.push(`assigned ${job.jobId} to ${slotId} after ${this.nowMs - job.atMs}`)
  }

  #dispatch(modelId: string): void {
    const next = this.lineOf(modelId)[0]
    if (next === undefined || this.#freeSlot(modelId) === undefined) return
    this.waiting = this.waiting.filter((one) => one !== next)
    this.#assign(next)
    this.#dispatch(modelId)
  }

  /** One step of the clock. */
  tick(ms: number): void {
    this.nowMs += ms
    const late = this.waiting.filter(({ expiresAtMs }) => expiresAtMs <= this.nowMs)
    for (const { jobId } of late.toSorted((a, b) => a.expiresAtMs - b.expiresAtMs || a.order - b.order)) {
      this.said.push(`expired ${jobId}`)
    }
    this.waiting = this.waiting.filter((job) => !late.includes(job))
  }
}
