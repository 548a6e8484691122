import { tiers } from '../../machines/scheduling/tiers.ts'
import type { BenchRow } from './bench-row.ts'
import { type DisciplineName, loads, measureFairness } from './fairness-runs.ts'

/** Who waits how long, and who is served at all, against a FIFO and strict priority on the same simulated arrivals. */
export async function run(): Promise<BenchRow[]> {
  const fairness = measureFairness()
  const rows: BenchRow[] = []
  const add = (what: string, unit: string, of: (discipline: DisciplineName) => number): void => {
    const ours = of('QMesh')
    const value = of('FIFO')
    const priority = Number(of('strict priority').toPrecision(3))
    rows.push({ what, ours, unit, peer: { name: 'FIFO', value }, note: `strict priority: ${priority}` })
  }
  for (const load of loads) {
    const ofTier = (tier: string, discipline: DisciplineName) => {
      const found = fairness.tiers.find(
        (one) => one.load === load && one.tier === tier && one.discipline === discipline,
      )
      if (!found) throw new Error(`nothing was measured for ${tier} and ${discipline}`)
      return found
    }
    add(`${load}× load, Jain's index of served shares`, '', (discipline) => {
      const found = fairness.jain.find((one) => one.load === load && one.discipline === discipline)
      return found?.index ?? Number.NaN
    })
    for (const tier of tiers) {
      add(`${load}× load, ${tier}: wait p50`, 's', (discipline) => ofTier(tier, discipline).p50Ms / 1_000)
      add(`${load}× load, ${tier}: wait p99`, 's', (discipline) => ofTier(tier, discipline).p99Ms / 1_000)
      if (load <= 1) continue
      add(`${load}× load, ${tier}: served`, '%', (discipline) => ofTier(tier, discipline).servedShare * 100)
    }
  }
  return rows
}
