import {
  createArrivals,
  createPlain,
  createReal,
  jain,
  type Outcome,
  quantile,
  simulate,
} from '../machines/scheduling/simulation.ts'
import { headStartMsMax, tiers, type Tier } from '../../machines/scheduling/tiers.ts'

export const loads = [0.5, 1, 2] as const
export const disciplines = ['QMesh', 'FIFO', 'strict priority'] as const
export type DisciplineName = (typeof disciplines)[number]

const seeds = [1, 2, 3]
const worker = { slots: 4, capacity: 100 }
/** Few have given much. */
const mix = [1, 1, 2, 3, 5, 12]

export interface TierFigures {
  readonly load: number
  readonly discipline: DisciplineName
  readonly tier: Tier
  /** Milliseconds in the queue of those served. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all that asked. */
  readonly servedShare: number
}

export interface Fairness {
  readonly tiers: readonly TierFigures[]
  /** Jain's index of the share of its requests that each client had served. */
  readonly jain: readonly {
    readonly load: number
    readonly discipline: DisciplineName
    readonly index: number
  }[]
}

const create = {
  QMesh: () => createReal(worker.slots, worker.capacity),
  FIFO: () => createPlain('fifo', worker.slots, worker.capacity),
  'strict priority': () => createPlain('priority', worker.slots, worker.capacity),
} as const

function servedByClient(outcomes: readonly Outcome[]): number[] {
  const clients = new Map<string, { asked: number; served: number }>()
  for (const { arrival, end } of outcomes) {
    const client = clients.get(arrival.clientId) ?? { asked: 0, served: 0 }
    client.asked++
    if (end === 'served') client.served++
    clients.set(arrival.clientId, client)
  }
  return [...clients.values()].map(({ asked, served }) => served / asked)
}

export interface Gain {
  readonly score: number
  /** Milliseconds that its requests go ahead of a newcomer's. */
  readonly headStartMs: number
  /** Milliseconds, at the median: by how much more than a newcomer's they are earlier than in a FIFO, or less late. */
  readonly gainMs: number
  readonly requests: number
}

/** What points are worth at full load: each request's wait against its own in a FIFO with the same arrivals. */
export function measureGains(scores: readonly number[]): Gain[] {
  const earlier = seeds.flatMap((seed) => {
    const arrivals = createArrivals({ seed, load: 1, requests: 6_000, mix, slots: worker.slots })
    const inFifo = simulate(arrivals, create.FIFO())
    return simulate(arrivals, create.QMesh()).flatMap(({ arrival: { score, waitMs }, ...own }, index) => {
      const other = inFifo[index]
      // Where there was no queue worth the name, no head start could be used.
      const isToCompare = own.end === 'served' && other?.end === 'served' && other.waitMs >= headStartMsMax
      return isToCompare ? [{ score, waitMs, byMs: other.waitMs - own.waitMs }] : []
    })
  })
  const of = (score: number) => earlier.filter((one) => one.score === score)
  const medianOf = (score: number): number =>
    quantile(
      of(score).map(({ byMs }) => byMs),
      0.5,
    )
  return scores.map((score) => ({
    score,
    headStartMs: headStartMsMax - (of(score)[0]?.waitMs ?? 0),
    gainMs: medianOf(score) - medianOf(0),
    requests: of(score).length,
  }))
}

/** The same arrivals through our scheduler, a FIFO and strict priority; simulated, so it is the same everywhere. */
export function measureFairness(): Fairness {
  const figures: TierFigures[] = []
  const indexes: Fairness['jain'][number][] = []
  for (const load of loads) {
    for (const discipline of disciplines) {
      const histories = seeds.map((seed) =>
        simulate(
          createArrivals({ seed, load, requests: 6_000, mix, slots: worker.slots }),
          create[discipline](),
        ),
      )
      const shares = histories.map((outcomes) => jain(servedByClient(outcomes)))
      const index = shares.reduce((sum, one) => sum + one, 0) / shares.length
      indexes.push({ load, discipline, index })
      for (const tier of tiers) {
        const asked = histories.flat().filter(({ arrival }) => arrival.tier === tier)
        const waits = asked.filter(({ end }) => end === 'served').map(({ waitMs }) => waitMs)
        figures.push({
          load,
          discipline,
          tier,
          p50Ms: quantile(waits, 0.5),
          p99Ms: quantile(waits, 0.99),
          servedShare: waits.length / asked.length,
        })
      }
    }
  }
  return { tiers: figures, jain: indexes }
}
