import { Heap } from 'heap-js'
import type { SchedulerEmitted } from '../../../machines/scheduling/scheduler.events.ts'
import { Scheduler } from '../../../machines/scheduling/scheduler.ts'
import { tiers, tierTerms, type Tier } from '../../../machines/scheduling/tiers.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { genesisParams } from '../../../machines/trust/params.ts'
import { ofScore } from './contributors.ts'

/** What a worker's clients do, and what the worker is; time is simulated. */
export interface Workload {
  readonly seed: number
  /** Work that arrives over work that can be done. */
  readonly load: number
  readonly slots: number
  readonly requests: number
  /** How often each tier asks, in the order of `tiers`. */
  readonly mix?: readonly number[]
  /** The part of the requests whose clients lose patience. */
  readonly cancelShare?: number
}

export interface Arrival {
  readonly id: string
  readonly clientId: string
  readonly tier: Tier
  /** Points of its client, and the wait that they give. */
  readonly score: number
  readonly waitMs: number
  readonly atMs: number
  readonly promptTokens: number
  readonly maxTokens: number
  readonly answerTokens: number
  readonly prefillMs: number
  readonly runMs: number
  /** Milliseconds after which its client leaves, unless it has a slot. */
  readonly patienceMs: number
}

/** Milliseconds per token of the simulated model. */
const speed = { prompt: 0.5, answer: 20 } as const
const clientsPerTier = 10

/** The points of a tier's clients lie evenly between its bound and the next; Masters have that and more. */
function toScore(tier: Tier, client: number): number {
  const { tierThresholds } = genesisParams
  const passed = tiers.length - 1 - tierTerms[tier].rank
  const from = tierThresholds[passed - 1] ?? 0
  const next = tierThresholds[passed] ?? 2 * from
  return from + Math.floor(((next - from) * client) / clientsPerTier)
}

/** Poisson arrivals; log-normal prompts and answers, the answers cut at the bound that their clients gave. */
export function createArrivals(workload: Workload): Arrival[] {
  const { seed, load, slots, requests, mix = tiers.map(() => 1), cancelShare = 0 } = workload
  const random = createRandom(seed)
  const exponential = (): number => -Math.log(1 - random())
  const normal = (): number => Math.sqrt(2 * exponential()) * Math.cos(2 * Math.PI * random())
  const logNormal = (median: number, sigma: number): number =>
    Math.max(1, Math.round(median * Math.exp(sigma * normal())))
  const mixTotal = mix.reduce((sum, weight) => sum + weight, 0)
  const drawTier = (): Tier => {
    let left = random() * mixTotal
    return tiers.find((_, rank) => (left -= mix[rank] ?? 0) < 0) ?? 'bronze'
  }
  const drafts = Array.from({ length: requests }, (_, index) => {
    const tier = drawTier()
    const promptTokens = Math.min(4_000, logNormal(200, 1))
    const maxTokens = [64, 256, 1_024][Math.floor(random() * 3)] ?? 256
    const answerTokens = Math.min(maxTokens, logNormal(120, 0.7))
    const pace = 0.9 + random() * 0.2
    const prefillMs = promptTokens * speed.prompt * pace
    const client = Math.floor(random() * clientsPerTier)
    const score = toScore(tier, client)
    return {
      id: `job${index}`,
      clientId: `${tier}${client}`,
      tier,
      score,
      waitMs: ofScore(score).waitMs,
      promptTokens,
      maxTokens,
      answerTokens,
      prefillMs,
      runMs: prefillMs + answerTokens * speed.answer * pace,
      patienceMs: random() < cancelShare ? exponential() * 20_000 : Infinity,
      gap: exponential(),
    }
  })
  const meanRunMs = drafts.reduce((sum, { runMs }) => sum + runMs, 0) / requests
  let atMs = 0
  return drafts.map(({ gap, ...draft }) => {
    atMs += (gap * meanRunMs) / (slots * load)
    return { ...draft, atMs }
  })
}

/** What became of one request. */
export interface Outcome {
  readonly arrival: Arrival
  end: 'served' | 'refused' | 'displaced' | 'cancelled' | 'waiting'
  /** As promised when it came, and as it was: milliseconds from arrival to the first token. */
  etaMs: number
  actualMs: number
  waitMs: number
  position: number
}

type Said =
  | { readonly type: 'admitted'; readonly id: string; readonly etaMs: number; readonly position: number }
  | { readonly type: 'refused' | 'displaced' | 'started'; readonly id: string }

/** A worker's queue with its slots, whatever its order. */
export interface Discipline {
  arrive(arrival: Arrival): Said[]
  leave(arrival: Arrival, nowMs: number): boolean
  finish(arrival: Arrival, nowMs: number): Said[]
}

interface Happening {
  readonly atMs: number
  readonly order: number
  readonly type: 'arrive' | 'leave' | 'finish'
  readonly outcome: Outcome
}

