import type { Command } from 'commander'
import { findRunningModels } from '../runtime/models/remote-models.ts'
import { openModelLibrary } from '../runtime/models/open-library.ts'
import type { ModelLibrary, ModelView } from '../runtime/models/index.ts'
import type { ConfigKey, LoadedConfig } from '../runtime/config/index.ts'
import { listenForInterrupt } from './interrupt.ts'
import { addConfigFlags, loadCommandConfig } from './options.ts'
import { note } from './output.ts'
import { createSpinner } from './spinner.ts'

/** Adds a command below `models`; see `AddCommand`. */
export type AddModelCommand = (models: Command, exit: (code: number) => void) => void

/** Flags that every command on the models of this machine has. */
export const modelKeys = [
  'dataDir',
  'modelsDir',
  'modelsCacheGb',
  'trustedPublishers',
] as const satisfies readonly ConfigKey[]

/** What an action works with. */
export interface ModelSession {
  readonly library: ModelLibrary
  readonly config: LoadedConfig['config']
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** Says what is going on, on a terminal and after a second only. */
  readonly progress: (text: string) => void
  /** Has the node that runs here, if one does, look at what was changed. */
  readonly tellNode: () => Promise<void>
}

/**
 * Adds `--json` and the flags of the configuration, and an action that has the models of this machine open. Ctrl-C
 * ends it in order.
 */
export function addModelAction(
  command: Command,
  exit: (code: number) => void,
  what: string,
  run: (session: ModelSession, ...args: never[]) => Promise<void>,
): void {
  command.option('--json', 'print it as one JSON document')
  addConfigFlags(command, modelKeys).action(async (...args: unknown[]) => {
    const { config } = await loadCommandConfig(command, modelKeys)
    const interrupt = listenForInterrupt()
    const spinner = createSpinner(what)
    const log = (_: 'info' | 'warn', message: string): void => note(`warning: ${message}`)
    try {
      const library = await openModelLibrary(config, { log })
      const { signal } = interrupt
      try {
        const progress = (text: string): void => spinner.text(text)
        const tellNode = async (): Promise<void> => (await findRunningModels(config.dataDir))?.refresh()
        await run({ library, config, signal, progress, tellNode }, ...(args as never[]))
      } finally {
        spinner.stop()
        await library.close()
      }
    } catch (error) {
      if (interrupt.exitCode === undefined) throw error
      exit(interrupt.exitCode)
    } finally {
      spinner.stop()
      interrupt.dispose()
    }
  })
}

/** `1.2 GB`: units of 1000, as on the labels of disks; three digits are enough. */
export function toSize(bytes: number | null): string {
  if (bytes === null) return '–'
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [bytes, 0]
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `1.7 B` for parameters. */
export function toCount(count: number | null): string {
  if (count === null) return '–'
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} B`
  return count >= 1e6 ? `${Math.round(count / 1e6)} M` : String(count)
}

/** The first characters of a hash: enough to name it to a command. */
export const shortHash = (hash: string | null): string => hash?.slice(0, 12) ?? '–'

const shortKey = (key: string): string => key.slice(0, 8)

const tableHead = ['MODEL', 'KIND', 'SIZE', 'PARAMETERS', 'QUANT', 'CONTEXT', 'LICENCE', 'HASH', '']

export const toModelRows = (models: readonly ModelView[]): readonly (readonly string[])[] => [
  tableHead,
  ...models.map((model) => [
    model.id,
    model.kind,
    toSize(model.bytes),
    toCount(model.parameters),
    model.quantization,
    model.contextTokens === null ? '–' : String(model.contextTokens),
    model.licence,
    shortHash(model.hash),
    remarksOf(model),
  ]),
]

const remarksOf = (model: ModelView): string =>
  [
    model.state === 'sound' && 'here',
    model.state !== 'sound' && model.state !== 'absent' && model.state,
    model.isPinned && 'pinned',
    model.isReference && 'in place',
    model.catalog && `catalog of ${shortKey(model.catalog.publisher)}, version ${model.catalog.version}`,
    model.standing === 'trusted' && !model.catalog && 'trusted publisher',
  ]
    .filter(Boolean)
    .join(', ')
