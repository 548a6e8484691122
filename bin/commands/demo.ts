import { randomInt } from 'node:crypto'
import { exitCodes } from '../../runtime/exit-codes.ts'
import type { DemoView } from '../../runtime/demo/index.ts'
import type { AddCommand } from '../command.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { toInteger } from '../options.ts'
import { note, output, toOutputFailure } from '../output.ts'

const about = `
No configuration, no model and no network is needed: a bootstrap, three workers in processes of their own and four
clients meet on the loopback interface, in a folder that is removed at the end. One worker is slow; one says that it
is always idle, takes every question and answers none; one is ended by kill -9 in the middle of an answer. The small
built-in model is slowed to reading speed.

It ends with what was promised and what was measured; the exit code is 1 if a promise was broken. What it cannot show:
a worker that answers with wrong words in good order is not caught, because nothing proves yet which model ran.

Examples:
  qmesh-node demo
  qmesh-node demo --json | jq .promises`

const seedMax = 2 ** 32 - 1

export const addDemo: AddCommand = (program, exit) => {
  program
    .command('demo')
    .description('show a mesh on this machine: queues, a cheat, and a worker that dies in mid-answer')
    .option('--seed <number>', 'ask the same questions as the run that printed this seed')
    .option('--json', 'print the summary as one JSON document')
    .addHelpText('after', about)
    .action(async (flags: { seed?: string; json?: boolean }) => {
      const seed = toInteger('--seed', flags.seed, 0, seedMax) ?? randomInt(seedMax)
      const interrupt = listenForInterrupt()
      const unread = new AbortController()
      process.stdout.once('error', (error) => unread.abort(toOutputFailure(error)))
      try {
        const { runDemo } = await import('../../runtime/demo/index.ts')
        const view = await createView(flags.json ?? false)
        const signal = AbortSignal.any([interrupt.signal, unread.signal])
        const { summary, lines } = await runDemo({ seed, view, signal })
        if (flags.json) await output.json(summary)
        else await output.line(`\n${lines.join('\n')}`)
        if (summary.isKept) return
        note('a promise was broken')
        exit(exitCodes.failure.code)
      } catch (error) {
        if (unread.signal.aborted) throw unread.signal.reason
        if (interrupt.exitCode === undefined) throw error
        exit(interrupt.exitCode)
      } finally {
        interrupt.dispose()
      }
    })
}

async function createView(isJson: boolean): Promise<DemoView> {
  const { createLinesView, createScreenView, quietView } = await import('../../runtime/demo/index.ts')
  if (isJson) return quietView
  const { stdout } = process
  const write = (text: string): void => void stdout.write(text)
  // A terminal that does not say how large it is cannot be drawn on.
  if (!stdout.isTTY || !(stdout.columns > 0) || process.env['TERM'] === 'dumb') return createLinesView(write)
  return createScreenView({
    write,
    get columns() {
      return stdout.columns
    },
    get rows() {
      return stdout.rows
    },
  })
}
