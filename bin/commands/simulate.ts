import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { QMeshError } from '../../runtime/error-report.ts'
import type { SimulationOptions, SimulationResult } from '../../runtime/simulator/index.ts'
import type { AddCommand } from '../command.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { toInteger, toNumber } from '../options.ts'
import { note, output } from '../output.ts'
import { createSpinner } from '../spinner.ts'

const examples = `
Runs the rules of receipts, scores, bans and tiers over a virtual clock and network, with nodes that break them. The same
flags give the same report, byte by byte. Nothing is sent anywhere. --suite tries everything that docs/SIMULATION.md
reports; that takes some minutes. Targets that were missed are in the report and are no failure of the command.

Strategies: invented-scores, one-sided-receipts, replayed-receipts, double-spending, forks, flooding, black-holes;
partition, churn, sybil-clients, wash-trading.

Examples:
  qmesh-node simulate
  qmesh-node simulate --nodes 10,100,1000 --seed 7
  qmesh-node simulate --nodes 30 --strategy forks,double-spending --misbehaving 0.4
  qmesh-node simulate --suite --out report
  qmesh-node simulate --nodes 30 --json | jq .claims`

interface Flags {
  readonly nodes?: string
  readonly rounds?: string
  readonly seed?: string
  readonly seeds?: string
  readonly misbehaving?: string
  readonly strategy?: string
  readonly suite?: boolean
  readonly out?: string
  readonly json?: boolean
  readonly realCrypto?: boolean
}

export const addSimulate: AddCommand = (program, exit) => {
  program
    .command('simulate')
    .description('try the rules of trust on a mesh that exists in memory only')
    .option(
      '--nodes <list>',
      'nodes, 10 to 10000, one run each (default: 100; with --suite 10,30,100,300,1000)',
    )
    .option('--misbehaving <share>', 'part of the nodes that misbehave, 0 to 0.4 (default: 0.3)')
    .option('--strategy <names>', 'what they do, separated by commas (default: all seven ways of a node)')
    .option('--rounds <number>', 'rounds of dealing before all rest, 4 to 120 (default: 6)')
    .option('--seed <number>', 'what chance depends on (default: 1)')
    .option('--seeds <number>', 'runs of each kind up to 300 nodes, with the seeds that follow (default: 1)')
    .option('--suite', 'everything: also rounds alone, partition, churn, calm, load, Sybils and rings')
    .option('--real-crypto', 'real signatures, up to 100 nodes')
    .option('--out <folder>', 'write report.md and result.json there')
    .option('--json', 'print everything as one JSON document')
    .addHelpText('after', examples)
    .action(async (flags: Flags) => {
      // Loaded here: no other command needs it.
      const simulator = await import('../../runtime/simulator/index.ts')
      const options = toOptions(flags, simulator)
      const interrupt = listenForInterrupt()
      const spinner = createSpinner('simulating')
      let result: SimulationResult
      try {
        const { signal } = interrupt
        result = await simulator.simulate(options, { signal, progress: (text) => spinner.text(text) })
      } catch (error) {
        if (interrupt.exitCode === undefined) throw error
        return exit(interrupt.exitCode)
      } finally {
        spinner.stop()
        interrupt.dispose()
      }
      const claims = simulator.toTargets(result)
      const report = `# Simulation\n\n${simulator.toReport(result)}\n`
      if (flags.out !== undefined) await writeReport(flags.out, report, { claims, ...result })
      if (flags.json) return output.json({ claims, ...result })
      if (flags.out === undefined) return output.line(report)
      await output.table(
        claims
          .filter(({ verdict }) => verdict !== 'none')
          .map(({ claim, target, measured, verdict }) => [verdict, claim, target, measured]),
      )
    })
}

type Simulator = typeof import('../../runtime/simulator/index.ts')

function toOptions(flags: Flags, simulator: Simulator): SimulationOptions {
  const { defaultOptions: defaults, simulationLimits: its } = simulator
  const isSuite = flags.suite ?? false
  const nodes = flags.nodes
    ?.split(',')
    .map((text) => toInteger('--nodes', text, its.nodesMin, its.nodesMax) ?? its.nodesMin)
  return {
    isSuite,
    nodes: nodes ?? (isSuite ? simulator.suiteNodes : defaults.nodes),
    rounds: toInteger('--rounds', flags.rounds, its.roundsMin, its.roundsMax) ?? defaults.rounds,
    seed: toInteger('--seed', flags.seed, 0, its.seedMax) ?? defaults.seed,
    seeds: toInteger('--seeds', flags.seeds, 1, its.seedsMax) ?? defaults.seeds,
    misbehaving: toNumber('--misbehaving', flags.misbehaving, 0, its.misbehavingMax) ?? defaults.misbehaving,
    strategies:
      flags.strategy === undefined ? defaults.strategies : simulator.toStrategies(flags.strategy.split(',')),
    hasRealCrypto: flags.realCrypto ?? false,
  }
}

async function writeReport(folder: string, report: string, result: object): Promise<void> {
  const path = resolve(folder)
  try {
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'report.md'), report)
    await writeFile(join(path, 'result.json'), `${JSON.stringify(result, undefined, 2)}\n`)
  } catch (error) {
    const { message } = error as Error
    throw new QMeshError('QM_USAGE', `the report cannot be written to ${folder}: ${message}`, {
      cause: error,
    })
  }
  note(`written: ${join(folder, 'report.md')} and ${join(folder, 'result.json')}`)
}
