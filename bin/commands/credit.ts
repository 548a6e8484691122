import { requireRunningNode } from '../../runtime/control/index.ts'
import type { AddCommand } from '../command.ts'
import { historyRows } from '../history-rows.ts'
import { addConfigFlags, loadCommandConfig, toInteger } from '../options.ts'
import { output } from '../output.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node credit
  qmesh-node credit --last 100 --json | jq .balance

Answers given to others earn credits, answers taken cost them. A newcomer may go a little below zero; who has none left
is still served, but as a newcomer: the score keeps its head start for those who pay.`

export const addCredit: AddCommand = (program) => {
  const command = program
    .command('credit')
    .description('show what this node earned, what it paid, and what it may spend')
    .option('--last <number>', 'entries of the log to show', '10')
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (flags: { json?: boolean; last: string }) => {
    const last = toInteger('--last', flags.last, 1, 10_000)
    const { config } = await loadCommandConfig(command, keys)
    const credit = await (await requireRunningNode(config.dataDir)).credit(last)
    if (flags.json) return output.json(credit)
    const amounts: readonly (readonly [string, number])[] = [
      ['balance', credit.balance],
      ['may go down to', -credit.line],
      ['may promise now', credit.available],
      ['earned', credit.earned],
      ['of that not to be spent yet', credit.pending],
      ['paid', credit.paid],
      ['of that burned', credit.burned],
    ]
    await output.table([['account', credit.id], ...amounts.map(([what, value]) => [what, value.toFixed(3)])])
    if (credit.entries.length > 0) await output.table([[''], ...historyRows(credit.entries)])
  })
}
