import type { Command } from 'commander'
import { type ModelsAccess, openModels } from '../runtime/models/open-transfer.ts'
import type { ModelLibrary } from '../runtime/models/index.ts'
import { transferCapKeys } from '../runtime/models/transfer-caps.ts'
import { openModelLibrary } from '../runtime/models/open-library.ts'
import type { ConfigKey } from '../runtime/config/index.ts'
import { listenForInterrupt } from './interrupt.ts'
import { modelKeys } from './model-commands.ts'
import { addConfigFlags, clientKeys, loadCommandConfig, toAttribute } from './options.ts'
import { note } from './output.ts'
import { quietConfig } from './quiet-config.ts'

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
    const config = quietConfig(await loadCommandConfig(command, transferKeys))
    const options = command.opts<Record<string, unknown>>()
    const hasCaps = transferCapKeys.some((key) => options[toAttribute(key)] !== undefined)
    const interrupt = listenForInterrupt()
    try {
      const library = await openModelLibrary(config, {
        log: (_, message) => note(`warning: ${message}`),
      })
      try {
        const access = await openModels({ config, library, usesPeers: flags.peers !== false })
        if (access.isRunning && hasCaps) note('a node runs here: it moves the models, within its own caps')
        try {
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
