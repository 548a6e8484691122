import type { Command } from 'commander'
import { type ModelsAccess, openModels } from '../runtime/models/open-transfer.ts'
import type { ModelLibrary } from '../runtime/models/index.ts'
import { transferCapKeys } from '../runtime/models/transfer-caps.ts'
import { openModelLibrary } from '../runtime/models/open-library.ts'
import type { ConfigKey, LoadedConfig } from '../runtime/config/index.ts'
import { QMeshError } from '../runtime/error-report.ts'
import { listenForInterrupt } from './interrupt.ts'
import { modelKeys } from './model-commands.ts'
import { addConfigFlags, clientKeys, loadCommandConfig } from './options.ts'
import { note } from './output.ts'
import { askingFlags, givenFlags, quietConfig } from './quiet-config.ts'

/** What a command that moves models works with. */
export interface TransferSession {
  readonly access: ModelsAccess
  readonly library: ModelLibrary
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

export interface TransferFlags {
  readonly json?: boolean
  readonly peers?: boolean
}

const transferKeys: readonly ConfigKey[] = [
  ...new Set<ConfigKey>([...clientKeys, ...modelKeys, ...transferCapKeys]),
]

/**
 * Adds an action that moves models: through the node that runs on the data directory, or by a client of its own. Ctrl-C
 * ends it in order, and what came is kept.
 */
export function addTransferAction(
  command: Command,
  exit: (code: number) => void,
  run: (session: TransferSession, ...args: never[]) => Promise<void>,
): void {
  command
    .option('--json', 'print it as one JSON document')
    .option('--no-peers', 'leave other nodes alone, unless a node runs here')
  addConfigFlags(command, transferKeys).action(async (...args: unknown[]) => {
    const flags = command.opts<TransferFlags>()
    const loaded = await loadCommandConfig(command, transferKeys)
    const config = quietConfig(loaded)
    const interrupt = listenForInterrupt()
    try {
      const library = await openModelLibrary(config, {
        log: (_, message) => note(`warning: ${message}`),
      })
      try {
        const access = await openModels({ config, library, usesPeers: flags.peers !== false })
        try {
          if (access.isRunning) refuseOthers(loaded, flags)
          await run({ access, library, signal: interrupt.signal }, ...(args as never[]))
        } finally {
          await access.close()
        }
      } finally {
        await library.close()
      }
    } catch (error) {
      if (interrupt.exitCode === undefined) throw error
      exit(interrupt.exitCode)
    } finally {
      interrupt.dispose()
    }
  })
}

/** What a node that runs here was not started with: it says so where it does things its own way, and refuses another mesh. */
function refuseOthers(loaded: LoadedConfig, { peers }: TransferFlags): void {
  const others = askingFlags(loaded)
  if (others.length > 0) {
    throw new QMeshError(
      'QM_USAGE',
      `a node runs here and moves the models, so ${others.join(', ')} cannot be followed: leave that out, or stop the node first`,
    )
  }
  const idle = [...givenFlags(loaded, transferCapKeys), ...(peers === false ? ['--no-peers'] : [])]
  if (idle.length > 0)
    note(`a node runs here: it moves the models in its own way, without ${idle.join(', ')}`)
}
