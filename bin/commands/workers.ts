import type { LoadedConfig } from '../../runtime/config/index.ts'
import type { MeshPort } from '../../runtime/control/index.ts'
import { listenForInterrupt } from '../interrupt.ts'
import type { AddCommand } from '../command.ts'
import { findNodeToAsk, openClient } from '../mesh-access.ts'
import { addConfigFlags, clientKeys, loadCommandConfig, toNumber } from '../options.ts'
import { note, output } from '../output.ts'
import { createSpinner } from '../spinner.ts'
import { short } from '../stream-answer.ts'

const examples = `
Examples:
  qmesh-node workers
  qmesh-node workers --bootstrap 192.168.1.5:49737 --wait 10
  qmesh-node workers --json | jq '.[].models[].id'`

type Workers = Awaited<ReturnType<MeshPort['workers']>>

export const addWorkers: AddCommand = (program, exit) => {
  const command = program
    .command('workers')
    .description('list the workers this machine knows')
    .option('--wait <seconds>', 'without a running node: look so long for workers', '5')
    .option('--json', 'print them as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, clientKeys).action(async (flags: { wait: string; json?: boolean }) => {
    const waitMs = (toNumber('--wait', flags.wait, 0, 3_600) ?? 0) * 1_000
    const loaded = await loadCommandConfig(command, clientKeys)
    const interrupt = listenForInterrupt()
    const spinner = createSpinner('looking for workers')
    try {
      const { signal } = interrupt
      const running = await findNodeToAsk(loaded)
      const workers = running ? await running.workers() : await lookFor(loaded, waitMs, signal)
      spinner.stop()
      if (flags.json) await output.json(workers)
      else await print(workers)
    } catch (error) {
      if (interrupt.exitCode === undefined) throw error
      exit(interrupt.exitCode)
    } finally {
      spinner.stop()
      interrupt.dispose()
    }
  })
}

async function lookFor(loaded: LoadedConfig, waitMs: number, signal: AbortSignal): Promise<Workers> {
  const access = await openClient({ loaded, signal })
  try {
    return await discover(access.port, waitMs, signal)
  } finally {
    await access.close()
  }
}

/** Waits for a first worker, then a moment for those that answer a little later. */
async function discover(port: MeshPort, waitMs: number, signal: AbortSignal): Promise<Workers> {
  const { setTimeout: sleep } = await import('node:timers/promises')
  let end = performance.now() + waitMs
  for (;;) {
    const workers = await port.workers()
    if (workers.length > 0) end = Math.min(end, performance.now() + 1_000)
    if (performance.now() >= end) return workers
    await sleep(100, undefined, { signal })
  }
}

/** In brackets where it would have to be loaded first; with the numbers of a vector where it makes embeddings. */
function toName({ id, state, embeddingSize }: Workers[number]['models'][number]): string {
  const name = embeddingSize === undefined ? id : `${id}:${embeddingSize}d`
  return state === 'loadable' ? `(${name})` : name
}

async function print(workers: Workers): Promise<void> {
  if (workers.length === 0) return note('no worker is known; start one with: qmesh-node up --model FILE')
  await output.table(
    [
      ['WORKER', 'MODELS', 'STATE', 'QUEUE', 'SLOTS', 'FIRST TOKEN', 'TOKENS/S', ''],
      ...workers.map((worker) => [
        short(worker.workerId),
        worker.models.map(toName).join(' ') || '–',
        worker.accepting ? worker.state : `${worker.state}, refusing`,
        `${worker.queueLength}/${worker.queueCapacity}`,
        `${worker.slotsBusy}/${worker.slots}`,
        worker.firstTokenMs === undefined ? '–' : `${Math.round(worker.firstTokenMs)} ms`,
        worker.tokensPerSecond === undefined ? '–' : worker.tokensPerSecond.toFixed(1),
        [
          worker.isLocal ? 'this machine' : '',
          worker.effortBits ? `wants work: ${worker.effortBits} bits` : '',
          worker.barred ? `not asked: ${worker.barred}` : '',
        ]
          .filter(Boolean)
          .join(', '),
      ]),
    ],
    { isCut: true },
  )
}
