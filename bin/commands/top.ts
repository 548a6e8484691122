import { Option } from 'commander'
import { requireRunningNode } from '../../runtime/control/index.ts'
import { QMeshError, toErrorReport } from '../../runtime/error-report.ts'
import { exitCodes } from '../../runtime/exit-codes.ts'
import type { AddCommand } from '../command.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { addConfigFlags, loadCommandConfig, toNumber } from '../options.ts'
import { output } from '../output.ts'
import { watchNode } from '../top/look.ts'
import { createScreenView, jsonView, summaryView, wholeView, type TopView } from '../top/views.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node top                        on a terminal; q leaves it
  qmesh-node top --once                 all of it, once
  qmesh-node top --every 60 >> node.log
  qmesh-node top --json | jq .tokensPerSecond

It shows the running node, the workers it knows, and what it asks and asked: which worker has it, how fast it comes,
and how often it moved. "in" are tokens of answers to this machine's questions, "out" those that it generated.
Without a terminal it prints a line each time.`

interface Flags {
  readonly once?: boolean
  readonly json?: boolean
  readonly every: string
}

export const addTop: AddCommand = (program, exit) => {
  const command = program
    .command('top')
    .description('watch the running node, its workers and its requests')
    .addOption(new Option('--once', 'print what there is to see now, and end').conflicts('every'))
    .option('--every <seconds>', 'time between two looks', '1')
    .option('--json', 'print each look as a JSON document on one line')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (flags: Flags) => {
    const everyMs = (toNumber('--every', flags.every, 0.1, 86_400) ?? 1) * 1_000
    const { config } = await loadCommandConfig(command, keys)
    const node = await requireRunningNode(config.dataDir)
    const interrupt = listenForInterrupt()
    const quit = new AbortController()
    let quitCode: number | undefined
    const view = createView(flags, (key) => {
      quitCode = key === 'q' ? exitCodes.ok.code : exitCodes.interrupted.code
      quit.abort()
    })
    // At once: whatever the loop waits for, the terminal is given back first.
    interrupt.signal.addEventListener('abort', () => view.close())
    try {
      for await (const look of watchNode(node, everyMs, AbortSignal.any([interrupt.signal, quit.signal]))) {
        await view.show(look)
        if (flags.once) return
      }
    } catch (error) {
      view.close()
      const code = interrupt.exitCode ?? quitCode
      if (code !== undefined) return exit(code)
      if (!flags.json || !(error instanceof QMeshError)) throw error
      exit(await reportLine(error))
    } finally {
      view.close()
      interrupt.dispose()
    }
  })
}

function createView({ once, json }: Flags, onQuit: Parameters<typeof createScreenView>[1]): TopView {
  if (json) return jsonView
  if (once) return wholeView
  const { stdin, stdout } = process
  // A terminal that does not say how large it is cannot be drawn on.
  const isDrawn = stdout.isTTY && stdout.columns > 0 && stdout.rows > 0 && process.env['TERM'] !== 'dumb'
  return isDrawn ? createScreenView({ input: stdin, output: stdout }, onQuit) : summaryView
}

/** A failure in the midst of lines is a line, too. */
async function reportLine(error: QMeshError): Promise<number> {
  const { code, message, exitCode } = toErrorReport(error)
  process.stderr.write(`error ${code}: ${message}\n`)
  await output.jsonLine({ error: { code, message } })
  return exitCode
}
