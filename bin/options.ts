import { Option, type Command } from 'commander'
import {
  configKeys,
  loadConfig,
  toFlag,
  toVariable,
  type ConfigKey,
  type LoadedConfig,
} from '../runtime/config/index.ts'
import { QMeshError } from '../runtime/error-report.ts'

/** Flags of a node that asks but does not serve. */
export const clientKeys: readonly ConfigKey[] = [
  'dataDir',
  'bootstrap',
  'host',
  'port',
  'secret',
  'allow',
  'deny',
  'mdns',
  'gpuLayers',
  'threads',
  'contextTokens',
  'logLevel',
]

/** A flag that may be given several times. */
export const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value]

/** Adds `--config` and the flags of these keys; their text comes from the one table of keys. */
export function addConfigFlags(command: Command, keys: readonly ConfigKey[]): Command {
  command.option('--config <file>', 'configuration file (also QMESH_CONFIG)')
  for (const key of keys) {
    const entry = configKeys[key]
    const text = `${entry.doc.replaceAll('`', '')} (${toVariable(key)})`
    const option = new Option(entry.flag, text)
    command.addOption(entry.kind === 'list' ? option.argParser(collect) : option)
    if (entry.kind === 'boolean') {
      command.addOption(new Option(toFlag(key).replace('--', '--no-'), `the opposite of ${toFlag(key)}`))
    }
  }
  return command
}

/** Puts the configuration together from the file, the variables and the flags of this command. */
export function loadCommandConfig(command: Command, keys: readonly ConfigKey[]): Promise<LoadedConfig> {
  const options = command.opts<Record<string, unknown>>()
  const flags = Object.fromEntries(keys.map((key) => [key, options[toAttribute(key)]]))
  return loadConfig({ flags, configFile: options['config'] as string | undefined })
}

/** `--gpu-layers` → `gpuLayers`, as commander names it. */
export const toAttribute = (key: ConfigKey): string =>
  toFlag(key)
    .slice(2)
    .replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

/** Reads a number given to a flag that is no configuration key; `undefined` stays so. */
export function toNumber(
  flag: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = text.trim() === '' ? NaN : Number(text)
  if (value >= min && value <= max) return value
  throw new QMeshError('QM_USAGE', `${flag} must be a number from ${min} to ${max}, but it is "${text}"`)
}

/** Seconds of a flag, as milliseconds. */
export function toDurationMs(flag: string, text: string | undefined): number | undefined {
  const seconds = toNumber(flag, text, 0.001, 86_400)
  return seconds === undefined ? undefined : Math.round(seconds * 1_000)
}

export function toInteger(
  flag: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  const value = toNumber(flag, text, min, max)
  if (value === undefined || Number.isInteger(value)) return value
  throw new QMeshError('QM_USAGE', `${flag} must be a whole number, but it is "${text}"`)
}