/** Lets the arrivals meet a discipline; returns what became of each. */
export function simulate(arrivals: readonly Arrival[], discipline: Discipline): Outcome[] {
  const happenings = new Heap<Happening>((a, b) => a.atMs - b.atMs || a.order - b.order)
  const outcomes = new Map<string, Outcome>()
  let order = 0
  const plan = (atMs: number, type: Happening['type'], outcome: Outcome): void => {
    happenings.push({ atMs, order: order++, type, outcome })
  }
  for (const arrival of arrivals) {
    const outcome: Outcome = { arrival, end: 'waiting', etaMs: 0, actualMs: 0, waitMs: 0, position: 0 }
    outcomes.set(arrival.id, outcome)
    plan(arrival.atMs, 'arrive', outcome)
    if (arrival.patienceMs !== Infinity) plan(arrival.atMs + arrival.patienceMs, 'leave', outcome)
  }
  const note = (said: Said, nowMs: number): void => {
    const outcome = outcomes.get(said.id)
    if (outcome === undefined) return
    const { arrival } = outcome
    if (said.type === 'admitted') {
      outcome.etaMs = said.etaMs
      outcome.position = said.position
    } else if (said.type === 'started') {
      outcome.end = 'served'
      outcome.waitMs = nowMs - arrival.atMs
      outcome.actualMs = outcome.waitMs + arrival.prefillMs
      plan(nowMs + arrival.runMs, 'finish', outcome)
    } else {
      outcome.end = said.type
    }
  }
  for (let next = happenings.pop(); next !== undefined; next = happenings.pop()) {
    const { atMs, type, outcome } = next
    const { arrival } = outcome
    if (type === 'arrive') for (const said of discipline.arrive(arrival)) note(said, atMs)
    if (type === 'finish') for (const said of discipline.finish(arrival, atMs)) note(said, atMs)
    if (type === 'leave' && outcome.end === 'waiting' && discipline.leave(arrival, atMs)) {
      outcome.end = 'cancelled'
    }
  }
  return [...outcomes.values()]
}

/** The worker's real scheduler. */
export function createReal(slots: number, capacity: number): Discipline {
  const scheduler = new Scheduler({ capacity })
  const slotOf = new Map<string, string>()
  const toSaid = (emitted: readonly SchedulerEmitted[]): Said[] =>
    emitted.flatMap((one): Said[] => {
      if (one.type === 'request.assigned') {
        slotOf.set(one.jobId, one.slotId)
        return [{ type: 'started', id: one.jobId }]
      }
      if (one.type === 'request.admitted') {
        return [{ type: 'admitted', id: one.jobId, etaMs: one.etaMs, position: one.position }]
      }
      if (one.type === 'request.refused') return [{ type: 'refused', id: one.jobId }]
      if (one.type === 'request.displaced') return [{ type: 'displaced', id: one.jobId }]
      return []
    })
  for (let slot = 0; slot < slots; slot++) scheduler.addSlot(`m/${slot}`, 'm', 0)
  return {
    arrive: ({ id, ...arrival }) =>
      toSaid(scheduler.submit({ ...arrival, jobId: id, modelId: 'm' }, arrival.atMs)),
    leave: ({ id }) => scheduler.cancel(id),
    finish: ({ id, promptTokens, answerTokens, runMs }, nowMs) => {
      const slotId = slotOf.get(id) ?? ''
      slotOf.delete(id)
      const freed = { slotId, atMs: nowMs, promptTokens, completionTokens: answerTokens, runMs }
      return toSaid(scheduler.freeSlot(freed, nowMs))
    },
  }
}

/** What others do: one line for all, or a line for each tier with the highest always first. */
export function createPlain(kind: 'fifo' | 'priority', slots: number, capacity: number): Discipline {
  const lanes: Arrival[][] = (kind === 'fifo' ? ['all'] : tiers).map(() => [])
  const rankOf = ({ tier }: Arrival): number => (kind === 'fifo' ? 0 : tierTerms[tier].rank)
  let free = slots
  let waiting = 0
  return {
    arrive: (arrival) => {
      const { id } = arrival
      if (free > 0) {
        free--
        return [{ type: 'started', id }]
      }
      const said: Said[] = []
      const rank = rankOf(arrival)
      if (waiting >= capacity) {
        const lowest = lanes.findLastIndex((lane) => lane.length > 0)
        const displaced = lowest > rank ? lanes[lowest]?.pop() : undefined
        if (displaced === undefined) return [{ type: 'refused', id }]
        waiting--
        said.push({ type: 'displaced', id: displaced.id })
      }
      lanes[rank]?.push(arrival)
      waiting++
      return said
    },
    leave: (arrival) => {
      const lane = lanes[rankOf(arrival)]
      const at = lane?.indexOf(arrival) ?? -1
      if (at >= 0) waiting--
      if (at >= 0) lane?.splice(at, 1)
      return at >= 0
    },
    finish: () => {
      const next = lanes.find((lane) => lane.length > 0)?.shift()
      if (next === undefined) {
        free++
        return []
      }
      waiting--
      return [{ type: 'started', id: next.id }]
    },
  }
}

/** The value below which this part of the values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** 1 when all have the same, 1/n when one has everything. */
export function jain(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0)
  const squares = values.reduce((total, value) => total + value * value, 0)
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares)
}

/** How far promises were off, as (actual − promised) / actual, of those who had to wait. */
export function etaErrors(outcomes: readonly Outcome[]): number[] {
  return outcomes
    .filter(({ end, position }) => end === 'served' && position > 0)
    .map(({ etaMs, actualMs }) => (actualMs - etaMs) / actualMs)
}
