import { tiers } from '../../machines/scheduling/tiers.ts'
import { disciplines, loads, measureFairness, measureGains } from './fairness-runs.ts'
import { writePlot } from './plot.ts'
import { calibrate } from './scheduler-eta.ts'

// `npx tsx test/bench/fairness-plots.ts`: draws the plots of docs/SCHEDULING.md and prints its tables.

const fairness = measureFairness()
const seconds = (ms: number): number => Math.round(ms) / 1_000
await writePlot('wait-per-tier', {
  data: {
    values: fairness.tiers.map(({ load, discipline, tier, p50Ms, p99Ms }) => ({
      load: `${load}× load`,
      discipline,
      tier,
      p50: seconds(p50Ms),
      p99: seconds(p99Ms),
    })),
  },
  facet: { column: { field: 'load', title: null } },
  spec: {
    width: 220,
    height: 220,
    encoding: {
      x: { field: 'tier', sort: [...tiers], title: null },
      xOffset: { field: 'discipline', sort: [...disciplines] },
      color: { field: 'discipline', type: 'nominal', sort: [...disciplines], title: null },
    },
    layer: [
      {
        mark: { type: 'rule', strokeWidth: 3, opacity: 0.5 },
        encoding: {
          y: {
            field: 'p50',
            type: 'quantitative',
            scale: { type: 'symlog' },
            axis: { values: [0, 1, 3, 10, 30, 100, 300, 1_000] },
            title: 'wait of those served, s',
          },
          y2: { field: 'p99' },
        },
      },
      {
        mark: { type: 'point', filled: true, size: 40 },
        encoding: { y: { field: 'p50', type: 'quantitative' } },
      },
    ],
  },
})

const calibrations = [1, 4, 8].flatMap((slots) => [0.8, 1, 1.5, 2].map((load) => calibrate(slots, load)))
const percent = (part: number): number => Math.round(part * 1_000) / 10
await writePlot('eta-calibration', {
  data: {
    values: calibrations.map(({ slots, load, p10, p50, p90 }) => ({
      load: `${load}×`,
      slots: slots === 1 ? '1 slot' : `${slots} slots`,
      p10: percent(p10),
      p50: percent(p50),
      p90: percent(p90),
    })),
  },
  width: 420,
  height: 220,
  encoding: {
    x: { field: 'load', title: 'load', sort: null, axis: { labelAngle: 0 } },
    xOffset: { field: 'slots' },
    color: { field: 'slots', title: null },
  },
  layer: [
    {
      mark: { type: 'rule', strokeWidth: 3, opacity: 0.5 },
      encoding: {
        y: {
          field: 'p10',
          type: 'quantitative',
          title: '% of the actual wait',
        },
        y2: { field: 'p90' },
      },
    },
    {
      mark: { type: 'point', filled: true, size: 50 },
      encoding: { y: { field: 'p50', type: 'quantitative' } },
    },
  ],
})

const table = (head: string, lines: readonly string[]): string =>
  `${head}\n${head.replaceAll(/[^|]+/g, ' - ')}\n${lines.join('\n')}\n\n`
for (const load of loads) {
  const cell = (ms: number): string => (ms / 1_000).toFixed(1)
  const lines = tiers.map((tier) => {
    const cells = disciplines.map((discipline) => {
      const one = fairness.tiers.find(
        (figures) => figures.load === load && figures.tier === tier && figures.discipline === discipline,
      )
      return one ? `${cell(one.p50Ms)} / ${cell(one.p99Ms)} s, ${Math.round(one.servedShare * 100)} %` : ''
    })
    return `| ${tier} | ${cells.join(' | ')} |`
  })
  const indexes = fairness.jain.filter((one) => one.load === load).map(({ index }) => index.toFixed(3))
  lines.push(`| Jain's index | ${indexes.join(' | ')} |`)
  process.stdout.write(table(`| ${load}× load | ${disciplines.join(' | ')} |`, lines))
}
process.stdout.write(
  table(
    '| points | head start | waits less than a newcomer | requests |',
    measureGains([10, 30, 50, 90, 100, 300, 500, 1_000]).map(
      ({ score, headStartMs, gainMs, requests }) =>
        `| ${score.toLocaleString('en')} | ${(headStartMs / 1_000).toFixed(1)} s | ${(gainMs / 1_000).toFixed(1)} s | ${requests} |`,
    ),
  ),
)
process.stdout.write(
  table(
    '| slots | load | promises | p10 | p50 | p90 | within ±25 % | within ±50 % |',
    calibrations.map(
      ({ slots, load, promises, p10, p50, p90, within25, within50 }) =>
        `| ${slots} | ${load}× | ${promises.toLocaleString('en')} | ${[p10, p50, p90, within25, within50].map((part) => `${Math.round(part * 100)} %`).join(' | ')} |`,
    ),
  ),
)
