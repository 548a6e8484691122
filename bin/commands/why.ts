import { Option } from 'commander'
import { requireRunningNode } from '../../runtime/control/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import type { RequestSummary } from '../../runtime/index.ts'
import type { AddCommand } from '../command.ts'
import { explanationLines } from '../explanation-lines.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'
import { modelCell, tokensCell } from '../request-cells.ts'
import { short } from '../stream-answer.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node why                        the latest request
  qmesh-node why 3f2a9c                 the one whose id begins so
  qmesh-node why --list
  qmesh-node why --replay --json | jq .attempts[].choice.isReproduced

It explains what this machine's running node asked for: who was chosen among whom and by which numbers, and how each
try ended. The node keeps its latest requests in memory. For a question without a running node: "qmesh-node ask --why".`

interface Flags {
  readonly json?: boolean
  readonly list?: boolean
  readonly replay?: boolean
}

export const addWhy: AddCommand = (program) => {
  const command = program
    .command('why')
    .description('explain why a request went where it went')
    .argument('[request-id]', 'the id of the request or its beginning; the latest one if left out')
    .addOption(new Option('--list', 'list the requests that are remembered').conflicts('replay'))
    .option('--replay', 'make each choice again and say whether it comes out the same')
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (requestId: string | undefined, flags: Flags) => {
    if (flags.list && requestId !== undefined) {
      throw new QMeshError('QM_USAGE', '--list lists all requests: leave the id out')
    }
    if (requestId !== undefined && !/^[0-9a-f]{1,64}$/i.test(requestId)) {
      throw new QMeshError(
        'QM_USAGE',
        `an id of a request has hex characters only, but this is "${requestId}"`,
      )
    }
    const { config } = await loadCommandConfig(command, keys)
    const node = await requireRunningNode(config.dataDir)
    if (flags.list) {
      const requests = await node.requests()
      return flags.json ? output.json(requests) : printList(requests)
    }
    const why = await node.why(requestId, { replay: flags.replay })
    return flags.json ? output.json(why) : output.line(explanationLines(why).join('\n'))
  })
}

async function printList(requests: readonly RequestSummary[]): Promise<void> {
  if (requests.length === 0) return note('this node has asked nothing since it started')
  await output.table([
    ['REQUEST', 'ASKED', 'MODEL', 'STATE', 'TRIES', 'HANDOVERS', 'TOKENS', 'TOOK'],
    ...requests.map((request) => [
      short(request.requestId),
      request.askedAt.replace('T', ' ').slice(0, 19),
      modelCell(request),
      request.code ?? request.state,
      String(request.tries),
      String(request.handovers),
      tokensCell(request),
      request.totalMs === undefined ? '–' : `${Math.round(request.totalMs)} ms`,
    ]),
  ])
}
