import { demands, loadTerms } from './load-terms.ts'
import { networkTerms } from './network.ts'
import { restRoundsMax } from './run.ts'
import { churnShare, type SimulationResult } from './suite.ts'
import {
  toCalmTable,
  toCircleTable,
  toLoadTable,
  toRunTable,
  toStrategyTable,
  toSybilTable,
  toTable,
} from './tables.ts'
import { toTargets } from './targets.ts'

/** Pictures of a report, by what they show. */
export type ReportPlots = Readonly<Partial<Record<'rounds' | 'bytes' | 'load', string>>>

/** The sections of a report as Markdown: every number in it comes from the runs, and the same runs give the same text. */
export function toReport(result: SimulationResult, plots: ReportPlots = {}): string {
  const plot = (path: string | undefined, text: string): string[] => (path ? [`![${text}](${path})`] : [])
  const section = (rows: readonly unknown[], title: string, ...parts: string[]): string[] =>
    rows.length === 0 ? [] : [`## ${title}`, ...parts]
  const runs = [...result.mixed, ...result.roundsOnly]
  return [
    `Written by \`${toCommand(result)}\`. ${toConditions(result)}`,
    '## Claims',
    toTable(
      ['claim', 'target', 'measured', 'verdict'],
      toTargets(result)
        .filter(({ verdict }) => result.options.isSuite || verdict !== 'none')
        .map(({ claim, target, measured, verdict }) => [
          claim,
          target,
          measured,
          verdict === 'none' ? '–' : verdict,
        ]),
    ),
    ...section(
      runs,
      'Agreement',
      ...plot(plots.rounds, 'Rounds until all honest nodes hold the same'),
      'Rounds after the last round of dealing until every honest node has the same table of log lengths and tree ' +
        'hashes, the same bans, and has read every log to its end. "At once" is the gossip of the product, with all ' +
        'chosen ways of misbehaving in turn; "rounds alone" tells nothing at once, and the misbehaving answer nobody. ' +
        'Rates are bytes that a node sends in a second of the whole run, floods included, while all logs are young.',
      toRunTable([
        ['at once', result.mixed],
        ['rounds alone', result.roundsOnly],
      ]),
    ),
    ...section(
      result.mixed,
      'All ways of misbehaving at once',
      'Rounds go from the misdeed to the ban by the last honest node. "Links left" are connections between these and ' +
        'honest nodes at the end. Flooders and black holes leave no proof. An invented score is refuted only by who ' +
        'computes from the very same inputs, so not everybody bans who stated one, and nobody believes it.',
      toStrategyTable(result.mixed),
    ),
    ...section(result.single, 'One way at a time', toStrategyTable(result.single.map((one) => one.result))),
    ...section(
      [...result.partition, ...result.churn],
      'Partition and churn',
      `Two halves that deal and hear nothing of each other; and ${100 * churnShare} % of the nodes leaving in each ` +
        'round, to come back one to five rounds later. Rounds count from when all are there again; the misbehaving ' +
        'are black holes.',
      toRunTable([
        ['partition', result.partition],
        ['churn', result.churn],
      ]),
    ),
    ...section(
      result.calm,
      'Bytes in calm',
      ...plot(plots.bytes, 'Bytes of gossip per node and second in calm'),
      'Nobody misbehaves and logs are mature. Logs are the receipts and payments of all accounts, which every node ' +
        'reads in full, computed from the bytes of one request.',
      toCalmTable(result),
    ),
    ...section(
      result.load,
      'Waiting under load',
      ...plot(plots.load, 'Waits of those that served and of those that only ask'),
      `${loadTerms.givers} nodes answer and ask, as many others only ask as make up the load; persons ask every ` +
        `${demands.person} minutes, programs every ${60 * demands.program} seconds. Tiers are earned by receipts for ` +
        `${loadTerms.warmUpMinutes} minutes, then ${loadTerms.measuredMinutes} minutes count. Waits are from asking ` +
        'to a slot, of what was answered. "Asked as" are the tiers of the requests: who cannot pay is served as a newcomer.',
      toLoadTable(result),
    ),
    ...section(
      result.pumped,
      'Sybil clients',
      'Fresh accounts spend their newcomer’s line on one worker, and take one more answer for nothing. With the cap ' +
        'means: unfunded clients together count little, and audits enough that nothing of the score is held back.',
      toSybilTable(result),
    ),
    ...section(
      result.circles,
      'Wash trading',
      'Accounts that serve each other only, with real answers, 20 a day for 20 days. Balances with everything vested.',
      toCircleTable(result),
    ),
  ].join('\n\n')
}

function toConditions({ options }: SimulationResult): string {
  const { latencyMedianMs, loss } = networkTerms
  return [
    options.hasRealCrypto ? 'Ed25519 signatures.' : 'Signatures are modelled by a keyed hash.',
    `One way takes ${latencyMedianMs} ms at the median (log-normal); ${100 * loss} % of the messages are lost.`,
    `Rounds and epochs of 60 seconds: ${options.rounds} of dealing, then rest until all honest nodes hold the same,`,
    `at most ${restRoundsMax}.`,
  ].join(' ')
}

function toCommand({ options }: SimulationResult): string {
  const { nodes, rounds, seed, seeds, misbehaving, strategies, hasRealCrypto, isSuite } = options
  return [
    `qmesh-node simulate${isSuite ? ' --suite' : ''}`,
    `--nodes ${nodes.join(',')} --rounds ${rounds} --seed ${seed} --seeds ${seeds} --misbehaving ${misbehaving}`,
    `--strategy ${strategies.join(',')}`,
    ...(hasRealCrypto ? ['--real-crypto'] : []),
  ].join(' ')
}
