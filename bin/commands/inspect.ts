import { requireRunningNode } from '../../runtime/control/index.ts'
import { fetchActorTree, toMachinesUrl } from '../../runtime/inspect/running-node.ts'
import type { AddCommand } from '../command.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { output } from '../output.ts'

const keys = ['dataDir', 'gatewayKeys'] as const

const examples = `
Examples:
  qmesh-node inspect                    the address of the page, for a browser
  qmesh-node inspect --json | jq '.actors[] | {name, value}'

The page shows every actor of the running node: its statechart with the current states lit, what happened and how long
it took, what it keeps in mind in safe form (no prompts, no keys), and the recent past, step by step. Nothing is observed
while nobody looks. With gatewayKeys the page asks for one; --json takes the first of the configuration.`

export const addInspect: AddCommand = (program) => {
  const command = program
    .command('inspect')
    .description('watch the statecharts of the running node in a browser')
    .option('--json', 'print its actors, once, as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (flags: { json?: boolean }) => {
    const { config } = await loadCommandConfig(command, keys)
    const { gateway } = await (await requireRunningNode(config.dataDir)).status()
    if (flags.json) return output.json(await fetchActorTree(gateway, config.gatewayKeys[0]))
    return output.line(toMachinesUrl(gateway))
  })
}
