import { requireRunningNode } from '../../runtime/control/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import type { ScoreReport } from '../../runtime/index.ts'
import type { AddCommand } from '../command.ts'
import { toWorth } from '../head-start.ts'
import { historyRows } from '../history-rows.ts'
import { addConfigFlags, loadCommandConfig, toInteger } from '../options.ts'
import { output } from '../output.ts'
import { short } from '../stream-answer.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node why-score                  this node
  qmesh-node why-score 3f2a9c           the account whose id begins so
  qmesh-node why-score --last 1000 --json | jq .entries

Every point comes from a receipt in the account's log, signed by its worker and its client.`

interface Flags {
  readonly json?: boolean
  readonly last: string
}

export const addWhyScore: AddCommand = (program) => {
  const command = program
    .command('why-score')
    .description("explain where an account's score comes from")
    .argument('[id]', "the account's id or its beginning; this node if left out")
    .option('--last <number>', 'entries of its log to show', '20')
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (id: string | undefined, flags: Flags) => {
    const last = toInteger('--last', flags.last, 1, 10_000)
    if (id !== undefined && !/^[0-9a-f]{1,64}$/i.test(id)) {
      throw new QMeshError('QM_USAGE', `an id has hex characters only, but this is "${id}"`)
    }
    const { config } = await loadCommandConfig(command, keys)
    const report = await (await requireRunningNode(config.dataDir)).whyScore(id?.toLowerCase(), last)
    return flags.json ? output.json(report) : print(report)
  })
}

async function print(report: ScoreReport): Promise<void> {
  const { counts, funded, unfunded, achievements } = report
  await output.table([
    ['account', report.id],
    ...(report.name === undefined ? [] : [['name', `${report.name} (chosen by its owner)`]]),
    ...(report.banned === undefined ? [] : [['banned', report.banned]]),
    ['score', `${report.score} points, ${report.tier}: ${toWorth(report)}`],
    [
      'log',
      `${report.read} of ${report.length} entries read${report.isAhead ? '; it is dated in the future' : ''}`,
    ],
    [
      'answers',
      `${counts.counted} count, ${counts.pending} are not final yet, ${counts.void} are void, ${counts.expired} are too old`,
    ],
    [
      'paid by earnings',
      `${funded.raw} points, ${funded.counted} under the cap of ${funded.clientCap} a client`,
    ],
    [
      'by newcomers',
      `${unfunded.raw} points, ${unfunded.counted} under the cap of ${unfunded.clientCap} a client${
        report.unfundedCap === undefined ? '' : `, at most ${report.unfundedCap} together`
      }`,
    ],
    ...achievements.map(({ id, why, points }) => ['achievement', `${id}: ${why} ${points} points`]),
    ['all together', `${report.raw} points, of which ${Math.round(report.escrow * 100)} % count`],
    ...(report.witnesses
      ? [
          [
            'witnesses',
            `${report.witnesses.asked} asked, ${report.witnesses.answered} answered, ${report.witnesses.agreed} computed the same from the same`,
          ],
        ]
      : []),
    ...(report.standing
      ? [
          [
            'answers gossip',
            `in ${report.standing.latencyMs} ms, ${Math.round(report.standing.availability * 100)} % of the time, by ${report.standing.reporters} nodes`,
          ],
        ]
      : []),
    ...report.faults.map(({ index, code, why }) => ['fault', `entry ${index}: ${code}: ${why}`]),
  ])
  if (report.clients.length > 0) {
    await output.table([
      [''],
      ['CLIENT', 'NAME', 'ANSWERS', 'POINTS', 'COUNTED'],
      ...report.clients
        .slice(0, 20)
        .map(({ id, name, receipts, raw, counted }) => [
          short(id),
          name ?? '–',
          String(receipts),
          raw.toFixed(2),
          counted.toFixed(2),
        ]),
    ])
  }
  if (report.entries.length > 0) await output.table([[''], ...historyRows(report.entries)])
}
