import {
  createArrivals,
  createPlain,
  createReal,
  jain,
  type Outcome,
  quantile,
  simulate,
} from '../machines/scheduling/simulation.ts'
import { tiers, type Tier } from '../../machines/scheduling/tiers.ts'

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
