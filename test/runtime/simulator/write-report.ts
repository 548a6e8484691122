import { readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import {
  defaultOptions,
  simulate,
  type SimulationResult,
  suiteNodes,
  toReport,
} from '../../../runtime/simulator/index.ts'
import { writePlot } from '../../bench/plot.ts'

/**
 * `npm run simulate:report [result.json]`: runs the whole suite, or takes what `qmesh-node simulate --suite --out` wrote,
 * draws the plots, and puts the report into `docs/SIMULATION.md` below the line that says so.
 */
const [file] = process.argv.slice(2)
const result =
  file === undefined
    ? await simulate(
        { ...defaultOptions, nodes: suiteNodes, isSuite: true },
        { progress: (text) => void process.stderr.write(`${text}\n`) },
      )
    : (JSON.parse(readFileSync(file, 'utf8')) as SimulationResult)

const { mixed, roundsOnly, calm, load } = result
const nodes = { field: 'nodes', type: 'quantitative', scale: { type: 'log' } } as const
await writePlot('simulation-rounds', {
  data: {
    values: [
      ...mixed.map((run) => ({ gossip: 'told at once', nodes: run.nodes, rounds: run.roundsToEqual })),
      ...roundsOnly.map((run) => ({ gossip: 'rounds alone', nodes: run.nodes, rounds: run.roundsToEqual })),
    ],
  },
  width: 420,
  height: 220,
  mark: { type: 'line', point: true },
  encoding: {
    x: nodes,
    y: { field: 'rounds', type: 'quantitative', title: 'rounds until all honest nodes hold the same' },
    color: { field: 'gossip', type: 'nominal', title: null },
  },
})
await writePlot('simulation-bytes', {
  data: {
    values: calm.flatMap((one) => [
      { what: 'gossip', nodes: one.nodes, rate: one.gossipRate },
      { what: 'logs', nodes: one.nodes, rate: one.logRate },
    ]),
  },
  width: 420,
  height: 220,
  mark: { type: 'line', point: true },
  encoding: {
    x: nodes,
    y: {
      field: 'rate',
      type: 'quantitative',
      scale: { type: 'log' },
      title: 'bytes a node sends in a second',
    },
    color: { field: 'what', type: 'nominal', title: null },
  },
})
const seconds = (ms: number): number => Math.round(ms / 100) / 10
await writePlot('simulation-load', {
  data: {
    values: load.flatMap((one) =>
      (['served', 'onlyAsked'] as const).map((group) => ({
        run: `${one.load}×, ${one.demand}s, ${one.hasTiers ? 'earned tiers' : 'no tiers'}`,
        who: group === 'served' ? 'served' : 'only asked',
        p50: seconds(one[group].p50Ms),
        p99: seconds(one[group].p99Ms),
      })),
    ),
  },
  width: 420,
  height: 220,
  encoding: {
    x: { field: 'run', title: null, sort: null, axis: { labelAngle: -20 } },
    xOffset: { field: 'who', sort: ['served', 'only asked'] },
    color: { field: 'who', type: 'nominal', sort: ['served', 'only asked'], title: null },
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
          title: 'wait of those answered, p50 to p99, s',
        },
        y2: { field: 'p99' },
      },
    },
    {
      mark: { type: 'point', filled: true, size: 50 },
      encoding: { y: { field: 'p50', type: 'quantitative' } },
    },
  ],
})

const page = new URL('../../../docs/SIMULATION.md', import.meta.url)
const marker = '<!-- What follows is written by `npm run simulate:report`. -->'
const [head = '', rest] = readFileSync(page, 'utf8').split(marker)
if (rest === undefined) throw new Error(`docs/SIMULATION.md has no line ${marker}`)
const report = toReport(result, {
  rounds: 'plots/simulation-rounds.svg',
  bytes: 'plots/simulation-bytes.svg',
  load: 'plots/simulation-load.svg',
})
const options = await resolveConfig(page.pathname)
const text = `${head}${marker}\n\n${report}\n`
writeFileSync(page, await format(text, { ...options, filepath: page.pathname }))
