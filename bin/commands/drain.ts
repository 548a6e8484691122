import { setTimeout as sleep } from 'node:timers/promises'
import { requireRunningNode, type ControlPort } from '../../runtime/control/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import type { NodeStatus } from '../../runtime/index.ts'
import type { AddCommand } from '../command.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { addConfigFlags, loadCommandConfig, toNumber } from '../options.ts'
import { note, output } from '../output.ts'
import { pauseText } from '../pause-text.ts'
import { createSpinner } from '../spinner.ts'

const keys = ['dataDir'] as const

const drainExamples = `
Examples:
  qmesh-node drain
  qmesh-node drain --wait --timeout 600 && reboot
  qmesh-node drain --json | jq .queue.slotsBusy

Running answers go on: their clients move them to another worker, or they finish here. This machine's own questions are
answered as ever. "qmesh-node resume" takes it back, and so does a new start.`

const resumeExamples = `
Examples:
  qmesh-node resume

Quiet hours, a low battery and other programs' load go on pausing the node for as long as they last.`

interface DrainFlags {
  readonly json?: boolean
  readonly wait?: boolean
  readonly timeout?: string
}

export const addDrain: AddCommand = (program, exit) => {
  const command = program
    .command('drain')
    .description('take no more requests of others; what runs goes on')
    .option('--wait', 'return when nothing runs any more')
    .option('--timeout <seconds>', 'with --wait: fail after so long (default: 300)')
    .option('--json', 'print what the node is doing then as one JSON document')
    .addHelpText('after', drainExamples)
  addConfigFlags(command, keys).action(async (flags: DrainFlags) => {
    const timeoutMs = (toNumber('--timeout', flags.timeout, 0.1, 86_400) ?? 300) * 1_000
    if (flags.timeout !== undefined && !flags.wait) {
      throw new QMeshError('QM_USAGE', '--timeout says how long --wait waits: add --wait, or leave it out')
    }
    const { config } = await loadCommandConfig(command, keys)
    const node = await requireRunningNode(config.dataDir)
    const drained = await node.drain()
    if (!flags.wait) return print(drained, flags.json)
    const interrupt = listenForInterrupt()
    try {
      await print(await waitUntilIdle(node, drained, timeoutMs, interrupt.signal), flags.json)
    } catch (error) {
      if (interrupt.exitCode === undefined) throw error
      note('no longer waiting; the node stays drained')
      exit(interrupt.exitCode)
    } finally {
      interrupt.dispose()
    }
  })
}

export const addResume: AddCommand = (program) => {
  const command = program
    .command('resume')
    .description('take requests of others again after a drain')
    .option('--json', 'print what the node is doing then as one JSON document')
    .addHelpText('after', resumeExamples)
  addConfigFlags(command, keys).action(async (flags: { json?: boolean }) => {
    const { config } = await loadCommandConfig(command, keys)
    await print(await (await requireRunningNode(config.dataDir)).resume(), flags.json)
  })
}

/** Milliseconds between two looks. */
const lookMs = 200

const openOf = ({ queue }: NodeStatus): number => queue.slotsBusy + queue.length

/** @throws QMeshError `QM_DEADLINE_PASSED`; `QM_CANCELLED` when somebody resumes the node meanwhile */
async function waitUntilIdle(
  node: ControlPort,
  drained: NodeStatus,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<NodeStatus> {
  const endMs = performance.now() + timeoutMs
  const spinner = createSpinner('draining')
  let status = drained
  let told: number | undefined
  try {
    for (let open = openOf(status); open > 0; open = openOf(status)) {
      const answers = open === 1 ? 'one answer' : `${open} answers`
      if (performance.now() >= endMs) {
        throw new QMeshError(
          'QM_DEADLINE_PASSED',
          `${answers} still open after ${timeoutMs / 1_000} s; the node stays drained, and they go on`,
        )
      }
      spinner.text(`waiting for ${answers}`)
      // Without a terminal each change is a line: a log then shows how far it got.
      if (!process.stderr.isTTY && open !== told) note(`waiting for ${answers}`)
      told = open
      await sleep(lookMs, undefined, { signal })
      status = await node.status()
      if (!status.health.pausedBy?.includes('owner')) {
        throw new QMeshError(
          'QM_CANCELLED',
          'the node was resumed while it drained: it takes requests again, so there is nothing to wait for',
        )
      }
    }
    return status
  } finally {
    spinner.stop()
  }
}

function print(status: NodeStatus, asJson = false): Promise<void> {
  if (asJson) return output.json(status)
  const open = openOf(status)
  const why = pauseText(status)
  if (why === undefined) return output.line('serving')
  return output.line(`paused: ${why}${open > 0 ? `; ${open} still open` : ''}`)
}
