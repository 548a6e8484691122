import { requireRunningNode } from '../../runtime/control/index.ts'
import type { ScoreRow } from '../../runtime/index.ts'
import type { AddCommand } from '../command.ts'
import { toSeconds } from '../head-start.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'
import { short } from '../stream-answer.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node scores
  qmesh-node scores --json | jq '.[] | select(.isSelf)'

Scores are computed by this machine's running node from the logs that it read: another node that read the same gets the
same numbers. A head start is how much earlier a newcomer has to come to go before a request that the account pays for. Names
are chosen by their owners and prove nothing; the id does. "qmesh-node why-score <id>" tells where a score comes from.`

export const addScores: AddCommand = (program) => {
  const command = program
    .command('scores')
    .description('show who has done how much for the mesh')
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (flags: { json?: boolean }) => {
    const { config } = await loadCommandConfig(command, keys)
    const scores = await (await requireRunningNode(config.dataDir)).scores()
    if (flags.json) return output.json(scores)
    if (scores.length === 0) return note('no account is known yet: one appears with its first answer')
    await output.table(
      [
        ['ACCOUNT', 'NAME', 'TIER', 'HEAD START', 'SCORE', 'ANSWERS', 'PAYMENTS', 'CREDIT', ''],
        ...scores.map(toCells),
      ],
      { isCut: true },
    )
  })
}

function toCells(row: ScoreRow): string[] {
  const remarks = [
    row.isSelf && 'this node',
    row.banned && `banned: ${row.banned}`,
    row.read < row.length && `${row.read} of ${row.length} entries read`,
  ]
  return [
    short(row.id),
    row.name ?? '–',
    row.banned ? '–' : row.tier,
    row.banned ? '–' : toSeconds(row.headStartMs),
    String(row.score),
    String(row.receipts),
    String(row.payments),
    row.balance.toFixed(2),
    remarks.filter(Boolean).join(', '),
  ]
}
